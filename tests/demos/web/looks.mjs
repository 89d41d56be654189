/** Screenshots at a desktop's and a phone's width, light and dark; axe-core's verdict on each: {out, pictures}. */

import { readFileSync } from 'node:fs';
import { browse, report, require, serve, settled, task } from './page.mjs';

const { devices } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const server = await serve();
const found = {};
for (const [shape, device] of [
  ['desktop', { viewport: { width: 1280, height: 900 } }],
  ['phone', devices['Pixel 7']],
]) {
  const { browser, context, page, trouble } = await browse(server.url, device);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await settled(page);
    await page.locator('#offline').waitFor();
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    const tooWide = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    if (task.out) await page.screenshot({ path: `${task.out}/${shape}-${colorScheme}.png`, fullPage: true });
    found[`${shape} ${colorScheme}`] = {
      violations: violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`),
      tooWide,
    };
  }
  // With the keyboard alone: the first stops are the file, the camera and the first example.
  const stops = [];
  await page.evaluate(() => document.activeElement.blur());
  for (let stop = 0; stop < 3; stop++) {
    await page.keyboard.press('Tab');
    stops.push(await page.evaluate(() => document.activeElement.id || document.activeElement.className));
  }
  found[`${shape} light`].stops = stops;
  found[`${shape} light`].trouble = trouble;
  await context.close();
  await browser.close();
}
server.stop();
report(found);
