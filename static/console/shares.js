// @ts-check
// Share links: a link opens its stream for everyone who has it. With a QR code for phones.

import * as api from '../lib/api.js';
import { confirmed, openDialog } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { field, isChecked, snippet, valueOf } from '../lib/form.js';
import { number, t } from '../lib/i18n.js';
import { lifetimeOptions, streamAndPath } from '../lib/links.js';
import { KEEP_OPEN, button, emptyState, formDialog, heading, nameField, notice } from './parts.js';
import { grantTable } from './tokens.js';

/** @type {Section} */
export async function show(main, { args, signal }) {
  const { element, load } = grantTable({
    label: t('console.shares'),
    path: 'api/v1/shares',
    read: async () => (await api.call('api/v1/shares', { signal })).shares,
    nameOf: ({ label, id }) => label || id,
    extra: [{ label: t('console.uses'), class: 'number', text: usesText }],
    empty: emptyState('link', t('console.shares_none'), t('console.shares_none_about')),
    signal,
  });
  const add = async () => {
    if (await makeShare()) load();
  };
  fill(main, heading('shares', button('plus', t('console.share_new'), add, { class: 'primary' })), element);
  await load();
  if (args.has('new')) add();
}

/** @param {Api.Share} share */
const usesText = ({ uses, max_uses: most }) => (most ? `${number(uses)} / ${number(most)}` : number(uses));

/** Makes a link and shows it; gives whether one was made. */
async function makeShare() {
  const [{ streams }, { paths }, addresses] = await Promise.all([
    api.call('api/v1/streams').catch(() => ({ streams: [] })),
    api.call('api/v1/mediamtx/paths').catch(() => ({ paths: [] })),
    api.call('api/v1/addresses').catch(() => null),
  ]);
  const names = streams.map(({ name }) => name);
  const suggestions = h(
    'datalist',
    { id: 'share-paths' },
    [...new Set([...names, ...paths.map(({ name }) => name)])].map((value) => h('option', { value })),
  );
  const path = nameField({
    label: t('console.share_path'),
    name: 'path',
    required: true,
    list: suggestions.id,
    hint: t('console.share_path_about'),
    autofocus: true,
  });
  const uses = field({
    label: t('console.max_uses'),
    name: 'max_uses',
    type: 'number',
    min: 1,
    step: 1,
    placeholder: t('console.unlimited'),
    hint: t('console.max_uses_about'),
  });
  const made = await formDialog({
    title: t('console.share_new'),
    action: t('console.make'),
    body: [
      path,
      suggestions,
      field({ label: t('console.label'), name: 'label', placeholder: t('console.share_label_example') }),
      field({ label: t('console.with_recordings'), name: 'playback', type: 'checkbox' }),
      field({ label: t('console.lifetime'), name: 'expires', value: '7days', options: lifetimeOptions() }),
      uses,
    ],
    send: async (form) => {
      const name = valueOf(form, 'path');
      const isKnown = name.startsWith('~') || names.includes(name) || paths.some((path) => path.name === name);
      const question = {
        title: t('console.share_new'),
        text: t('console.share_unknown', { name }),
        action: t('console.share_anyway'),
      };
      if (!isKnown && !(await confirmed(question))) return KEEP_OPEN;
      const most = valueOf(form, 'max_uses');
      return api.send('POST', 'api/v1/shares', {
        // A stream of ours is also a path of MediaMTX; the link opens both.
        path: names.includes(name) ? streamAndPath(name, addresses?.path_prefix) : name,
        actions: isChecked(form, 'playback') ? ['read', 'playback'] : ['read'],
        label: valueOf(form, 'label') || name,
        expires: valueOf(form, 'expires'),
        ...(most && { max_uses: Number(most) }),
      });
    },
  });
  if (!made) return false;
  const picture = URL.createObjectURL(new Blob([made.qr], { type: 'image/svg+xml' }));
  const warning = notice('warn', h('p', {}, t('console.share_once')));
  const code = h('img', { class: 'qr', src: picture, alt: t('console.qr'), width: 240, height: 240 });
  await openDialog({ title: made.label || t('console.share'), body: [warning, snippet(made.url), code] }).closed;
  URL.revokeObjectURL(picture);
  return true;
}
