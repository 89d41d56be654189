/** Golden vectors: preprocessing apart from runtime, so that a failure says which. A port of acwskd_edge/verify.py. */

import { SelfTestError } from './errors.mjs';
import { channelsLast, maskOf, toImage } from './postprocess.mjs';
import { normalise, toGrid } from './preprocess.mjs';

const FP32_LOGIT_ERROR = 1e-3; // an fp32 artefact is the checkpoint in another file format, so it must agree
const AGREEMENT_SLACK = 0.005; // other machines round otherwise: an int8 tie may fall to the other side

const equal = (a, b) => a.length === b.length && a.every((value, at) => value === b[at]);

/**
 * Image -> pixels must be exact; so must logits -> mask.
 * @throws {SelfTestError} names the golden vectors that differ
 */
export function checkPreprocessing(golden, contract) {
  const classes = contract.labels.length;
  const wrong = [];
  for (const { name, image, pixels, logits, mask } of golden) {
    if (!equal(toGrid(image, contract), pixels)) wrong.push(name);
    const gridMask = maskOf(channelsLast(logits, classes), classes);
    if (!equal(toImage(gridMask, contract, image.height, image.width), mask)) wrong.push(`${name} (mask)`);
  }
  if (!golden.length) throw new SelfTestError('the bundle has no golden vectors', { next: 'convert again' });
  if (wrong.length) {
    throw new SelfTestError(`preprocessing differs from the golden vectors: ${wrong.join(', ')}`, {
      next: 'reload the page; if it stays, report the browser below',
    });
  }
}

/**
 * Run a loaded model on the golden pixels; it must agree as well as it did when it was made.
 * @param {{run: (input: Float32Array) => Promise<Float32Array>, artefact: object, accelerator: string}} model
 * @param {{argmax_agreement: number}} measured the artefact's `golden` in report.json
 * @returns {Promise<{agreement: number, needed: number, logitError: number}>}
 * @throws {SelfTestError}
 */
export async function checkRuntime(model, golden, contract, measured) {
  const classes = contract.labels.length;
  let [same, pixels, logitError] = [0, 0, 0];
  for (const one of golden) {
    const wanted = channelsLast(one.logits, classes);
    const output = await model.run(normalise(one.pixels, contract));
    if (output.length !== wanted.length) {
      throw new SelfTestError(`runtime differs: ${output.length} logits`, { allowed: `${wanted.length}` });
    }
    const wantedMask = maskOf(wanted, classes);
    maskOf(output, classes).forEach((label, at) => (same += label === wantedMask[at]));
    pixels += wantedMask.length;
    output.forEach((value, at) => (logitError = Math.max(logitError, Math.abs(value - wanted[at])))); // NaN stays NaN
  }
  const agreement = same / pixels;
  const needed = Math.max(0, measured.argmax_agreement - AGREEMENT_SLACK);
  // NaN compares false, so both conditions are written to fail on it.
  const exact = model.artefact.precision !== 'fp32' || model.accelerator !== 'wasm' || logitError <= FP32_LOGIT_ERROR;
  if (!(agreement >= needed && exact)) {
    throw new SelfTestError(
      `runtime differs: ${model.artefact.id} agrees with the golden masks on ${agreement.toFixed(5)} of the pixels ` +
        `(needed ${needed.toFixed(5)}), logit error ${logitError.toExponential(1)}`,
      { next: 'choose another model or processor below; do not trust this one here' },
    );
  }
  return { agreement, needed, logitError };
}
