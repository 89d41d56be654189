/**
 * NIfTI scans as axial slices, voxels as they are: columns to the patient's left, rows to posterior, slices to
 * superior. A port of acwskd_edge/data/nifti.py, which follows nibabel; nifti-reader-js reads the header.
 */

import { isNIFTI1, isNIFTI2, readHeader } from 'nifti-reader-js';
import { DataError } from './errors.mjs';

export const MOST_BYTES = 512_000_000;
const SPARE_BYTES = 1_000_000; // read past the voxels, so that a damaged end of a .gz is found
const HEADER_BYTES = 544; // of NIfTI-2, with its four bytes about extensions; a smaller file may be whole
const AXIAL = [-1, -1, 1]; // sign of the patient's x (right to left), y, z along columns, rows, slices
const TYPES = {
  2: Uint8Array,
  4: Int16Array,
  8: Int32Array,
  16: Float32Array,
  64: Float64Array,
  256: Int8Array,
  512: Uint16Array,
  768: Uint32Array,
  1024: BigInt64Array,
  1280: BigUint64Array,
};

export const isScan = (name) => /\.nii(\.gz)?$/i.test(name);

/** A scan on the axial grid. */
export class Scan {
  /** Filled by `readScan`. */
  constructor(name, voxels, axes, scaling) {
    this.name = name;
    this.voxels = voxels;
    this.axes = axes; // columns, rows, slices: {length, stride, flip, mm}
    this.scaling = scaling; // {slope, inter} or null
    [this.width, this.height, this.slices] = axes.map((axis) => axis.length);
    this.spacing = [axes[1].mm, axes[0].mm]; // mm per row and column
    [this.low, this.high] = this.#range();
  }

  #value(raw) {
    const value = Number(raw);
    return this.scaling ? value * this.scaling.slope + this.scaling.inter : value;
  }

  #range() {
    let [low, high] = [Infinity, -Infinity];
    for (const raw of this.voxels) {
      const value = this.#value(raw);
      if (!Number.isFinite(value)) {
        throw new DataError(`${this.name} has NaN or infinite voxels`, { next: 'repair or exclude the scan' });
      }
      if (value < low) low = value;
      if (value > high) high = value;
    }
    return [low, high];
  }

  /** @returns one axial slice as an image, see preprocess.mjs */
  slice(index) {
    const data = new Float64Array(this.height * this.width);
    const [columns, rows, between] = this.axes.map(
      ({ length, stride, flip }) =>
        (at) =>
          stride * (flip ? length - 1 - at : at),
    );
    for (let row = 0, to = 0; row < this.height; row++) {
      const start = between(index) + rows(row);
      for (let col = 0; col < this.width; col++, to++) data[to] = this.#value(this.voxels[start + columns(col)]);
    }
    return { data, height: this.height, width: this.width, channels: 1, levels: null };
  }
}

/**
 * Read .nii or .nii.gz.
 * @param {File} file
 * @returns {Promise<Scan>}
 * @throws {DataError} truncated, not 3-D, too large, NaN, or values that the contract does not cover
 */
export async function readScan(file, contract) {
  if (contract.channels !== 1) {
    throw new DataError(`${file.name} is a scan, but the contract wants ${contract.channels} channels`, {
      allowed: 'PNG, JPEG',
    });
  }
  const { header, bytes } = await readBytes(file);
  const voxels = new TYPES[header.datatypeCode](swapped(bytes, header).buffer);
  const slope = header.scl_slope;
  const scaled = Number.isFinite(slope) && slope !== 0 && (slope !== 1 || header.scl_inter !== 0);
  const axes = axesOf(affineOf(header), header.dims.slice(1, 4), file.name);
  const scan = new Scan(file.name, voxels, axes, scaled ? { slope, inter: header.scl_inter } : null);
  if (contract.pixel === 'uint8' && (scan.low < 0 || scan.high > 255)) {
    throw new DataError(`${file.name} has voxels from ${scan.low} to ${scan.high}`, {
      allowed: '0 to 255, as the network was trained on',
      next: 'scale the volume to 0..255 (min-max) first',
    });
  }
  return scan;
}

