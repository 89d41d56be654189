/** contract.json: how to feed the network and read its output. Nothing about a model is known anywhere else. */

import { ContractError } from './errors.mjs';

export const SCHEMA = 1;
const PIXELS = { uint8: [0, 255], int16: [-32768, 32767] };
const RESIZE_MODES = ['letterbox', 'stretch'];

/**
 * Check a parsed contract.json.
 * @param {unknown} data
 * @returns {{name: string, modality: string, height: number, width: number, channels: number, pixel: string,
 *   limits: [number, number], resize: string, low: number, high: number, mean: number[], std: number[],
 *   labels: {id: number, name: string, color: [number, number, number]}[], spacing: [number, number] | null,
 *   intendedUse: string, provenance: object}}
 * @throws {ContractError} another schema, a missing key or a value of the wrong kind
 */
export function readContract(data) {
  if (data?.schema !== SCHEMA) {
    throw new ContractError(`contract schema ${JSON.stringify(data?.schema)}`, {
      allowed: `schema ${SCHEMA}`,
      next: 'use the release of this page that belongs to the bundle, or convert again',
    });
  }
  const size = data.input ?? {};
  const { low, high, mean, std } = data.intensity ?? {};
  const labels = data.labels ?? [];
  const positive = (value) => Number.isInteger(value) && value >= 1;
  const numbers = (values, count) =>
    Array.isArray(values) && values.length === count && values.every((value) => Number.isFinite(value));
  const check = (ok, what, allowed) => {
    if (!ok)
      throw new ContractError(`contract: ${what}`, { allowed, next: 'do not edit contracts by hand; convert again' });
  };
  check(typeof data.name === 'string', 'no name', 'a string');
  check([size.height, size.width, size.channels].every(positive), 'input size', 'positive integers');
  check(size.channels === 1 || size.channels === 3, `${size.channels} channels`, '1 or 3 in this demo');
  check(Object.hasOwn(PIXELS, size.pixel), `pixel ${size.pixel}`, Object.keys(PIXELS).join(', '));
  check(RESIZE_MODES.includes(data.resize?.mode), `resize ${data.resize?.mode}`, RESIZE_MODES.join(', '));
  check(Number.isFinite(low) && Number.isFinite(high) && low < high, `intensity range [${low}, ${high}]`, 'low < high');
  check(numbers(mean, size.channels) && numbers(std, size.channels), 'mean or std', 'one number per channel');
  check(
    std.every((value) => value > 0),
    `std ${std}`,
    'positive numbers',
  );
  check(Array.isArray(labels) && labels.length >= 2, 'labels', 'background and at least one class');
  for (const [index, label] of labels.entries()) {
    const colour = numbers(label?.color, 3) && label.color.every((value) => value >= 0 && value <= 255);
    check(
      label?.id === index && typeof label.name === 'string' && colour,
      `label ${index}`,
      'ids 0, 1, 2 ..., name, color',
    );
  }
  check(data.spacing_mm === null || numbers(data.spacing_mm, 2), 'spacing_mm', 'null or two numbers');
  return {
    name: data.name,
    modality: String(data.modality),
    height: size.height,
    width: size.width,
    channels: size.channels,
    pixel: size.pixel,
    limits: PIXELS[size.pixel],
    resize: data.resize.mode,
    low,
    high,
    mean,
    std,
    labels,
    spacing: data.spacing_mm,
    intendedUse: String(data.intended_use),
    provenance: data.provenance ?? {},
  };
}
