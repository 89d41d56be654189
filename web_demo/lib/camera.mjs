/** The camera, with a sentence for every way it can be denied. */

import { DataError } from './errors.mjs';

const REASONS = {
  NotAllowedError: ['no permission for the camera', 'allow it in the browser settings of this site, or choose a file'],
  SecurityError: ['no permission for the camera', 'allow it in the browser settings of this site, or choose a file'],
  NotFoundError: ['no camera was found', 'connect one, or choose a file'],
  OverconstrainedError: ['no camera of a usable size was found', 'choose a file'],
  NotReadableError: ['the camera is in use or broken', 'close other programs that use it, or choose a file'],
};

/**
 * Start the camera; the one that looks away from the user where there are two.
 * @param {HTMLVideoElement} video
 * @returns {Promise<() => void>} stops it
 * @throws {DataError}
 */
export async function startCamera(video) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new DataError('the browser gives no camera to this page', {
      next: 'open it over https or as http://localhost, or choose a file',
    });
  }
  let stream;
  try {
    const wanted = { facingMode: 'environment', width: { ideal: 1280 }, height: { ideal: 720 } };
    stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    video.srcObject = stream;
    await video.play();
  } catch (error) {
    stream?.getTracks().forEach((track) => track.stop());
    const [what, next] = REASONS[error.name] ?? [`the camera cannot be used (${error.message})`, 'choose a file'];
    throw new DataError(what, { next });
  }
  return () => {
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  };
}
