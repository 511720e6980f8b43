// Share links: whoever has one sees what it is for. With a QR code for telephones.

import * as api from '../lib/api.js';
import { openDialog } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { field, snippet } from '../lib/form.js';
import { number, t } from '../lib/i18n.js';
import { hereAndThere } from '../lib/links.js';
import { button, formDialog, head, nothing, notice } from './parts.js';
import { grants, spanOptions } from './tokens.js';

export async function show(main, { args, signal }) {
  const place = h('div', {});
  const look = grants({
    label: t('console.shares'),
    path: 'api/v1/shares',
    listKey: 'shares',
    nameOf: ({ label, id }) => label || id,
    extra: [
      {
        label: t('console.uses'),
        class: 'number',
        text: ({ uses, max_uses: most }) => (most ? `${number(uses)} / ${number(most)}` : number(uses)),
      },
    ],
    empty: nothing('link', t('console.shares_none'), t('console.shares_none_about')),
    place,
    signal,
  });
  const add = async () => (await make()) && look();
  fill(main, head('shares', button('plus', t('console.share_new'), add, { class: 'primary' })), place);
  await look();
  if (args.has('new')) add();
}

async function make() {
  const [{ streams }, addresses] = await Promise.all([
    api.call('api/v1/streams').catch(() => ({ streams: [] })),
    api.call('api/v1/addresses').catch(() => ({})),
  ]);
  const names = h(
    'datalist',
    { id: 'share-paths' },
    streams.map(({ name }) => h('option', { value: name })),
  );
  const made = await formDialog({
    title: t('console.share_new'),
    action: t('console.make'),
    body: [
      field({
        label: t('console.share_path'),
        name: 'path',
        required: true,
        list: 'share-paths',
        hint: t('console.share_path_about'),
        autocapitalize: 'none',
        spellcheck: false,
        autofocus: true,
      }),
      names,
      field({ label: t('console.label'), name: 'label', placeholder: t('console.share_label_example') }),
      field({ label: t('console.recordings_too'), name: 'playback', type: 'checkbox' }),
      field({ label: t('console.good_for'), name: 'expires', value: '7days', options: spanOptions() }),
      field({
        label: t('console.max_uses'),
        name: 'max_uses',
        type: 'number',
        min: 1,
        step: 1,
        placeholder: t('console.unlimited'),
        hint: t('console.max_uses_about'),
      }),
    ],
    send: (form) => {
      const of = (name) => form.elements[name].value.trim();
      const isStream = streams.some(({ name }) => name === of('path'));
      return api.send('POST', 'api/v1/shares', {
        // A stream of ours is MediaMTX's path, too: the link is for both.
        path: isStream ? hereAndThere(of('path'), addresses.pictures_path) : of('path'),
        actions: form.elements.playback.checked ? ['read', 'playback'] : ['read'],
        label: of('label') || of('path'),
        expires: of('expires'),
        ...(of('max_uses') && { max_uses: Number(of('max_uses')) }),
      });
    },
  });
  if (!made) return false;
  const picture = URL.createObjectURL(new Blob([made.qr ?? ''], { type: 'image/svg+xml' }));
  await openDialog({
    title: made.label || t('console.share'),
    body: [
      notice('warn', h('p', {}, t('console.share_once'))),
      snippet(made.url),
      made.qr && h('img', { class: 'qr', src: picture, alt: t('console.qr'), width: 240, height: 240 }),
    ],
  }).closed;
  URL.revokeObjectURL(picture);
  return true;
}
