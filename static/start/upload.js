// @ts-check
// "Show a picture": a picture that is dropped, pasted or chosen becomes a stream.

import * as api from '../lib/api.js';
import { dropTarget, fill, h } from '../lib/dom.js';
import { snippet } from '../lib/form.js';
import { errorText, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { askToSignIn } from '../lib/shell.js';
import { card } from './check.js';

export function uploadCard() {
  const name = h('input', {
    id: 'name',
    value: 'hello',
    maxLength: 200,
    pattern: '[0-9A-Za-z_.\\/\\-]+',
    required: true,
    spellcheck: false,
    'aria-label': t('start.stream_name'),
    title: t('start.stream_name_rule'),
  });
  const file = h('input', {
    id: 'file',
    type: 'file',
    accept: 'image/*',
    class: 'visually-hidden',
    'aria-label': t('start.choose'),
    onchange: () => {
      take(file.files?.[0]);
      file.value = '';
    },
  });
  const result = h('div', { id: 'result', class: 'result', role: 'status' });
  const form = h(
    'form',
    { class: 'drop', onsubmit: (event) => event.preventDefault() },
    icon('upload', 30),
    h('p', {}, h('strong', {}, t('start.drop')), ' ', t('start.or_paste')),
    h('div', { class: 'named' }, h('label', { class: 'button primary', htmlFor: 'file' }, t('start.choose')), file),
    h('div', { class: 'named' }, h('label', { htmlFor: 'name' }, t('start.as_stream')), name),
  );
  /** @param {File | undefined} picture */
  const take = (picture) => {
    if (picture && form.reportValidity()) upload(picture, name.value, result);
  };
  dropTarget(form, take);
  document.addEventListener('paste', (event) => take(event.clipboardData?.files[0]));
  return card({ id: 'upload-title', shape: 'camera', title: t('start.picture_title'), wide: true }, form, result);
}

/**
 * Uploads a picture and shows the result.
 *
 * @param {File} picture
 * @param {string} name
 * @param {HTMLElement} place
 * @returns {Promise<void>}
 */
async function upload(picture, name, place) {
  fill(place, h('p', {}, t('start.sending', { file: picture.name || t('start.the_picture') })));
  try {
    const path = /** @type {const} */ (`api/v1/streams/${api.encoded(name)}/frame`);
    const { stream, width, height } = await api.call(path, { method: 'PUT', body: picture });
    const text = t('start.shows', { name: stream, width, height });
    fill(place, h('p', { class: 'notice good' }, icon('check'), h('span', {}, text)), links(stream));
  } catch (error) {
    if (api.needsSignIn(error) && (await askToSignIn())) return upload(picture, name, place);
    fill(place, h('p', { class: 'notice bad' }, icon('alert'), h('span', {}, errorText(error))));
  }
}

/**
 * How to use a stream that was just made; `isUpload` says whether it takes pictures.
 *
 * @param {string} name
 */
export function links(name, isUpload = true) {
  const path = api.encoded(name);
  const rows = [
    [t('start.in_a_page'), `<img src="${api.address(`stream/${path}.mjpeg`)}">`],
    [t('start.one_picture'), `curl -o picture.jpg ${api.address(`snapshot/${path}.jpg`)}`],
  ];
  if (isUpload) {
    rows.push([t('start.send_next'), `curl -T picture.jpg ${api.address(`api/v1/streams/${path}/frame`)}`]);
  }
  const watch = h(
    'a',
    { class: 'button primary', href: `${api.address('viewer/')}#/watch/${path}` },
    icon('play'),
    t('start.watch'),
  );
  const items = rows.map(([title, text]) => h('div', {}, h('dt', {}, title), h('dd', {}, snippet(text))));
  return h('div', { class: 'result' }, h('div', { class: 'row' }, watch), h('dl', { class: 'snippets' }, items));
}
