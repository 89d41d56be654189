/** What must be refused: {files: {name: path}, good, bundles: {name: path}, plainHttp}. A message each, never a crash. */

import { browse, choose, openFile, report, serve, settled, task } from './page.mjs';

async function files() {
  const server = await serve();
  const { browser, page, trouble } = await browse(server.url);
  await settled(page);
  const messages = {};
  for (const [name, path] of Object.entries(task.files)) messages[name] = await openFile(page, path);
  const good = await openFile(page, task.good);
  await browser.close();
  server.stop();
  return { messages, good, trouble };
}

async function bundles() {
  const found = {};
  const { browser, context } = await browse('http://localhost/', { go: false });
  for (const [name, bundle] of Object.entries(task.bundles)) {
    const server = await serve({ bundle });
    const page = await context.newPage();
    await page.goto(server.url);
    found[name] = await settled(page);
    if (name === task.screenshotOf) await page.screenshot({ path: task.screenshot });
    if (name === 'model changed') found[`${name}, another chosen`] = await choose(page, 'artefact', 'tflite-int8');
    await page.close();
    server.stop();
  }
  await browser.close();
  return found;
}

/** Plain http under another name than localhost: no WebCrypto, no camera, no service worker. */
async function insecure() {
  const server = await serve();
  const url = server.url.replace('localhost', 'lan.test');
  const { browser, page } = await browse(url, { args: ['--host-resolver-rules=MAP lan.test 127.0.0.1'] });
  const said = await settled(page);
  await browser.close();
  server.stop();
  return said;
}

const [refusedFiles, refusedBundles, overHttp] = [await files(), await bundles(), await insecure()];
report({ files: refusedFiles, bundles: refusedBundles, overHttp });