/** The header, and the voxels' bytes; stops as soon as it has them, so that no file can fill the memory. */
async function readBytes(file) {
  const start = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  const packed = start[0] === 0x1f && start[1] === 0x8b;
  const reader = (packed ? file.stream().pipeThrough(new DecompressionStream('gzip')) : file.stream()).getReader();
  let [head, header, bytes, seen] = [new Uint8Array(0), null, null, 0];
  const begin = () => {
    header = checkedHeader(head, file.name);
    bytes = new Uint8Array(sizeOf(header));
    put(bytes, head, -header.vox_offset);
    seen = head.length;
  };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (header) {
        put(bytes, value, seen - header.vox_offset);
        seen += value.length;
        if (seen > header.vox_offset + bytes.length + SPARE_BYTES) break;
      } else {
        head = joined(head, value);
        if (head.length >= HEADER_BYTES) begin();
      }
    }
    if (!header) begin();
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${file.name} is truncated or damaged (${error.message})`, { next: 'copy it again' });
  } finally {
    reader.cancel().catch(() => {});
  }
  if (seen < header.vox_offset + bytes.length) {
    throw new DataError(`${file.name} is truncated: ${seen} of ${header.vox_offset + bytes.length} bytes`, {
      next: 'copy it again',
    });
  }
  return { header, bytes };
}

function joined(first, second) {
  const whole = new Uint8Array(first.length + second.length);
  whole.set(first);
  whole.set(second, first.length);
  return whole;
}

/** Copy the part of `chunk` that falls into `bytes` when it is laid at `at`. */
function put(bytes, chunk, at) {
  const from = Math.max(0, -at);
  const room = bytes.length - Math.max(0, at);
  if (from < chunk.length && room > 0) bytes.set(chunk.subarray(from, from + room), Math.max(0, at));
}

const sizeOf = ({ dims, datatypeCode }) => dims[1] * dims[2] * dims[3] * TYPES[datatypeCode].BYTES_PER_ELEMENT;

function checkedHeader(head, name) {
  const { buffer } = joined(head, new Uint8Array(HEADER_BYTES)).subarray(0, HEADER_BYTES).slice();
  if (head.length < 348 || (!isNIFTI1(buffer) && !isNIFTI2(buffer))) {
    throw new DataError(`${name} is not a readable NIfTI file`, { allowed: 'NIfTI-1 or NIfTI-2, .nii or .nii.gz' });
  }
  const header = readHeader(buffer.slice(0, isNIFTI1(buffer) ? 348 : 540));
  header.raw = new DataView(buffer);
  header.version = isNIFTI1(buffer) ? 1 : 2;
  const shape = header.dims.slice(1, 1 + header.dims[0]);
  if (header.dims[0] !== 3 || !shape.every((side) => side >= 1)) {
    throw new DataError(`${name} has shape (${shape})`, { allowed: 'one 3-D volume' });
  }
  if (!TYPES[header.datatypeCode]) {
    throw new DataError(`${name} has voxels of type ${header.datatypeCode}`, {
      allowed: 'integers of 8 to 64 bits, floats',
    });
  }
  if (sizeOf(header) > MOST_BYTES) {
    throw new DataError(`${name} has ${Math.round(sizeOf(header) / 1e6)} MB of voxels`, {
      allowed: `${MOST_BYTES / 1e6} MB`,
    });
  }
  if (Number.isFinite(header.scl_slope) && header.scl_slope !== 0 && !Number.isFinite(header.scl_inter)) {
    throw new DataError(`${name} has a scaling of ${header.scl_slope} and ${header.scl_inter}`, {
      next: 'repair its header',
    });
  }
  return header;
}

/** Big-endian voxels turned round in place. */
function swapped(bytes, header) {
  const size = TYPES[header.datatypeCode].BYTES_PER_ELEMENT;
  if (!header.littleEndian) for (let at = 0; at < bytes.length; at += size) bytes.subarray(at, at + size).reverse();
  return bytes;
}

/** Voxel -> mm as 3 rows of 3: sform, else qform, else the voxel sizes with x turned, as nibabel chooses. */
function affineOf(header) {
  const { pixDims, raw, littleEndian } = header;
  if (header.sform_code !== 0) {
    const [start, size, get] = header.version === 1 ? [280, 4, 'getFloat32'] : [400, 8, 'getFloat64'];
    return [0, 1, 2].map((row) => [0, 1, 2].map((col) => raw[get](start + (row * 4 + col) * size, littleEndian)));
  }
  if (header.qform_code === 0)
    return [
      [-pixDims[1], 0, 0],
      [0, pixDims[2], 0],
      [0, 0, pixDims[3]],
    ];
  const { quatern_b: x, quatern_c: y, quatern_d: z } = header;
  const rest = 1 - (x * x + y * y + z * z);
  const w = Math.abs(rest) < 3e-7 ? 0 : Math.sqrt(Math.max(0, rest));
  const s = 2 / (w * w + x * x + y * y + z * z);
  const turn = [
    [1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)],
    [s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x)],
    [s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)],
  ];
  const sizes = [pixDims[1], pixDims[2], pixDims[3] * (pixDims[0] < 0 ? -1 : 1)];
  return turn.map((row) => row.map((value, col) => value * sizes[col]));
}

const determinant = ([[a, b, c], [d, e, f], [g, h, i]]) =>
  a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);

/** Which voxel axis runs along the patient's x, y, z, and whether against the axial direction. */
function axesOf(affine, shape, name) {
  if (!(Math.abs(determinant(affine)) >= 1e-9)) {
    throw new DataError(`${name} has a singular affine`, { next: 'repair its header' });
  }
  const mm = [0, 1, 2].map((col) => Math.hypot(affine[0][col], affine[1][col], affine[2][col]));
  const turn = nearestRotation(affine.map((row) => row.map((value, col) => value / mm[col])));
  const strength = (col) => Math.max(...turn.map((row) => row[col] ** 2));
  const order = [0, 1, 2].sort((a, b) => strength(b) - strength(a));
  const axes = [];
  for (const col of order) {
    const free = [0, 1, 2].filter((row) => !axes[row]);
    const along = free.reduce((best, row) => (Math.abs(turn[row][col]) > Math.abs(turn[best][col]) ? row : best));
    const stride = shape.slice(0, col).reduce((product, side) => product * side, 1);
    axes[along] = { length: shape[col], stride, flip: Math.sign(turn[along][col]) !== AXIAL[along], mm: mm[col] };
  }
  return axes;
}

/** The orthogonal factor of a matrix's polar decomposition, by Newton's iteration (Higham 1986). */
function nearestRotation(matrix) {
  let turn = matrix;
  for (let step = 0; step < 60; step++) {
    const det = determinant(turn);
    const inverted = turn.map((row, i) =>
      row.map((_, j) => {
        const [p, q, r, t] = [(i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3];
        return (turn[p][r] * turn[q][t] - turn[p][t] * turn[q][r]) / det; // the cofactor: inverse, transposed
      }),
    );
    turn = turn.map((row, i) => row.map((value, j) => (value + inverted[i][j]) / 2));
  }
  return turn;
}
