// @ts-check
// A link with which a phone becomes a camera: it publishes to one path of MediaMTX.

import * as api from '../lib/api.js';
import { h } from '../lib/dom.js';
import { field, valueOf } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { lifetimeOptions, linkDialog } from '../lib/links.js';
import { nameField, notice } from './parts.js';

/** Asks for a path, and makes a share link that publishes to it. */
export function openPhoneDialog() {
  const path = nameField({
    label: t('console.path'),
    name: 'path',
    required: true,
    value: 'phone',
    pattern: '[A-Za-z0-9_.\\-\\/]+',
  });
  const body = [
    h('p', { class: 'hint' }, t('console.phone_about')),
    // Browsers give the camera to pages over HTTPS only.
    location.protocol !== 'https:' && notice('warn', h('p', {}, t('console.phone_insecure'))),
    path,
    field({ label: t('common.link_expires'), name: 'expires', value: '1day', options: lifetimeOptions() }),
  ];
  return linkDialog(t('console.phone'), body, async (form) => {
    const name = valueOf(form, 'path');
    await makePath(name);
    const wanted = { path: name, actions: ['publish'], expires: valueOf(form, 'expires'), label: name };
    const { code } = await api.send('POST', 'api/v1/shares', wanted);
    const url = new URL(api.address('viewer/'));
    url.hash = new URLSearchParams({ share: code, to: `publish/${api.encoded(name)}` }).toString();
    return { url: url.href, texts: [url.href] };
  });
}

/**
 * Makes the path at MediaMTX, which accepts publishers only on paths that it knows. One that exists stays as it is.
 *
 * @param {string} name
 */
async function makePath(name) {
  const path = /** @type {const} */ (`api/v1/paths/${api.encoded(name)}`);
  try {
    const definition = /** @type {any} */ ({ kind: 'raw', fields: { source: 'publisher' } });
    await api.send('PUT', path, definition, { 'If-None-Match': '*' });
  } catch (error) {
    const exists = error instanceof api.ApiError && ['precondition_failed', 'path_exists'].includes(error.code);
    if (!exists) throw error;
  }
}
