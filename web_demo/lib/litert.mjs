/** LiteRT.js: the same .tflite as on Android, in wasm. One thread anywhere; more where the page is isolated. */

import { loadAndCompile, loadLiteRt, Tensor } from '@litertjs/core';
import { DemoError } from './errors.mjs';

const WASM = new URL('../vendor/wasm/', import.meta.url).href;
let loading = null;

/** Load the wasm once; another try after a failure. */
function runtime() {
  loading ??= loadLiteRt(WASM, { threads: Boolean(globalThis.crossOriginIsolated) }).catch((error) => {
    loading = null;
    throw error;
  });
  return loading;
}

/** Thread counts that can be chosen here. */
export function threadChoices() {
  if (!globalThis.crossOriginIsolated) return [1];
  const cores = navigator.hardwareConcurrency || 1;
  return [1, 2, 4, 8].filter((count) => count <= Math.max(2, cores));
}

/** Whether a WebGPU adapter can be had. */
export async function hasWebGpu() {
  try {
    return Boolean(await navigator.gpu?.requestAdapter());
  } catch {
    return false;
  }
}

/**
 * Compile a model.
 * @param {ArrayBuffer} bytes checked already
 * @param {'wasm' | 'webgpu'} accelerator
 * @returns {Promise<{artefact, accelerator, threads, run: function(Float32Array): Promise<Float32Array>, close}>}
 *   run takes (1, h, w, C) and gives logits (1, h, w, K)
 * @throws {DemoError} the runtime cannot be loaded, or refuses the model
 */
export async function loadModel(bytes, artefact, contract, { accelerator = 'wasm', threads = 1 } = {}) {
  const { height, width, channels } = contract;
  let compiled;
  try {
    await runtime();
    const options = { accelerator, cpuOptions: { numThreads: threads } };
    compiled = await loadAndCompile(new Uint8Array(bytes), options);
  } catch (error) {
    throw new DemoError(`${artefact.id} cannot be loaded on ${accelerator} (${error?.message ?? error})`, {
      next: 'reload the page, or choose another model or processor',
    });
  }
  if (accelerator === 'webgpu' && !(compiled.options.accelerator === 'webgpu' && compiled.isFullyAccelerated)) {
    compiled.delete();
    throw new DemoError(`WebGPU cannot run all of ${artefact.id}`, { next: 'choose another model, or the CPU' });
  }
  const shape = Array.from(compiled.getInputDetails()[0].shape);
  if (String(shape) !== String([1, height, width, channels])) {
    compiled.delete();
    throw new DemoError(`${artefact.id} takes ${shape}`, {
      allowed: `${[1, height, width, channels]}, as the contract says`,
    });
  }
  return {
    artefact,
    accelerator,
    threads: accelerator === 'wasm' ? threads : null,
    close: () => compiled.delete(),
    async run(input) {
      const tensor = new Tensor(input, shape);
      const outputs = await compiled.run(tensor);
      const logits = await outputs[0].data();
      for (const one of [tensor, ...outputs]) one.delete();
      return logits;
    },
  };
}
