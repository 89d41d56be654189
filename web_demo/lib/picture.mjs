/** PNG, JPEG and camera frames as the contract's image; drawing. A port of acwskd_edge/picture.py. */

import { DataError } from './errors.mjs';

export const MOST_SIDE = 8192;
export const MOST_PIXELS = 64_000_000;
const STRIP_PIXELS = 4_000_000;
const ALLOWED = 'PNG or JPEG, 8 bits per channel';

/**
 * What a file's header says, before anything is decoded.
 * @param {ArrayBuffer} buffer
 * @returns {{kind: 'png' | 'jpeg', width: number, height: number, alpha: boolean}}
 * @throws {DataError} not a picture, truncated, too large, or of a depth that the contract does not cover
 */
export function inspect(buffer, name) {
  const view = new DataView(buffer);
  let found;
  try {
    if (view.getUint32(0) === 0x89504e47) found = inspectPng(view);
    else if (view.getUint16(0) === 0xffd8) found = inspectJpeg(view);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new DataError(`${name} is truncated or not a picture`, { allowed: ALLOWED });
  }
  if (!found)
    throw new DataError(`${name} is not a readable picture`, { allowed: `${ALLOWED}; scans as .nii or .nii.gz` });
  if (found.depth > 8)
    throw new DataError(`${name} has ${found.depth} bits per channel`, { allowed: '8 bits per channel' });
  checkSize(found.width, found.height, name);
  return found;
}

/** @throws {DataError} more pixels than a phone's browser should be asked to hold */
export function checkSize(width, height, name) {
  if (width < 1 || height < 1 || Math.max(width, height) > MOST_SIDE || width * height > MOST_PIXELS) {
    throw new DataError(`${name} has ${width} x ${height} pixels`, {
      allowed: `1 to ${MOST_SIDE} a side, ${MOST_PIXELS / 1e6} million in all`,
      next: 'make it smaller or cut a part out',
    });
  }
}

function inspectPng(view) {
  const [width, height, depth, colour] = [view.getUint32(16), view.getUint32(20), view.getUint8(24), view.getUint8(25)];
  let alpha = colour === 4 || colour === 6;
  for (let at = 33; at + 8 <= view.byteLength && !alpha; at += 12 + view.getUint32(at)) {
    const chunk = view.getUint32(at + 4);
    if (chunk === 0x49444154) break; // IDAT
    alpha = chunk === 0x74524e53; // tRNS
  }
  return { kind: 'png', width, height, depth, alpha };
}

function inspectJpeg(view) {
  for (let at = 2; ; at += 2 + view.getUint16(at + 2)) {
    const marker = view.getUint16(at);
    if (marker >> 8 !== 0xff) return null;
    const frame = marker >= 0xffc0 && marker <= 0xffcf && ![0xffc4, 0xffc8, 0xffcc].includes(marker);
    if (frame) {
      const [height, width] = [view.getUint16(at + 5), view.getUint16(at + 7)];
      return { kind: 'jpeg', width, height, depth: view.getUint8(at + 4), alpha: false };
    }
  }
}

/**
 * Decode a picture file, values exactly as they are in it: no colour management, no alpha, upright by its EXIF tag.
 * @param {Blob} file
 * @returns {Promise<object>} an image, see preprocess.mjs
 * @throws {DataError}
 */
export async function readPicture(file, contract) {
  const { alpha } = inspect(await file.arrayBuffer(), file.name);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {
      colorSpaceConversion: 'none',
      premultiplyAlpha: 'none',
      imageOrientation: 'from-image',
    });
  } catch (error) {
    throw new DataError(`${file.name} cannot be decoded (${error.message})`, {
      allowed: ALLOWED,
      next: 'save it again',
    });
  }
  try {
    const image = emptyImage(bitmap.width, bitmap.height, contract);
    const strips = alpha ? stripsOfTexture(bitmap) : stripsOfCanvas(bitmap, bitmap.width, bitmap.height);
    for (const { top, rgba } of strips) fill(image, top, rgba);
    return image;
  } finally {
    bitmap.close();
  }
}

