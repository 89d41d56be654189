/** What must be refused: {files: {name: path}, good, bundles: {name: path}}. A message each, never a crash. */

import { readFileSync } from 'node:fs';
import { browse, choose, openFile, report, serve, settled, task } from './page.mjs';

/** Drop a file onto the page; returns what the caption says then. */
async function drop(page, path) {
  const [name, bytes] = [path.split('/').pop(), Array.from(readFileSync(path))];
  await page.evaluate(
    ([name, bytes]) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([new Uint8Array(bytes)], name));
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
    },
    [name, bytes],
  );
  await page.waitForFunction((shown) => document.getElementById('caption').textContent.startsWith(shown), name);
  return page.locator('#caption').innerText();
}

async function files() {
  const server = await serve();
  const { browser, page, trouble } = await browse(server.url);
  await settled(page);
  const messages = {};
  for (const [name, path] of Object.entries(task.files)) messages[name] = await openFile(page, path);
  const good = await openFile(page, task.good);
  await page.locator('.example').first().click();
  const dropped = await drop(page, task.good);
  await browser.close();
  server.stop();
  return { messages, good, dropped, trouble };
}

async function bundles() {
  const found = {};
  const { browser, context } = await browse('http://localhost/', { go: false });
  for (const [name, bundle] of Object.entries(task.bundles)) {
    const server = await serve({ bundle });
    const page = await context.newPage();
    await page.goto(server.url);
    found[name] = await settled(page);
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
