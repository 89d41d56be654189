/**
 * Image -> pixels on the network's grid -> network input. A port of acwskd_edge/preprocess.py, held to it by golden
 * vectors; docs/contract.md has the rules.
 *
 * An image is {data, height, width, channels, levels}: data holds (H, W, C) numbers; levels, where not null, is the
 * table that turns an 8-bit value into the image's value.
 */

import { DataError } from './errors.mjs';

/** The part of the grid that an image of this size covers, in grid pixels. */
export function place(contract, height, width) {
  if (contract.resize === 'stretch') return { top: 0, left: 0, height: contract.height, width: contract.width };
  const scale = Math.min(contract.height / height, contract.width / width);
  const newHeight = Math.min(contract.height, Math.max(1, Math.floor(height * scale + 0.5)));
  const newWidth = Math.min(contract.width, Math.max(1, Math.floor(width * scale + 0.5)));
  return {
    top: Math.floor((contract.height - newHeight) / 2),
    left: Math.floor((contract.width - newWidth) / 2),
    height: newHeight,
    width: newWidth,
  };
}

/**
 * The triangle filter along one axis.
 * @returns {{first: number, weights: Float64Array}[]} per target: the first source it reads and its weights, sum 1
 */
export function resizeWeights(source, target) {
  const scale = source / target;
  const support = Math.max(scale, 1);
  return Array.from({ length: target }, (_, index) => {
    const centre = (index + 0.5) * scale - 0.5;
    const first = Math.max(0, Math.ceil(centre - support));
    const last = Math.min(source - 1, Math.floor(centre + support));
    const weights = new Float64Array(last - first + 1);
    let sum = 0;
    for (let at = 0; at < weights.length; at++) {
      weights[at] = Math.max(0, 1 - Math.abs(first + at - centre) / support);
      sum += weights[at];
    }
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** For each source row, the targets that read it and with what weight. */
function readersOf(rows, source) {
  const readers = Array.from({ length: source }, () => []);
  rows.forEach(({ first, weights }, target) => {
    weights.forEach((weight, at) => weight > 0 && readers[first + at].push([target, weight]));
  });
  return readers;
}

/** One row of the image, resized to `cols.length` values per channel, into `line`. */
function resizeRow(image, row, cols, line) {
  const { data, width, channels, levels } = image;
  const start = row * width * channels;
  let finite = true;
  for (let col = 0; col < cols.length; col++) {
    const { first, weights } = cols[col];
    for (let channel = 0; channel < channels; channel++) {
      let sum = 0;
      let from = start + first * channels + channel;
      for (let at = 0; at < weights.length; at++, from += channels) {
        sum += weights[at] * (levels ? levels[data[from]] : data[from]);
      }
      line[col * channels + channel] = sum;
      finite &&= Number.isFinite(sum);
    }
  }
  return finite;
}

/**
 * Resize one image onto the network's grid.
 * @param {object} image (H, W, C)
 * @returns {Uint8Array | Int16Array} (h, w, C) of the contract's pixel dtype
 * @throws {DataError} wrong number of channels, an empty image, NaN or infinite pixels
 */
export function toGrid(image, contract) {
  const { height, width, channels } = image;
  if (!height || !width || channels !== contract.channels) {
    throw new DataError(`an image of ${height} x ${width} with ${channels} channel(s)`, {
      allowed: `${contract.channels} channel(s) and at least one pixel`,
    });
  }
  const spot = place(contract, height, width);
  const cols = resizeWeights(width, spot.width);
  const readers = readersOf(resizeWeights(height, spot.height), height);
  const line = new Float64Array(spot.width * channels);
  const small = new Float64Array(spot.height * line.length);
  for (let row = 0; row < height; row++) {
    if (!resizeRow(image, row, cols, line)) {
      throw new DataError('the image has NaN or infinite pixels', { next: 'repair or exclude the scan' });
    }
    for (const [target, weight] of readers[row]) {
      for (let at = 0, to = target * line.length; at < line.length; at++, to++) small[to] += weight * line[at];
    }
  }
  return onGrid(small, spot, contract);
}

/** Round half up, clip, and lay the resized image on a grid of `low`. */
function onGrid(small, spot, contract) {
  const [least, most] = contract.limits;
  // The tiny offset makes exact halves round up on every machine, whatever the order of summation was.
  const whole = (value) => Math.min(most, Math.max(least, Math.floor(value + 0.5 + 1e-6)));
  const Values = contract.pixel === 'uint8' ? Uint8Array : Int16Array;
  const grid = new Values(contract.height * contract.width * contract.channels).fill(whole(contract.low));
  const length = spot.width * contract.channels;
  for (let row = 0; row < spot.height; row++) {
    const to = ((spot.top + row) * contract.width + spot.left) * contract.channels;
    for (let at = 0; at < length; at++) grid[to + at] = whole(small[row * length + at]);
  }
  return grid;
}

/** Grid pixels (h, w, C) -> network input (1, h, w, C), every operation in float32. */
export function normalise(pixels, contract) {
  const [low, high] = [Math.fround(contract.low), Math.fround(contract.high)];
  const [mean, std] = [Float32Array.from(contract.mean), Float32Array.from(contract.std)];
  const input = new Float32Array(pixels.length);
  for (let at = 0; at < pixels.length; at++) {
    const channel = at % contract.channels;
    const clipped = Math.min(high, Math.max(low, pixels[at]));
    input[at] = Math.fround(clipped - mean[channel]) / std[channel];
  }
  return input;
}