/** What a <video> shows now as an image. */
export function readFrame(video, contract) {
  const image = emptyImage(video.videoWidth, video.videoHeight, contract);
  for (const { top, rgba } of stripsOfCanvas(video, image.width, image.height)) fill(image, top, rgba);
  return image;
}

/** An 8-bit picture for a contract in HU is a screenshot of the window: 0 is `low`, 255 is `high`. */
function emptyImage(width, height, contract) {
  const { channels, low, high } = contract;
  const levels =
    contract.pixel === 'uint8'
      ? null
      : Float64Array.from({ length: 256 }, (_, value) => low + (value / 255) * (high - low));
  return { data: new Uint8Array(width * height * channels), height, width, channels, levels };
}

/** Rows of opaque pixels through a canvas no larger than any browser allows. */
function* stripsOfCanvas(source, width, height) {
  const rows = Math.min(height, Math.max(1, Math.floor(STRIP_PIXELS / width)));
  const canvas = Object.assign(document.createElement('canvas'), { width, height: rows });
  const context = canvas.getContext('2d', { willReadFrequently: true, colorSpace: 'srgb' });
  for (let top = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top);
    context.drawImage(source, 0, top, width, count, 0, 0, width, count);
    yield { top, rgba: context.getImageData(0, 0, width, count).data };
  }
}

/** The same where there is alpha: a 2-D canvas multiplies it in, a texture does not. */
function* stripsOfTexture(bitmap) {
  const gl = document.createElement('canvas').getContext('webgl');
  if (!gl) {
    throw new DataError('a picture with transparency cannot be read exactly in this browser (no WebGL)', {
      next: 'save it without transparency',
    });
  }
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  const rows = Math.min(bitmap.height, Math.max(1, Math.floor(STRIP_PIXELS / bitmap.width)));
  for (let top = 0; top < bitmap.height; top += rows) {
    const count = Math.min(rows, bitmap.height - top);
    const rgba = new Uint8Array(bitmap.width * count * 4);
    gl.readPixels(0, top, bitmap.width, count, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
    if (gl.getError()) throw new DataError('the picture is too large for this browser', { next: 'make it smaller' });
    yield { top, rgba };
  }
  gl.getExtension('WEBGL_lose_context')?.loseContext();
}

/** Lay a strip of red, green, blue, alpha into the image; one channel is grey by BT.601 in whole numbers. */
function fill(image, top, rgba) {
  let to = top * image.width * image.channels;
  for (let from = 0; from < rgba.length; from += 4) {
    if (image.channels === 1) image.data[to++] = luma(rgba[from], rgba[from + 1], rgba[from + 2]);
    else for (let channel = 0; channel < 3; channel++) image.data[to++] = rgba[from + channel];
  }
}

/** Red, green, blue, 0 to 255 -> grey; equal values stay as they are. */
export function luma(red, green, blue) {
  return (9798 * red + 19235 * green + 3735 * blue + 16384) >> 15;
}

/**
 * The image with a tint of the contract's colours over every class but background.
 * @param {object} image (H, W, C)
 * @param {Uint8Array | null} mask (H, W); none: the image alone
 * @param {number} opacity of the tint, 0 to 1
 * @param {number} step draw every step-th pixel of every step-th row
 * @returns {{rgba: Uint8ClampedArray, width: number, height: number}}
 */
export function tint(image, mask, contract, opacity = 0.45, step = 1) {
  const { data, channels, levels } = image;
  const { low, high, labels } = contract;
  const [width, height] = [Math.ceil(image.width / step), Math.ceil(image.height / step)];
  const rgba = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let row = 0, to = 0; row < height; row++) {
    for (let col = 0; col < width; col++, to += 4) {
      const at = row * step * image.width + col * step;
      const label = mask ? mask[at] : 0;
      for (let channel = 0; channel < 3; channel++) {
        const raw = data[at * channels + (channels === 3 ? channel : 0)];
        const value = Math.min(1, Math.max(0, ((levels ? levels[raw] : raw) - low) / (high - low)));
        const shown = Math.floor(value * 255 + 0.5);
        const drawn = label ? (1 - opacity) * shown + opacity * labels[label].color[channel] : shown;
        rgba[to + channel] = Math.floor(drawn + 0.5);
      }
    }
  }
  return { rgba, width, height };
}
