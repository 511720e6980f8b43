// @ts-check
// "Paste anything": reads addresses of cameras out of a text, tries them out, and fills the form with the one that is chosen.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { causeText, t } from '../lib/i18n.js';
import { loadStyle } from '../lib/style.js';
import { button } from './parts.js';
import { trialPicture } from './trial.js';

await loadStyle(new URL('paste.css', import.meta.url));

/** Most addresses of a text that are tried out; the server takes four at a time. */
const MOST = 4;

/** Where cameras that are known by their host only have their pictures most often. */
const USUAL = ['rtsp://HOST/stream1', 'rtsp://HOST/live', 'http://HOST:81/stream', 'http://HOST/snapshot.jpg'];

/** Keys of Home Assistant, Frigate and others whose value is an address, and not the name of a camera. */
const KEYS = [
  'path',
  'url',
  'input',
  'inputs',
  'source',
  'stream_source',
  'still_image_url',
  'mjpeg_url',
  'rtsp',
  'http',
  'streams',
  'cameras',
  'camera',
  'ffmpeg',
  'go2rtc',
];

/**
 * A camera that a text names.
 *
 * @typedef {{ name: string, kind: 'rtsp' | 'http', url: string, user: string, pass: string }} Found
 */

/**
 * The value of a key in YAML, or of an option of curl.
 *
 * @param {string} text
 * @param {RegExp} pattern
 */
const valueIn = (text, pattern) => pattern.exec(text)?.[1]?.replaceAll(/^['"]|['"]$/g, '') ?? '';

/**
 * The cameras that a text names: an address or host, a line of curl, YAML of go2rtc, Frigate or Home Assistant.
 *
 * @param {string} text
 * @returns {Found[]}
 */
export function camerasIn(text) {
  const login = valueIn(text, /(?:^|\s)(?:-u|--user)[\s=]+('[^']*'|"[^"]*"|\S+)/);
  const [curlUser, ...curlPass] = login.split(':');
  const user = valueIn(text, /^\s*(?:username|user)\s*:\s*(\S+)\s*$/m) || curlUser;
  const pass = valueIn(text, /^\s*(?:password|pass)\s*:\s*(\S+)\s*$/m) || curlPass.join(':');
  /** @type {Map<string, Found>} */
  const found = new Map();
  let name = valueIn(text, /^\s*-?\s*name\s*:\s*(.+?)\s*$/m);
  for (const line of text.split('\n')) {
    const [, key = ''] = /^\s*-?\s*['"]?([\w./-]+)['"]?\s*:(?:\s|$)/.exec(line) ?? [];
    if (key && !KEYS.includes(key) && (line.trim().endsWith(':') || /(rtsps?|https?):\/\//.test(line))) name = key;
    for (const [written] of line.matchAll(/\b(?:rtsps?|https?):\/\/[^\s'"<>,\]]+/gi)) {
      const one = camera(written, { name, user, pass });
      if (one) found.set(one.url, one);
    }
  }
  const host = text.trim();
  if (!found.size && /^[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)*$/i.test(host)) {
    for (const url of USUAL) {
      const one = camera(url.replace('HOST', host), { name: '', user, pass });
      if (one) found.set(one.url, one);
    }
  }
  return [...found.values()].slice(0, MOST);
}

/**
 * @param {string} written
 * @param {{ name: string, user: string, pass: string }} about
 * @returns {Found | null}
 */
function camera(written, { name, user, pass }) {
  // go2rtc writes options behind #.
  const [text] = written.split('#');
  if (!URL.canParse(text) || /\.m3u8/i.test(text)) return null;
  const url = new URL(text);
  const own = { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) };
  [url.username, url.password] = ['', ''];
  const kind = url.protocol.startsWith('rtsp') ? 'rtsp' : 'http';
  return { name, kind, url: url.href, user: own.user || user, pass: own.pass || pass };
}

/**
 * The field. `choose` takes the camera that the user has chosen over into the form.
 *
 * @param {(camera: Found) => void} choose
 */
export function pasteField(choose) {
  const text = h('textarea', {
    class: 'paste',
    rows: 2,
    placeholder: '192.168.1.30 · rtsp://… · curl … · YAML',
    'aria-label': t('console.paste'),
    spellcheck: false,
    autocapitalize: 'none',
  });
  const results = h('div', { class: 'candidates', role: 'group', 'aria-label': t('console.paste_found') });
  const note = h('p', { class: 'hint', role: 'status' }, t('console.paste_about'));
  const look = button('search', t('console.paste_look'), () => run(), { class: 'small look' });
  const run = async () => {
    const cameras = camerasIn(text.value);
    note.textContent = cameras.length ? t('console.paste_choose') : t('console.paste_nothing');
    const cards = cameras.map((one) => candidate(one, choose));
    fill(
      results,
      cards.map(({ element }) => element),
    );
    look.disabled = true;
    await Promise.all(cards.map(({ test }) => test()));
    look.disabled = false;
  };
  const part = h('div', { class: 'stack tight' }, text, h('div', {}, look), note, results);
  return h('details', { class: 'paste-part' }, h('summary', {}, t('console.paste')), part);
}

/**
 * A camera that was found, with its picture as soon as there is one.
 *
 * @param {Found} found
 * @param {(camera: Found) => void} choose
 */
function candidate(found, choose) {
  const { name, kind, url, user, pass } = found;
  const picture = h('span', { class: 'candidate-picture' }, '…');
  const words = h('span', { class: 'hint' });
  const element = h(
    'button',
    { type: 'button', class: 'candidate', onclick: () => choose(found) },
    picture,
    h('span', { class: 'candidate-words' }, h('b', {}, name || url), name && h('span', { class: 'hint' }, url), words),
  );
  const test = async () => {
    try {
      const { image, about } = await trialPicture('', { kind, url, ...(user && { user }), ...(pass && { pass }) });
      fill(picture, image);
      words.textContent = about;
      element.classList.add('has-picture');
    } catch (error) {
      fill(picture, '—');
      const { message } = /** @type {Error} */ (error);
      words.textContent = error instanceof api.ApiError ? causeText(error.cause, message) : message;
    }
  };
  return { element, test };
}
