/** First load, then no server and no network: {file, out}. */

import { browse, choose, openFile, report, save, serve, settled, task } from './page.mjs';

const server = await serve(task);
const { browser, context, page, trouble } = await browse(server.url);
await settled(page);
await page.locator('#offline').waitFor();
const kept = await page.locator('#offline').innerText();
const devtools = await context.newCDPSession(page);
const { installabilityErrors } = await devtools.send('Page.getInstallabilityErrors');
server.stop();
await context.setOffline(true);
await page.reload();
const again = await settled(page);
const int8 = await choose(page, 'artefact', 'tflite-int8');
await openFile(page, task.file);
await save(page, 'save-mask', `${task.out}/offline.png`);
await browser.close();
report({ kept, again, int8, installabilityErrors, trouble });
