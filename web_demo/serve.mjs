/**
 * Serves this folder.
 *
 *     node serve.mjs [--port 8080] [--host 127.0.0.1] [--bundle bundle] [--plain]
 *
 * COOP and COEP make the page isolated, so that it may use threads; --plain leaves them out, as most static hosts do.
 * --bundle serves another bundle folder, for instance runs/demo/bundle, in the place of web_demo/bundle.
 */

import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = fileURLToPath(new URL('.', import.meta.url));
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
};

function options() {
  try {
    const { values } = parseArgs({
      options: {
        port: { type: 'string', default: '8080' },
        host: { type: 'string', default: '127.0.0.1' },
        bundle: { type: 'string', default: join(ROOT, 'bundle') },
        plain: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (error) {
    fail(error.message, 'node serve.mjs --help');
  }
}

function fail(what, next) {
  console.error(`error: ${what}; next: ${next}`);
  process.exit(2);
}

/** The file a URL names, or null. */
function fileOf(url, bundle) {
  let path;
  try {
    path = normalize(decodeURIComponent(new URL(url, 'http://localhost').pathname));
  } catch {
    return null;
  }
  if (path.includes('\0')) return null;
  const [root, rest] = path.startsWith('/bundle/') ? [bundle, path.slice('/bundle/'.length)] : [ROOT, path];
  const file = resolve(root, `.${sep}${rest.endsWith('/') ? `${rest}index.html` : rest}`);
  if (!file.startsWith(resolve(root) + sep) || !existsSync(file) || !statSync(file).isFile()) return null;
  return file;
}

function answer(request, response, { bundle, plain }) {
  const isolated = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };
  const headers = { 'Cache-Control': 'no-cache', 'X-Content-Type-Options': 'nosniff', ...(plain ? {} : isolated) };
  const file = ['GET', 'HEAD'].includes(request.method) ? fileOf(request.url, bundle) : null;
  if (!file) {
    response.writeHead(404, { ...headers, 'Content-Type': 'text/plain' }).end('not found\n');
    return;
  }
  const { size, mtimeMs } = statSync(file);
  const tag = `"${size.toString(16)}-${Math.floor(mtimeMs).toString(16)}"`;
  if (request.headers['if-none-match'] === tag) {
    response.writeHead(304, { ...headers, ETag: tag }).end();
    return;
  }
  const type = TYPES[extname(file)] ?? 'application/octet-stream';
  response.writeHead(200, { ...headers, ETag: tag, 'Content-Type': type, 'Content-Length': size });
  if (request.method === 'HEAD') response.end();
  else pipeline(createReadStream(file), response, () => {});
}

const chosen = options();
if (chosen.help) {
  console.log('node serve.mjs [--port 8080] [--host 127.0.0.1] [--bundle FOLDER] [--plain]');
  process.exit(0);
}
const bundle = resolve(chosen.bundle);
if (!existsSync(join(ROOT, 'vendor/files.json')))
  fail('web_demo/vendor is empty', 'make web-demo, or npm ci && npm run vendor');
if (!existsSync(join(bundle, 'manifest.json'))) {
  fail(`no bundle in ${chosen.bundle}`, 'python -m convert RUN --target tflite --precision all --install web_demo');
}
const port = Number(chosen.port);
if (!(Number.isInteger(port) && port >= 0 && port < 65536)) fail(`port ${chosen.port}`, 'node serve.mjs --port 8081');
const server = createServer((request, response) => answer(request, response, { bundle, plain: chosen.plain }));
server.on('error', (error) => fail(error.message, 'node serve.mjs --port 8081'));
server.listen(port, chosen.host, () => {
  const url = `http://${chosen.host === '127.0.0.1' ? 'localhost' : chosen.host}:${server.address().port}/`;
  console.log(`${url}\n  next: open it in a browser; Ctrl+C stops it`);
  if (!chosen.plain) return;
  console.log('  without COOP/COEP headers: the page uses one thread');
});
