// Links to pictures that carry a right of their own, for one stream and a time: never a password, never one's own token.

import * as api from './api.js';
import { openDialog } from './dialog.js';
import { h } from './dom.js';
import { copyButton, field, showProblem } from './form.js';
import { t } from './i18n.js';

const EXPIRES = ['1h', '1day', '7days', '30days', '365days'];

/** A name as the part of a regular expression (Rust's) that matches it and nothing else. */
const literal = (name) => name.replaceAll(/[\\.+*?()|[\]{}^$#&\-~]/g, '\\$&');

/** The name of a stream here and, below `picturesPath`, at MediaMTX, as the path of a permission. */
export const hereAndThere = (name, picturesPath) =>
  picturesPath ? `~^(${literal(picturesPath)}/)?${literal(name)}$` : name;

/**
 * Makes a link. `kind` is 'page' (the viewer, for people), 'mjpeg' or 'snapshot' (for programs and pages of others); `path` is
 * that of the permission; `expires` is a time such as '7days'. For administrators.
 */
export async function makeLink({ kind, name, path = name, expires }) {
  if (kind === 'page') return (await api.send('POST', 'api/v1/shares', { path, expires, label: name })).url;
  const { token } = await api.send('POST', 'api/v1/tokens', {
    name: `${kind} ${name}`.slice(0, 100),
    permissions: [{ action: 'read', path: name }],
    expires,
  });
  const url = new URL(plainAddress(kind, name));
  url.searchParams.set('token', token);
  return url.href;
}

/** The address without any right in it. */
export function plainAddress(kind, name) {
  if (kind === 'page') return `${api.address('viewer/')}#/watch/${api.encoded(name)}`;
  return api.address(kind === 'mjpeg' ? `stream/${api.encoded(name)}.mjpeg` : `snapshot/${api.encoded(name)}.jpg`);
}

/** Asks what link is wanted, and makes it. `hasPictures` says whether it is a stream of ours, with MJPEG and snapshots. */
export function openLinkDialog({ name, hasPictures, picturesPath }) {
  const kinds = ['page', ...(hasPictures ? ['mjpeg', 'snapshot'] : [])];
  const isAdmin = api.may('api');
  const made = h('div', { class: 'stack', 'aria-live': 'polite' });
  const form = h(
    'form',
    { class: 'stack' },
    field({
      label: t('common.link_kind'),
      name: 'kind',
      options: kinds.map((kind) => [kind, t(`common.link_${kind}`)]),
    }),
    isAdmin &&
      field({
        label: t('common.link_expires'),
        name: 'expires',
        value: '7days',
        options: EXPIRES.map((span) => [span, t(`common.expires_${span}`)]),
      }),
    h('p', { class: 'hint' }, isAdmin ? t('common.link_hint') : t('common.link_plain_hint')),
    h('p', { class: 'form-error bad', role: 'alert' }),
    h(
      'div',
      { class: 'actions' },
      h('button', { class: 'primary' }, isAdmin ? t('common.link_make') : t('common.link_show')),
    ),
    made,
  );
  form.addEventListener('change', () => made.replaceChildren());
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    showProblem(form, null);
    const kind = form.elements.kind.value;
    try {
      const path = hasPictures ? hereAndThere(name, picturesPath) : name;
      const url = isAdmin
        ? await makeLink({ kind, name, path, expires: form.elements.expires.value })
        : plainAddress(kind, name);
      made.replaceChildren(
        h('div', { class: 'snippet' }, h('code', { tabIndex: 0 }, url), copyButton(url)),
        ...(kind === 'mjpeg'
          ? [
              h(
                'div',
                { class: 'snippet' },
                h('code', { tabIndex: 0 }, `<img src="${url}">`),
                copyButton(`<img src="${url}">`),
              ),
            ]
          : []),
      );
    } catch (error) {
      showProblem(form, error);
    }
  });
  return openDialog({ title: t('common.link_title', { name }), body: form });
}
