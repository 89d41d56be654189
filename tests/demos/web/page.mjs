/** What the browser's tests share: a served page in a real Chromium, and everything that went wrong in it. */

import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const DEMO = new URL('../../../web_demo/', import.meta.url);
export const require = createRequire(new URL('package.json', DEMO));
const { chromium } = require('playwright-core');
const RUNTIME_LINES = /^(INFO|WARNING): /; // LiteRT.js writes its log with console.error

/** The task that Python gave. */
export const task = JSON.parse(process.argv[2] ?? '{}');

/** Python reads the last line. */
export const report = (result) => console.log(JSON.stringify(result));

/** Start web_demo/serve.mjs on a free port. */
export async function serve({ bundle, plain = false, host = '127.0.0.1' } = {}) {
  const words = ['--port', '0', '--host', host, ...(bundle ? ['--bundle', bundle] : []), ...(plain ? ['--plain'] : [])];
  const server = spawn(process.execPath, [fileURLToPath(new URL('serve.mjs', DEMO)), ...words]);
  process.on('exit', () => server.kill()); // also where a script fails
  const url = await new Promise((resolve, reject) => {
    server.stdout.on('data', (text) => resolve(/http:\S+/.exec(text)?.[0]));
    server.on('exit', (code) => reject(new Error(`serve.mjs: exit code ${code}`)));
    server.stderr.on('data', (text) => console.error(String(text)));
  });
  return { url, stop: () => server.kill() };
}

/** A page, and `trouble`: console errors, uncaught errors and requests to another host. */
export async function browse(url, { args = [], go = true, ...options } = {}) {
  const browser = await chromium.launch({ executablePath: task.chromium, args: ['--no-sandbox', ...args] });
  const context = await browser.newContext({ acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const trouble = [];
  page.on('console', (line) => {
    if (line.type() === 'error' && !RUNTIME_LINES.test(line.text())) trouble.push(`console: ${line.text()}`);
  });
  page.on('pageerror', (error) => trouble.push(`uncaught: ${error.message}`));
  const home = new URL(url).origin;
  context.on('request', (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== home && !['blob:', 'data:'].includes(protocol)) trouble.push(`foreign request: ${request.url()}`);
  });
  if (go) await page.goto(url);
  return { browser, context, page, trouble };
}

/** Wait for the self-test's end; returns what the page says. */
export async function settled(page) {
  await page.waitForFunction(() => /ready|refused/.test(document.getElementById('status').textContent));
  const text = (id) => page.locator(`#${id}`).innerText();
  return {
    status: await text('status'),
    banner: (await page.locator('#banner').isVisible()) ? await text('banner') : '',
    selftest: await text('selftest'),
    machine: await text('machine'),
    usable: await page.locator('#file').isEnabled(),
  };
}

/** Choose a model by id; returns what the page says then. */
export async function choose(page, select, value) {
  await page.locator(`#${select}`).selectOption(value);
  return settled(page);
}

/** Choose a file and wait until it is drawn, or refused with a message, which is returned. */
export async function openFile(page, path) {
  const name = path.split('/').pop();
  await page.locator('#message').evaluate((element) => (element.hidden = true));
  await page.locator('#file').setInputFiles(path);
  await page.waitForFunction(
    (shown) =>
      document.getElementById('caption').textContent.startsWith(shown) || !document.getElementById('message').hidden,
    name,
  );
  const message = page.locator('#message');
  return (await message.isVisible()) ? message.innerText() : '';
}

/** Press a button that saves a file. */
export async function save(page, button, path) {
  await page.waitForTimeout(150); // Chromium drops what exceeds ten downloads a second
  const [download] = await Promise.all([page.waitForEvent('download'), page.locator(`#${button}`).click()]);
  await download.saveAs(path);
  return download.suggestedFilename();
}
