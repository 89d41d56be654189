/** The bundle: fetched file by file, and no byte of it used before its SHA-256 is the manifest's. */

import { readContract } from './contract.mjs';
import { TamperedError } from './errors.mjs';
import { readNpy } from './npy.mjs';

export const SCHEMA = 1;

/** @returns {Promise<string>} hexadecimal SHA-256 */
export async function sha256(buffer) {
  if (!globalThis.crypto?.subtle) {
    throw new TamperedError('this page came over plain http, where the browser cannot check hashes: nothing is run', {
      next: 'open it over https or as http://localhost',
    });
  }
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', buffer));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export class Bundle {
  /** Filled by `open`. */
  constructor(root, manifest, manifestSha256) {
    this.root = root;
    this.files = manifest.files;
    this.manifestSha256 = manifestSha256;
    this.artefacts = manifest.artefacts
      .filter((one) => one.target === 'tflite' && one.io === 'tensor')
      .map((one) => ({ ...one, id: `${one.target}-${one.precision}` }));
  }

  /**
   * Open a bundle: manifest, contract and report.
   * @param {string} root a URL that ends in /
   * @throws {TamperedError} a file is missing or changed, the manifest is malformed or of another schema
   * @throws {ContractError}
   */
  static async open(root) {
    const bytes = await download(root, 'manifest.json');
    const manifestSha256 = await sha256(bytes);
    const manifest = parse(bytes, 'manifest.json');
    if (manifest?.schema !== SCHEMA) {
      throw new TamperedError(`bundle schema ${JSON.stringify(manifest?.schema)}`, {
        allowed: `schema ${SCHEMA}`,
        next: 'use the release of this page that belongs to the bundle, or convert again',
      });
    }
    if (typeof manifest.files !== 'object' || manifest.files === null || !Array.isArray(manifest.artefacts)) {
      throw new TamperedError('manifest.json is malformed', { next: 'install the bundle again' });
    }
    const bundle = new Bundle(root, manifest, manifestSha256);
    bundle.contract = readContract(await bundle.readJson('contract.json'));
    bundle.report = await bundle.readJson('report.json');
    if (!bundle.artefacts.length) {
      throw new TamperedError('the bundle holds no model that a browser can run', {
        allowed: 'target tflite, io tensor',
        next: 'python -m convert RUN --target tflite --precision all --install web_demo',
      });
    }
    return bundle;
  }

  /**
   * One file, after its hash was checked.
   * @returns {Promise<ArrayBuffer>}
   * @throws {TamperedError} not sealed, missing or changed
   */
  async read(path) {
    if (!Object.hasOwn(this.files, path)) {
      throw new TamperedError(`${path} is not in the manifest`, { next: 'install the bundle again' });
    }
    const bytes = await download(this.root, path);
    if ((await sha256(bytes)) !== this.files[path]) {
      throw new TamperedError(`${path} was changed: its SHA-256 is not the manifest's`, {
        next: 'install the bundle again; do not run it',
      });
    }
    return bytes;
  }

  async readJson(path) {
    return parse(await this.read(path), path);
  }

  /** Names of the golden vectors, in order. */
  get goldenNames() {
    return Object.keys(this.files)
      .map((path) => /^golden\/(.+)\/image\.npy$/.exec(path)?.[1])
      .filter(Boolean)
      .sort();
  }

  /** @returns {Promise<{name, image, pixels, logits, mask}[]>} logits (1, K, h, w); image as in preprocess.mjs */
  async golden() {
    return Promise.all(
      this.goldenNames.map(async (name) => {
        const part = async (file) =>
          readNpy(await this.read(`golden/${name}/${file}.npy`), `golden/${name}/${file}.npy`);
        const [image, pixels, logits, mask] = await Promise.all(['image', 'pixels', 'logits', 'mask'].map(part));
        const [height, width, channels = 1] = image.shape;
        return {
          name,
          image: { data: image.data, height, width, channels, levels: null },
          pixels: pixels.data,
          logits: logits.data,
          mask: mask.data,
        };
      }),
    );
  }

  /** What was measured on an artefact when it was made. */
  measured(artefact) {
    const entry = this.report.artefacts?.find((one) => one.id === artefact.id);
    if (!entry?.golden)
      throw new TamperedError(`report.json says nothing about ${artefact.id}`, { next: 'convert again' });
    return entry;
  }
}

async function download(root, path) {
  let response;
  try {
    response = await fetch(root + path);
  } catch (error) {
    throw new TamperedError(`${path} cannot be fetched (${error.message})`, { next: 'check that the server runs' });
  }
  if (!response.ok) {
    throw new TamperedError(`${path} is missing (${response.status})`, {
      next: 'python -m convert RUN --target tflite --precision all --install web_demo',
    });
  }
  return response.arrayBuffer();
}

function parse(bytes, path) {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new TamperedError(`${path} is not JSON (${error.message})`, { next: 'install the bundle again' });
  }
}
