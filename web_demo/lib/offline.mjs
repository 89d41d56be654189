/** Registers the service worker; where there is none the page works all the same. */

const WEBVIEW_HOST = 'appassets.androidplatform.net'; // an app's own files: on the device already

/**
 * @param {string} version of bundle and runtime: another one is another cache
 * @returns {Promise<string>} a sentence for people
 */
export async function keepOffline(version) {
  if (location.hostname === WEBVIEW_HOST) return 'yes: the files are in the app';
  if (!navigator.serviceWorker) return 'no: needs https or http://localhost';
  try {
    const loaded = performance.getEntriesByType('resource').map((entry) => new URL(entry.name).pathname);
    const wasm =
      loaded
        .find((path) => path.endsWith('.wasm'))
        ?.split('/')
        .pop() ?? '';
    const registration = await navigator.serviceWorker.register(`sw.js?${new URLSearchParams({ version, wasm })}`, {
      updateViaCache: 'none',
    });
    const worker = registration.installing ?? registration.waiting ?? registration.active;
    await new Promise((resolve, reject) => {
      const look = () => {
        if (worker.state === 'activated') resolve();
        if (worker.state === 'redundant') reject(new Error('the files could not be kept'));
      };
      worker.addEventListener('statechange', look);
      look();
    });
    return 'yes: everything is kept in this browser';
  } catch (error) {
    return `no: ${error.message}`;
  }
}
