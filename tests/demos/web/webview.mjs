/** The page as an Android app's assets: one host that is no server, a phone's profile, no service worker: {root}. */

import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { browse, report, require, settled, task } from './page.mjs';

const { devices } = require('playwright-core');
const TYPES = {
  '.html': 'text/html',
  '.css': 'text/css',
  '.mjs': 'text/javascript',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
};
const home = 'https://appassets.androidplatform.net/assets/web/';
const { browser, context, page, trouble } = await browse(home, { go: false, ...devices['Pixel 7'] });
const absent = [];
await context.route('**/*', (route) => {
  const url = route.request().url();
  if (!url.startsWith(home)) return route.abort();
  try {
    const path = new URL(url).pathname.slice(new URL(home).pathname.length);
    const contentType = TYPES[extname(path)] ?? 'application/octet-stream';
    return route.fulfill({ body: readFileSync(`${task.root}/${path}`), contentType });
  } catch {
    absent.push(url);
    return route.fulfill({ status: 404, body: '' });
  }
});
await page.goto(`${home}index.html`);
const said = await settled(page);
await page.locator('#offline').waitFor();
const offline = await page.locator('#offline').innerText();
const workers = await page.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length);
await browser.close();
report({ said, offline, workers, absent, trouble });
