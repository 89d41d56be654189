/** Logits -> mask, probability, areas. A port of acwskd_edge/preprocess.py; logits are TFLite's (1, h, w, K). */

import { place } from './preprocess.mjs';

/** (1, K, h, w), as in the golden vectors -> (1, h, w, K). */
export function channelsLast(logits, classes) {
  const size = logits.length / classes;
  const turned = new Float32Array(logits.length);
  for (let label = 0; label < classes; label++) {
    for (let at = 0; at < size; at++) turned[at * classes + label] = logits[label * size + at];
  }
  return turned;
}

/** Logits (1, h, w, K) -> mask (h, w): the class of the largest logit, on a tie the lowest id. */
export function maskOf(logits, classes) {
  const mask = new Uint8Array(logits.length / classes);
  for (let at = 0, from = 0; at < mask.length; at++, from += classes) {
    let best = 0;
    for (let label = 1; label < classes; label++) if (logits[from + label] > logits[from + best]) best = label;
    mask[at] = best;
  }
  return mask;
}

/** Logits (1, h, w, K) -> softmax in float32. Not calibrated. */
export function softmax(logits, classes) {
  const result = new Float32Array(logits.length);
  for (let from = 0; from < logits.length; from += classes) {
    let largest = logits[from];
    for (let label = 1; label < classes; label++) largest = Math.max(largest, logits[from + label]);
    let sum = 0;
    for (let label = 0; label < classes; label++) {
      result[from + label] = Math.exp(Math.fround(logits[from + label] - largest));
      sum = Math.fround(sum + result[from + label]);
    }
    for (let label = 0; label < classes; label++) result[from + label] /= sum;
  }
  return result;
}

/** For each of `target` pixels the nearest of `source` pixels. */
function nearest(source, target) {
  return Int32Array.from({ length: target }, (_, at) =>
    Math.min(source - 1, Math.floor((at + 0.5) * (source / target))),
  );
}

/** Mask on the network's grid (h, w) -> mask on the image's grid (height, width), nearest neighbour. */
export function toImage(mask, contract, height, width) {
  const spot = place(contract, height, width);
  const rows = nearest(spot.height, height);
  const cols = nearest(spot.width, width);
  const result = new Uint8Array(height * width);
  for (let row = 0, to = 0; row < height; row++) {
    const start = (spot.top + rows[row]) * contract.width + spot.left;
    for (let col = 0; col < width; col++, to++) result[to] = mask[start + cols[col]];
  }
  return result;
}

/**
 * How much of each class there is.
 * @param mask on the image's grid
 * @param gridMask on the network's grid
 * @param probability (1, h, w, K)
 * @returns {{pixels: number, share: number, probability: number | null}[]} by label id: pixels of the image, their
 *   share of it, and the mean probability of the class over the grid pixels that were given to it
 */
export function summary(mask, gridMask, probability, classes) {
  const pixels = new Float64Array(classes);
  const found = new Float64Array(classes);
  const sums = new Float64Array(classes);
  for (const label of mask) pixels[label]++;
  gridMask.forEach((label, at) => {
    found[label]++;
    sums[label] += probability[at * classes + label];
  });
  return Array.from({ length: classes }, (_, label) => ({
    pixels: pixels[label],
    share: pixels[label] / mask.length,
    probability: found[label] ? sums[label] / found[label] : null,
  }));
}
