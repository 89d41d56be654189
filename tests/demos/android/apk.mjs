/**
 * The assets inside an APK in a phone's window, answered as Page.java answers: {root, types, examples, artefacts, out}.
 * Every other host is cut off, and there is no service worker, as in a WebView.
 */

import { readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { browse, choose, report, require, save, task } from '../web/page.mjs';

const { devices } = require('playwright-core');
const ORIGIN = 'https://appassets.androidplatform.net';
const profile = { ...devices['Pixel 7'], serviceWorkers: 'block' };
const { browser, context, page, trouble } = await browse(ORIGIN, { go: false, ...profile });
const absent = [];
await context.route('**/*', (route) => {
  const url = new URL(route.request().url());
  if (url.origin !== ORIGIN) return route.abort();
  const contentType = task.types[extname(url.pathname).slice(1)] ?? 'application/octet-stream';
  const headers = { 'Cache-Control': 'no-cache', 'X-Content-Type-Options': 'nosniff' };
  try {
    return route.fulfill({ body: readFileSync(join(task.root, url.pathname)), contentType, headers });
  } catch {
    absent.push(url.pathname);
    return route.fulfill({ status: 404, body: '', contentType: 'text/plain' });
  }
});
await page.goto(`${ORIGIN}/index.html`);
const said = {};
for (const artefact of task.artefacts) {
  said[artefact] = await choose(page, 'artefact', artefact);
  for (const example of task.examples) {
    await page.locator(`.example[data-name="${example}"]`).click();
    await page.locator(`.example[data-name="${example}"][aria-pressed="true"]`).waitFor();
    await page.waitForFunction((name) => document.getElementById('caption').textContent.startsWith(name), example);
    await save(page, 'save-mask', `${task.out}/${artefact}-${example}.png`);
  }
}
await page.screenshot({
  path: `${task.out}/phone.png`,
  fullPage: true,
  clip: { x: 0, y: 0, width: profile.viewport.width, height: 1400 },
  scale: 'css',
});
const secure = await page.evaluate(() => globalThis.isSecureContext);
await browser.close();
report({ said, absent, secure, trouble });
