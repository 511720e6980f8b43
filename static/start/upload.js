// @ts-check
// "Show a picture": a picture that is dropped, pasted or chosen becomes a stream.

import * as api from '../lib/api.js';
import { dropTarget, fill, h } from '../lib/dom.js';
import { snippet } from '../lib/form.js';
import { errorText, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { streamAndPath } from '../lib/links.js';
import { askToSignIn } from '../lib/shell.js';
import { toast } from '../lib/toast.js';
import { card } from './check.js';

/** @param {(name: string) => void} onShown called with the name of the stream that has the picture */
export function uploadCard(onShown) {
  const name = h('input', {
    id: 'name',
    value: 'hello',
    maxLength: 200,
    pattern: '[0-9A-Za-z_.\\/\\-]+',
    required: true,
    spellcheck: false,
    'aria-label': t('start.stream_name'),
    title: t('start.stream_name_rule'),
    oninput: () => name.setCustomValidity(''),
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
    fill(result);
    // The browser's own words do not say which characters a name can have.
    name.setCustomValidity(name.validity.patternMismatch ? t('start.stream_name_rule') : '');
    if (picture && form.reportValidity()) upload(picture, name.value, result, onShown);
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
 * @param {(name: string) => void} onShown
 * @returns {Promise<void>}
 */
async function upload(picture, name, place, onShown) {
  fill(place, h('p', {}, t('start.sending', { file: picture.name || t('start.the_picture') })));
  try {
    const path = /** @type {const} */ (`api/v1/streams/${api.encoded(name)}/frame`);
    const { stream, width, height } = await api.call(path, { method: 'PUT', body: picture });
    const text = t('start.shows', { name: stream, width, height });
    fill(place, h('p', { class: 'notice good' }, icon('check'), h('span', {}, text)), await links(stream));
    onShown(stream);
  } catch (error) {
    if (api.needsSignIn(error) && (await askToSignIn())) return upload(picture, name, place, onShown);
    fill(place, h('p', { class: 'notice bad' }, icon('alert'), h('span', {}, errorText(error))));
  }
}

/**
 * How to use a stream that was just made; `isUpload` says whether it takes pictures.
 *
 * @param {string} name
 */
export async function links(name, isUpload = true) {
  const addresses = await api.call('api/v1/addresses').catch(() => null);
  const place = h('div', { class: 'result' });
  const draw = (/** @type {Tokens} */ tokens) => fill(place, rows(name, isUpload, addresses, tokens), tokenButton());
  /** Lines for other machines need a right: a token for this one stream. */
  const tokenButton = () => {
    if (!api.may('api')) return null;
    const onclick = async () => {
      try {
        draw(await makeTokens(name, addresses, isUpload));
      } catch (error) {
        toast(errorText(error), 'bad');
      }
    };
    return h('div', { class: 'row' }, h('button', { type: 'button', onclick }, icon('key'), t('start.with_token')));
  };
  draw({});
  return place;
}

/** @typedef {{ read?: string, send?: string }} Tokens */

/**
 * Tokens for lines that are copied to other machines.
 *
 * @param {string} name
 * @param {Api.Addresses | null} addresses
 * @param {boolean} isUpload
 * @returns {Promise<Tokens>}
 */
async function makeTokens(name, addresses, isUpload) {
  /** @type {(label: string, scope: object) => Promise<string>} */
  const make = async (label, scope) => {
    const wanted = { name: `${label} ${name}`.slice(0, 100), expires: '365days', ...scope };
    return (await api.send('POST', 'api/v1/tokens', wanted)).token;
  };
  const permissions = [{ action: 'read', path: streamAndPath(name, addresses?.path_prefix) }];
  const read = await make('show', { permissions });
  return isUpload ? { read, send: await make('send', { publish_to: name }) } : { read };
}

/**
 * @param {string} name
 * @param {boolean} isUpload
 * @param {Api.Addresses | null} addresses
 * @param {Tokens} tokens
 */
function rows(name, isUpload, addresses, { read, send }) {
  const path = api.encoded(name);
  const there = addresses?.path_prefix ? `${addresses.path_prefix}/${path}` : path;
  const query = read ? `?token=${read}` : '';
  const quote = query && "'"; // Some shells look for files that match a question mark.
  const right = send ? `-H 'Authorization: Bearer ${send}' ` : '';
  const lines = [
    [t('start.in_a_page'), `<img src="${api.address(`stream/${path}.mjpeg`)}${query}">`],
    [t('start.one_picture'), `curl -o picture.jpg ${quote}${api.address(`snapshot/${path}.jpg`)}${query}${quote}`],
    isUpload && [t('start.send_next'), `curl -T picture.jpg ${right}${api.address(`api/v1/streams/${path}/frame`)}`],
    addresses?.rtsp && ['WebRTC', `${addresses.webrtc}/${there}/${query}`],
    addresses?.rtsp && ['HLS', `${addresses.hls}/${there}/index.m3u8${query}`],
    addresses?.rtsp && ['RTSP', `${addresses.rtsp.replace('://', read ? `://token:${read}@` : '://')}/${there}`],
  ];
  const items = lines.map((line) => line && h('div', {}, h('dt', {}, line[0]), h('dd', {}, snippet(String(line[1])))));
  return h('dl', { class: 'snippets' }, items);
}
