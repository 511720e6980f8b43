// @ts-check
// The picture of a graph while its form is filled in.

import * as api from '../lib/api.js';
import { h } from '../lib/dom.js';
import { errorText, t } from '../lib/i18n.js';

/** Pause after the last change before a picture is asked for, in milliseconds. */
const PAUSE = 400;

/**
 * A picture that follows the fields. With the name of a stream, it has the points of the stream.
 *
 * @param {string} name
 * @param {HTMLElement} fields
 * @param {(form: HTMLFormElement) => unknown} wanted gives the definition; fails while a field cannot be read
 */
export function graphPreview(name, fields, wanted) {
  const image = h('img', {
    class: 'graph-preview',
    alt: t('console.preview_about'),
  });
  const reason = h('p', { class: 'hint', 'aria-live': 'polite' });
  const path = name ? `api/v1/graph-preview?name=${encodeURIComponent(name)}` : 'api/v1/graph-preview';
  let [timer, shown, last] = [0, '', 0];

  const draw = async () => {
    const form = image.closest('form');
    if (!form) return;
    const mine = ++last;
    try {
      const headers = { 'Content-Type': 'application/json' };
      const response = await api.request(path, {
        method: 'POST',
        headers,
        body: JSON.stringify(wanted(form)),
      });
      if (!response.ok) throw await api.refusal(response);
      const url = URL.createObjectURL(await response.blob());
      // A slower answer to an earlier request is out of date.
      if (mine < last || !image.isConnected) return URL.revokeObjectURL(url);
      image.src = url;
      URL.revokeObjectURL(shown);
      shown = url;
      reason.textContent = '';
    } catch (error) {
      if (mine === last) reason.textContent = errorText(error);
    }
  };
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(draw, PAUSE);
  };
  const stop = new AbortController();
  fields.addEventListener(
    'input',
    () => {
      if (image.isConnected) later();
      else stop.abort();
    },
    { signal: stop.signal },
  );
  later();
  return h('figure', { class: 'stack tight preview-figure' }, image, reason);
}
