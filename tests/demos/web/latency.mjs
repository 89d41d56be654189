/** Measure and export: {runs, out}. */

import { browse, report, save, serve, settled, task } from './page.mjs';

const server = await serve(task);
const { browser, page, trouble } = await browse(server.url);
await settled(page);
await page.locator('#runs').fill('0');
await page.locator('#measure').click();
const refused = await page.locator('#message').innerText();
await page.locator('#runs').fill(String(task.runs));
await page.locator('#measure').click();
await page.locator('#json-details').waitFor({ state: 'visible' });
const name = await save(page, 'export', `${task.out}/latency.json`);
const table = await page.locator('#latency').innerText();
const agent = await page.evaluate(() => navigator.userAgent);
await browser.close();
server.stop();
report({ refused, name, table, agent, trouble });
