// @ts-check
// What the stage saves or shows elsewhere: snapshots, frames, and picture-in-picture of a canvas.

import { encoded, request } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';

/**
 * Shows a canvas in picture-in-picture. Browsers do this with videos only, so the canvas becomes one.
 *
 * @param {HTMLCanvasElement} canvas
 */
export async function showInPicture(canvas) {
  const video = h('video', { muted: true, playsInline: true, srcObject: canvas.captureStream(10) });
  await video.play();
  await video.requestPictureInPicture();
  const release = () => {
    video.srcObject = null;
  };
  video.addEventListener('leavepictureinpicture', release, { once: true });
}

/**
 * The latest picture of a stream of ours.
 *
 * @param {string} name
 */
export async function snapshotOf(name) {
  const response = await request(`snapshot/${encoded(name)}.jpg`);
  if (!response.ok) throw new Error(t('viewer.no_picture_yet'));
  return response.blob();
}

/**
 * The frame that a video shows.
 *
 * @param {HTMLVideoElement} video
 * @returns {Promise<Blob>}
 */
export async function frameOf(video) {
  const { videoWidth: width, videoHeight: height } = video;
  const canvas = h('canvas', { width, height });
  canvas.getContext('2d')?.drawImage(video, 0, 0);
  /** @type {Blob | null} */
  const blob = width ? await new Promise((done) => canvas.toBlob(done, 'image/jpeg', 0.92)) : null;
  if (!blob) throw new Error(t('viewer.no_picture_yet'));
  return blob;
}

/**
 * A time as a part of a file name, as the user's clock shows it: 2026-01-31-18-05-09.
 *
 * @param {Date} date
 */
export function localTime(date) {
  const parts = [date.getFullYear(), date.getMonth() + 1, date.getDate()];
  parts.push(date.getHours(), date.getMinutes(), date.getSeconds());
  return parts.map((part) => String(part).padStart(2, '0')).join('-');
}
