/** .npy files of version 1, as numpy writes the golden vectors. */

import { DataError } from './errors.mjs';

const DTYPES = {
  '|u1': [Uint8Array, 'getUint8'],
  '|i1': [Int8Array, 'getInt8'],
  '<u2': [Uint16Array, 'getUint16'],
  '<i2': [Int16Array, 'getInt16'],
  '<u4': [Uint32Array, 'getUint32'],
  '<i4': [Int32Array, 'getInt32'],
  '<f4': [Float32Array, 'getFloat32'],
  '<f8': [Float64Array, 'getFloat64'],
};

/**
 * @param {ArrayBuffer} buffer a whole file
 * @param {string} name for messages
 * @returns {{shape: number[], data: Float32Array | Uint8Array | Int16Array}}
 * @throws {DataError} not such a file, or another dtype or order
 */
export function readNpy(buffer, name = 'array') {
  const refuse = (what) => {
    throw new DataError(`${name}: ${what}`, { allowed: `.npy version 1, ${Object.keys(DTYPES).join(' ')}, C order` });
  };
  const bytes = new Uint8Array(buffer);
  if (bytes.length < 10 || String.fromCharCode(...bytes.subarray(0, 6)) !== '\x93NUMPY' || bytes[6] !== 1) {
    refuse('not a .npy file of version 1');
  }
  const start = 10 + bytes[8] + 256 * bytes[9];
  const header = new TextDecoder('latin1').decode(bytes.subarray(10, start));
  const descr = /'descr': '([^']+)'/.exec(header)?.[1];
  const shapeText = /'shape': \(([\d, ]*)\)/.exec(header)?.[1];
  if (!Object.hasOwn(DTYPES, descr ?? '') || shapeText === undefined || !header.includes("'fortran_order': False")) {
    refuse(`header ${header.trim()}`);
  }
  const shape = shapeText
    .split(',')
    .filter((part) => part.trim())
    .map(Number);
  const [Values, get] = DTYPES[descr];
  const count = shape.reduce((product, side) => product * side, 1);
  if (buffer.byteLength - start !== count * Values.BYTES_PER_ELEMENT)
    refuse(`${buffer.byteLength} bytes for shape ${shape}`);
  const view = new DataView(buffer, start);
  const data = Values.from({ length: count }, (_, at) => view[get](at * Values.BYTES_PER_ELEMENT, true));
  return { shape, data };
}
