/** A camera that shows a known film; one that is denied; none at all: {bundle, film, out}. */

import { browse, report, save, serve, settled, task } from './page.mjs';

const server = await serve(task);
const fake = ['--use-fake-device-for-media-stream', `--use-file-for-fake-video-capture=${task.film}`];

async function held() {
  const { browser, page, trouble } = await browse(server.url, { args: fake, permissions: ['camera'] });
  await settled(page);
  await page.locator('#camera').click();
  await page.waitForFunction(() => document.getElementById('caption').textContent.startsWith('camera'));
  await page.waitForTimeout(300);
  await page.locator('#camera').click();
  await page.waitForFunction(() => document.getElementById('video').srcObject === null);
  const caption = await page.locator('#caption').innerText();
  await save(page, 'save-picture', `${task.out}/camera.png`);
  await save(page, 'save-mask', `${task.out}/camera-mask.png`);
  await browser.close();
  return { caption, trouble };
}

async function refused(args, options) {
  const { browser, page, trouble } = await browse(server.url, { args, ...options });
  await settled(page);
  await page.locator('#camera').click();
  await page.locator('#message').waitFor({ state: 'visible' });
  const message = await page.locator('#message').innerText();
  await page.locator('.example').nth(1).click();
  await page.locator('#message').waitFor({ state: 'hidden' });
  await browser.close();
  return { message, trouble };
}

const known = await held();
const denied = await refused(['--use-fake-device-for-media-stream', '--deny-permission-prompts'], {});
const none = await refused([], { permissions: ['camera'] });
server.stop();
report({ known, denied, none });
