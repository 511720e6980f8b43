// Tokens of programs and cameras: shown once, when they are made.

import * as api from '../lib/api.js';
import { confirmed, openDialog } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { field, snippet } from '../lib/form.js';
import { dateTime, t } from '../lib/i18n.js';
import { tried } from '../lib/toast.js';
import {
  badge,
  button,
  failure,
  formDialog,
  head,
  iconButton,
  nothing,
  notice,
  permission,
  since,
  table,
} from './parts.js';
import { permissionEditor } from './permissions.js';

/** How long things may be good: words of the API, and ours for them. */
export const SPANS = ['1h', '1day', '7days', '30days', '365days'];
export const spanOptions = () => SPANS.map((span) => [span, t(`common.expires_${span}`)]);

/** Whether something ended, and how. */
export function ending({ revoked, expires }) {
  if (revoked) return badge(t('console.revoked'), 'bad');
  return new Date(expires) < new Date() ? badge(t('console.ended'), '') : badge(t('console.counts'), 'good');
}

/** The table of tokens and of shares. */
export function grants({ label, path, listKey, nameOf, extra = [], empty, place, signal }) {
  const list = table({
    label,
    key: ({ id }) => id,
    columns: [
      {
        label: t('console.name'),
        class: 'wide',
        node: (one) => [
          h('b', {}, nameOf(one)),
          h('p', { class: 'hint' }, t('console.made_by', { who: one.created_by, when: since(one.created) })),
        ],
      },
      {
        label: t('console.permissions'),
        class: 'wide',
        node: ({ permissions }) => h('div', { class: 'permissions' }, permissions.map(permission)),
      },
      ...extra,
      { label: t('console.until'), text: ({ expires }) => dateTime(expires) },
      {
        label: t('console.state'),
        node: ending,
        sign: ({ revoked, expires }) => [revoked, new Date(expires) < new Date()],
      },
      {
        label: '',
        class: 'row-actions',
        node: (one) =>
          !one.revoked &&
          new Date(one.expires) > new Date() &&
          iconButton('trash', t('console.revoke_of', { name: nameOf(one) }), async () => {
            if (
              !(await confirmed({
                title: t('console.revoke_of', { name: nameOf(one) }),
                text: t('console.revoke_about'),
                action: t('console.revoke'),
              }))
            )
              return;
            await tried(
              () => api.call(`${path}/${encodeURIComponent(one.id)}`, { method: 'DELETE' }),
              t('console.revoked_of', { name: nameOf(one) }),
            );
            look();
          }),
        sign: ({ revoked }) => revoked,
      },
    ],
    empty,
  });
  const told = h('div', {});
  const look = async () => {
    try {
      const found = await api.call(path, { signal });
      list.show(found[listKey]);
      told.replaceChildren();
    } catch (error) {
      if (!signal.aborted) fill(told, failure(error, look));
    }
  };
  place.append(told, list.element);
  return look;
}

export async function show(main, { signal }) {
  const place = h('div', {});
  const look = grants({
    label: t('console.tokens'),
    path: 'api/v1/tokens',
    listKey: 'tokens',
    nameOf: ({ name }) => name,
    empty: nothing('key', t('console.tokens_none'), t('console.tokens_none_about')),
    place,
    signal,
  });
  fill(
    main,
    head(
      'tokens',
      button('plus', t('console.token_new'), async () => (await make()) && look(), { class: 'primary' }),
    ),
    place,
  );
  await look();
}

async function make() {
  const permissions = permissionEditor([{ action: 'read' }]);
  const forCamera = field({
    label: t('console.publish_to'),
    name: 'publish_to',
    placeholder: 'front/door',
    hint: t('console.publish_to_about'),
    autocapitalize: 'none',
    spellcheck: false,
  });
  const camera = forCamera.querySelector('input');
  camera.addEventListener('input', () => {
    permissions.element.disabled = camera.value.trim() !== '';
  });
  const made = await formDialog({
    title: t('console.token_new'),
    action: t('console.make'),
    body: [
      field({
        label: t('console.name'),
        name: 'name',
        required: true,
        placeholder: t('console.token_name_example'),
        autofocus: true,
      }),
      forCamera,
      permissions.element,
      field({ label: t('console.good_for'), name: 'expires', value: '365days', options: spanOptions() }),
    ],
    send: (form) => {
      const of = (name) => form.elements[name].value.trim();
      const what = of('publish_to') ? { publish_to: of('publish_to') } : { permissions: permissions.value() };
      return api.send('POST', 'api/v1/tokens', { name: of('name'), expires: of('expires'), ...what });
    },
  });
  if (!made) return false;
  await openDialog({
    title: made.name,
    body: [
      notice('warn', h('p', {}, t('console.token_once'))),
      snippet(made.token),
      h('p', { class: 'hint' }, t('console.token_use')),
    ],
  }).closed;
  return true;
}
