/**
 * Offline: the network first, so that an online page is never stale; what was seen last, where there is none.
 * Registered as sw.js?version=VERSION&wasm=NAME: one cache per bundle and runtime, filled at once with everything that
 * the page can need.
 */

const query = new URL(self.location).searchParams;
const CACHE = `acwskd-edge-${query.get('version')}`;
const LIB =
  'bundle camera contract errors latency litert nifti npy offline picture postprocess preprocess selftest'.split(' ');
const SHELL = [
  ...['./', 'index.html', 'style.css', 'app.mjs', 'view.mjs', 'manifest.webmanifest'],
  ...['icons/icon.svg', 'icons/icon-192.png', 'icons/icon-512.png', 'vendor/files.json', 'bundle/manifest.json'],
  ...LIB.map((name) => `lib/${name}.mjs`),
];
const FIXED = /\/(vendor|bundle)\//; // another version of these is another cache

async function everything() {
  const read = async (path) => (await fetch(path, { cache: 'no-cache' })).json();
  const [{ modules }, { files }] = await Promise.all([read('vendor/files.json'), read('bundle/manifest.json')]);
  const wasm = query.get('wasm') ? [query.get('wasm'), query.get('wasm').replace(/\.wasm$/, '.js')] : [];
  const runnable = (path) => !/^(onnx|coreml|jetson|rtx)\//.test(path);
  return [
    ...SHELL,
    ...modules.map((path) => `vendor/${path}`),
    ...wasm.map((name) => `vendor/wasm/${name}`),
    ...Object.keys(files)
      .filter(runnable)
      .map((path) => `bundle/${path}`),
  ];
}

self.addEventListener('install', (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(CACHE);
      await cache.addAll((await everything()).map((path) => new Request(path, { cache: 'no-cache' })));
      await self.skipWaiting();
    })(),
  );
});

self.addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      const names = await caches.keys();
      await Promise.all(
        names.filter((name) => name.startsWith('acwskd-edge-') && name !== CACHE).map((name) => caches.delete(name)),
      );
      await self.clients.claim();
    })(),
  );
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET' || new URL(request.url).origin !== self.location.origin) return;
  event.respondWith(
    (async () => {
      const cache = await caches.open(CACHE);
      try {
        const response = await fetch(request);
        if (response.ok && !FIXED.test(request.url)) event.waitUntil(cache.put(request, response.clone()));
        return response;
      } catch (error) {
        const kept = await cache.match(request, { ignoreSearch: true });
        if (kept) return kept;
        throw error;
      }
    })(),
  );
});
