// @ts-check
// The dialog that makes a channel of a media file or folder.

import * as api from '../lib/api.js';
import { h } from '../lib/dom.js';
import { field, valueOf } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { toast } from '../lib/toast.js';
import { makeOrReplace } from './make.js';
import { formDialog, nameField } from './parts.js';

/**
 * A name for the channel of a file, in MediaMTX's grammar.
 *
 * @param {string} path
 */
function channelName(path) {
  const stem = path.replace(/\.[a-z0-9]+$/i, '');
  return stem.replaceAll(/[^A-Za-z0-9_./-]+/g, '-').replaceAll(/^-+|-+$/g, '') || 'channel';
}

/**
 * Opens the dialog.
 *
 * @param {string} root
 * @param {string} path
 * @param {string} title
 * @param {boolean} isFolder
 */
export function makeChannel(root, path, title, isFolder) {
  /** @type {[string, string][]} */
  const forms = [
    ['', t('console.channel_as_holds')],
    ['slideshow', t('console.channel_as_slideshow')],
    ['playlist', t('console.channel_as_playlist')],
  ];
  const name = nameField({
    label: t('console.name'),
    name: 'name',
    value: channelName(path),
    required: true,
    autofocus: true,
  });
  return formDialog({
    title: t('console.channel_of', { name: title }),
    action: t('console.channel_make'),
    body: [
      h('p', { class: 'hint' }, t('console.channel_about')),
      name,
      isFolder && field({ label: t('console.channel_as'), name: 'as', options: forms }),
    ],
    send: async (form) => {
      const as = /** @type {'slideshow' | 'playlist' | ''} */ (valueOf(form, 'as'));
      const wanted = { root, path, name: valueOf(form, 'name'), ...(as && { as }) };
      const send = (/** @type {Record<string, string>} */ headers) =>
        api.send('POST', 'api/v1/media/channel', wanted, headers);
      const made = await makeOrReplace(wanted.name, send);
      toast(t('console.channel_made', { name: made.name }));
      return true;
    },
  });
}
