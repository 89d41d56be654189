/** The contract's golden vectors: VECTORS=folder, written by `python tests/demos/vectors.py folder`. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { readContract } from '../lib/contract.mjs';
import { readNpy } from '../lib/npy.mjs';
import { tint } from '../lib/picture.mjs';
import { channelsLast, maskOf, softmax, toImage } from '../lib/postprocess.mjs';
import { normalise, toGrid } from '../lib/preprocess.mjs';

const root = process.env.VECTORS;
const skip = root ? false : 'VECTORS is not set: python tests/demos/vectors.py FOLDER';
const bytes = (path) => Uint8Array.from(readFileSync(path)).buffer;

function closeTo(actual, wanted, most) {
  assert.equal(actual.length, wanted.length);
  const error = actual.reduce((worst, value, at) => Math.max(worst, Math.abs(value - wanted[at])), 0);
  assert.ok(error <= most, `differs by ${error}`);
}

test('vectors are there', { skip }, () => assert.ok(readdirSync(root).length >= 8));

for (const name of skip ? [] : readdirSync(root)) {
  const part = (file) => readNpy(bytes(`${root}/${name}/${file}.npy`), `${name}/${file}`);
  const contract = readContract(JSON.parse(readFileSync(`${root}/${name}/contract.json`, 'utf8')));
  const classes = contract.labels.length;
  const { shape, data } = part('image');
  const image = { data, height: shape[0], width: shape[1], channels: shape[2] ?? 1, levels: null };

  test(`${name}: pixels to the bit`, () => assert.deepEqual(toGrid(image, contract), part('pixels').data));

  test(`${name}: input to 1e-6`, () => closeTo(normalise(part('pixels').data, contract), part('input').data, 1e-6));

  test(`${name}: mask to the bit`, () => {
    const logits = channelsLast(part('logits').data, classes);
    assert.deepEqual(toImage(maskOf(logits, classes), contract, image.height, image.width), part('mask').data);
  });

  test(`${name}: probability to 1e-6`, () => {
    const found = softmax(channelsLast(part('logits').data, classes), classes);
    closeTo(found, channelsLast(part('probability').data, classes), 1e-6);
  });

  test(`${name}: tint to the bit`, () => {
    const { rgba } = tint(image, part('mask').data, contract);
    assert.deepEqual(
      rgba.filter((_, at) => at % 4 < 3),
      Uint8ClampedArray.from(part('tint').data),
    );
  });
}
