// @ts-check
// Trying a definition out from its form: the picture, or the error at its field.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { showProblem } from '../lib/form.js';
import { bytes, causeText, number, t } from '../lib/i18n.js';
import { button } from './parts.js';

/** Kinds of streams that fetch their pictures. */
export const TESTABLE = ['rtsp', 'http', 'udp-camera', 'file', 'nas', 'test-card'];

/**
 * A button that fetches one picture by what the form says. `definition` reads the form; `stream` is the stream that is changed, or
 * empty.
 *
 * @param {{ stream: string, definition: (form: HTMLFormElement) => object }} options
 */
export function trialPart({ stream, definition }) {
  const result = h('div', { class: 'trial-result', role: 'status' });
  const test = button('play', t('console.test'), () => run(), { class: 'test' });
  const run = async () => {
    const form = /** @type {HTMLFormElement} */ (test.form);
    showProblem(form, null);
    test.disabled = true;
    fill(result, h('p', { class: 'hint' }, t('console.testing')));
    try {
      const { image, about } = await trialPicture(stream, definition(form));
      fill(result, image, h('p', { class: 'hint' }, about));
    } catch (error) {
      fill(result, h('p', { class: 'bad' }, t('console.test_failed')));
      showProblem(form, worded(error));
    } finally {
      test.disabled = false;
    }
  };
  return h('div', { class: 'trial stack tight' }, h('div', {}, test), result);
}

/**
 * A picture by a definition, and words about it.
 *
 * @param {string} stream
 * @param {object} definition
 */
export async function trialPicture(stream, definition) {
  const began = performance.now();
  const response = await api.request(`api/v1/stream-test?name=${encodeURIComponent(stream)}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(definition),
  });
  if (!response.ok) throw await api.refusal(response);
  const blob = await response.blob();
  const seconds = number((performance.now() - began) / 1000, 1);
  const image = h('img', { alt: t('console.test_picture'), src: URL.createObjectURL(blob) });
  await image.decode();
  const { naturalWidth: width, naturalHeight: height } = image;
  return { image, about: t('console.test_good', { width, height, size: bytes(blob.size), seconds }) };
}

/**
 * The error with the reason in the reader's language.
 *
 * @param {unknown} error
 */
function worded(error) {
  if (!(error instanceof api.ApiError) || error.code !== 'no_picture') return error;
  return new api.ApiError(causeText(error.cause, error.message), error.status, error.code, error.field);
}
