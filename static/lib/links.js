// @ts-check
// Links to one stream that open without a password, for a limited time. They never contain a password or the user's own
// token.

import * as api from './api.js';
import { openDialog } from './dialog.js';
import { fill, h } from './dom.js';
import { field, onSubmit, snippet, valueOf } from './form.js';
import { t } from './i18n.js';

/** How long links and tokens can be valid, in the words of the API. */
export const LIFETIMES = ['1h', '1day', '7days', '30days', '365days'];

/**
 * The options of a field that chooses one of them.
 *
 * @returns {[string, string][]}
 */
export const lifetimeOptions = () => LIFETIMES.map((lifetime) => [lifetime, t(`common.expires_${lifetime}`)]);

/**
 * A name as a part of a regular expression (Rust's) that matches nothing else.
 *
 * @param {string} name
 */
export const literal = (name) => name.replaceAll(/[\\.+*?()|[\]{}^$#&\-~]/g, '\\$&');

/**
 * The path of a permission for a stream here and for its path at MediaMTX, which is below `prefix`.
 *
 * @param {string} name
 * @param {string} [prefix]
 */
export const streamAndPath = (name, prefix) => (prefix ? `~^(${literal(prefix)}/)?${literal(name)}$` : name);

/** @typedef {'page' | 'mjpeg' | 'snapshot' | 'mp4' | 'webrtc' | 'hls' | 'rtsp'} LinkKind */

/**
 * What is linked: a stream of ours, a path of MediaMTX, or both. `hasStills` says that there are MJPEG, snapshots and MP4 of it;
 * `path` is its path at MediaMTX, `addresses` are MediaMTX's servers.
 *
 * @typedef {{ name: string, isStream: boolean, hasStills: boolean, path?: string, addresses?: Api.Addresses }} Linked
 */

/**
 * The kinds of links that there are.
 *
 * @param {Linked} linked
 * @returns {LinkKind[]}
 */
function kindsOf({ isStream, hasStills, path, addresses }) {
  /** @type {LinkKind[]} */
  const kinds = ['page'];
  if (isStream || hasStills) kinds.push('mjpeg', 'snapshot', 'mp4');
  if (path && addresses) kinds.push('webrtc', 'hls');
  if (path && addresses?.rtsp) kinds.push('rtsp');
  return kinds;
}

/**
 * An address; with `token`, it opens without a password.
 *
 * @param {LinkKind} kind
 * @param {Linked} linked
 * @param {string} [token]
 */
function addressOf(kind, { name, path = name, addresses }, token) {
  const [ours, theirs] = [api.encoded(name), api.encoded(path)];
  // A token is accepted as the password of any user name.
  if (kind === 'rtsp') return `${addresses?.rtsp?.replace('://', token ? `://token:${token}@` : '://')}/${theirs}`;
  const plain = {
    page: `${api.address('viewer/')}#/watch/${ours}`,
    mjpeg: api.address(`stream/${ours}.mjpeg`),
    snapshot: api.address(`snapshot/${ours}.jpg`),
    mp4: api.address(`stream/${ours}.mp4`),
    webrtc: `${addresses?.webrtc}/${theirs}/`,
    hls: `${addresses?.hls}/${theirs}/index.m3u8`,
  }[kind];
  return token ? `${plain}?token=${encodeURIComponent(token)}` : plain;
}

/**
 * Makes a link, for administrators: a share for people, an address with a token for this one stream for programs. `expires` is
 * one of LIFETIMES.
 *
 * @param {LinkKind} kind
 * @param {Linked} linked
 * @param {string} expires
 */
async function makeLink(kind, linked, expires) {
  const { name, isStream, path = name, addresses } = linked;
  if (kind === 'page') {
    const both = isStream ? streamAndPath(name, addresses?.path_prefix) : name;
    const share = await api.send('POST', 'api/v1/shares', { path: both, expires, label: name });
    return share.url;
  }
  const permissions = [{ action: 'read', path: ['webrtc', 'hls', 'rtsp'].includes(kind) ? path : name }];
  const made = await api.send('POST', 'api/v1/tokens', { name: `${kind} ${name}`.slice(0, 100), permissions, expires });
  return addressOf(kind, linked, made.token);
}

/**
 * A picture of a link for phones, or nothing if it is too long for one.
 *
 * @param {string} text
 */
export async function qrPicture(text) {
  try {
    const { qr } = await api.send('POST', 'api/v1/qr', { text });
    const src = URL.createObjectURL(new Blob([qr], { type: 'image/svg+xml' }));
    const picture = h('img', { class: 'qr', src, alt: t('common.qr'), width: 200, height: 200 });
    picture.addEventListener('load', () => URL.revokeObjectURL(src), { once: true });
    return picture;
  } catch {
    return null;
  }
}

/** Says that an address with this host leads nowhere on another machine; nothing for other hosts. */
export function hostHint() {
  const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);
  return isLocal && h('p', { class: 'hint' }, t('common.link_local_hint', { host: location.hostname }));
}

/**
 * Asks for the kind of a link and shows it.
 *
 * @param {Linked} linked
 */
export function openLinkDialog(linked) {
  const isAdmin = api.may('api');
  /** @type {[string, string][]} */
  const kindOptions = kindsOf(linked).map((kind) => [kind, t(`common.link_${kind}`)]);
  const body = [
    field({ label: t('common.link_kind'), name: 'kind', options: kindOptions }),
    isAdmin && field({ label: t('common.link_expires'), name: 'expires', value: '7days', options: lifetimeOptions() }),
    h('p', { class: 'hint' }, isAdmin ? t('common.link_hint') : t('common.link_plain_hint')),
  ];
  return linkDialog(t('common.link_title', { name: linked.name }), body, async (form) => {
    const kind = /** @type {LinkKind} */ (valueOf(form, 'kind'));
    const url = isAdmin ? await makeLink(kind, linked, valueOf(form, 'expires')) : addressOf(kind, linked);
    return { url, texts: kind === 'mjpeg' ? [url, `<img src="${url}">`] : [url] };
  });
}

/**
 * A dialog that makes links: `make` reads the form and gives the address, and the texts to copy. An administrator gets a QR code, too.
 *
 * @param {string} title
 * @param {Dom.Child} body
 * @param {(form: HTMLFormElement) => Promise<{ url: string, texts: string[] }>} make
 */
export function linkDialog(title, body, make) {
  const isAdmin = api.may('api');
  const result = h('div', { class: 'stack', 'aria-live': 'polite' });
  const submit = h('button', { class: 'primary' }, isAdmin ? t('common.link_make') : t('common.link_show'));
  const form = h(
    'form',
    { class: 'stack' },
    body,
    hostHint(),
    h('p', { class: 'form-error bad', role: 'alert' }),
    h('div', { class: 'actions' }, submit),
    result,
  );
  form.addEventListener('change', () => result.replaceChildren());
  onSubmit(form, submit, async () => {
    const { url, texts } = await make(form);
    fill(result, texts.map(snippet), isAdmin && (await qrPicture(url)));
  });
  return openDialog({ title, body: form });
}
