// @ts-check
// Links to one stream that open without a password, for a limited time. They never contain a password or the user's own
// token.

import * as api from './api.js';
import { openDialog } from './dialog.js';
import { h } from './dom.js';
import { field, showProblem, snippet, valueOf } from './form.js';
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
const literal = (name) => name.replaceAll(/[\\.+*?()|[\]{}^$#&\-~]/g, '\\$&');

/**
 * The path of a permission for a stream here and for its path at MediaMTX, which is below `prefix`.
 *
 * @param {string} name
 * @param {string} [prefix]
 */
export const streamAndPath = (name, prefix) => (prefix ? `~^(${literal(prefix)}/)?${literal(name)}$` : name);

/**
 * Makes a link, for administrators. `kind` is 'page' (the viewer), 'mjpeg' or 'snapshot'; `path` is the path of the
 * permission, and `expires` one of LIFETIMES.
 *
 * @param {{ kind: string, name: string, path?: string, expires: string }} options
 * @returns {Promise<string>}
 */
export async function makeLink({ kind, name, path = name, expires }) {
  if (kind === 'page') {
    const share = await api.send('POST', 'api/v1/shares', { path, expires, label: name });
    return share.url;
  }
  const permissions = [{ action: 'read', path: name }];
  const made = await api.send('POST', 'api/v1/tokens', { name: `${kind} ${name}`.slice(0, 100), permissions, expires });
  const url = new URL(plainAddress(kind, name));
  url.searchParams.set('token', made.token);
  return url.href;
}

/**
 * The address without a token.
 *
 * @param {string} kind
 * @param {string} name
 */
export function plainAddress(kind, name) {
  if (kind === 'page') return `${api.address('viewer/')}#/watch/${api.encoded(name)}`;
  return api.address(kind === 'mjpeg' ? `stream/${api.encoded(name)}.mjpeg` : `snapshot/${api.encoded(name)}.jpg`);
}

/**
 * Asks for the kind of a link and shows it. `isStream` says that it is a stream of ours, with MJPEG and snapshots;
 * `prefix` is the first part of our streams' paths at MediaMTX.
 *
 * @param {{ name: string, isStream: boolean, prefix?: string }} options
 */
export function openLinkDialog({ name, isStream, prefix }) {
  const kinds = isStream ? ['page', 'mjpeg', 'snapshot'] : ['page'];
  const isAdmin = api.may('api');
  const result = h('div', { class: 'stack', 'aria-live': 'polite' });
  /** @type {[string, string][]} */
  const kindOptions = kinds.map((kind) => [kind, t(`common.link_${kind}`)]);
  const form = h(
    'form',
    { class: 'stack' },
    field({ label: t('common.link_kind'), name: 'kind', options: kindOptions }),
    isAdmin && field({ label: t('common.link_expires'), name: 'expires', value: '7days', options: lifetimeOptions() }),
    h('p', { class: 'hint' }, isAdmin ? t('common.link_hint') : t('common.link_plain_hint')),
    h('p', { class: 'form-error bad', role: 'alert' }),
    h(
      'div',
      { class: 'actions' },
      h('button', { class: 'primary' }, isAdmin ? t('common.link_make') : t('common.link_show')),
    ),
    result,
  );
  form.addEventListener('change', () => result.replaceChildren());
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    showProblem(form, null);
    const kind = valueOf(form, 'kind');
    const path = isStream ? streamAndPath(name, prefix) : name;
    try {
      const url = isAdmin
        ? await makeLink({ kind, name, path, expires: valueOf(form, 'expires') })
        : plainAddress(kind, name);
      const texts = kind === 'mjpeg' ? [url, `<img src="${url}">`] : [url];
      result.replaceChildren(...texts.map(snippet));
    } catch (error) {
      showProblem(form, error);
    }
  });
  return openDialog({ title: t('common.link_title', { name }), body: form });
}
