// @ts-check
// Tokens of programs and cameras. The page shows a token once, after it was made.

import * as api from '../lib/api.js';
import { confirmed, openDialog } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { field, snippet, valueOf } from '../lib/form.js';
import { dateTime, t } from '../lib/i18n.js';
import { lifetimeOptions } from '../lib/links.js';
import { attempt } from '../lib/toast.js';
import {
  agoText,
  badge,
  button,
  emptyState,
  formDialog,
  heading,
  iconButton,
  loader,
  nameField,
  notice,
  permissionText,
  table,
  timeAgo,
} from './parts.js';
import { permissionEditor } from './permissions.js';
import { useFacts } from './token_use.js';

/**
 * What a token and a share have in common.
 *
 * @typedef {Pick<Api.Token & Api.Share, 'id' | 'permissions' | 'created' | 'created_by' | 'expires' | 'revoked'> & {
 *   last_use?: import('./token_use.js').LastUse | null,
 * }} Grant
 */

/** @param {Grant} grant */
const isValid = ({ revoked, expires }) => !revoked && Date.parse(expires) > Date.now();

/** @param {Grant} grant */
function stateBadge(grant) {
  if (grant.revoked) return badge(t('console.revoked'), 'bad');
  return isValid(grant) ? badge(t('console.valid'), 'good') : badge(t('console.expired'));
}

/**
 * The table of tokens, and that of shares. `path` is where one is revoked. Gives its element and a function that loads
 * it.
 *
 * @template {Grant} G
 * @param {{
 *   label: string,
 *   path: 'api/v1/tokens' | 'api/v1/shares',
 *   read: (signal: AbortSignal) => Promise<G[]>,
 *   nameOf: (grant: G) => string,
 *   extra?: Column<G>[],
 *   empty: HTMLElement,
 *   signal: AbortSignal,
 * }} options
 */
export function grantTable({ label, path, read, nameOf, extra = [], empty, signal }) {
  const errors = h('div', {});
  /** @param {G} grant */
  const revoke = async (grant) => {
    const name = nameOf(grant);
    const title = t('console.revoke_of', { name });
    if (!(await confirmed({ title, text: t('console.revoke_about'), action: t('console.revoke') }))) return;
    const target = /** @type {const} */ (`${path}/${encodeURIComponent(grant.id)}`);
    await attempt(() => api.call(target, { method: 'DELETE' }), t('console.revoked_of', { name }));
    load();
  };
  /** @type {Column<G>[]} */
  const columns = [
    {
      label: t('console.name'),
      class: 'wide',
      node: (grant) => {
        // The server names a principal with its kind, such as `user admin`.
        const who = grant.created_by.replace(/^user /, '');
        const made = t('console.made_by', { who, when: agoText(grant.created) });
        return [h('b', {}, nameOf(grant)), h('p', { class: 'hint' }, made)];
      },
    },
    {
      label: t('console.permissions'),
      class: 'wide',
      node: ({ permissions }) => h('div', { class: 'permissions' }, permissions.map(permissionText)),
    },
    ...extra,
    {
      label: t('console.last_use'),
      node: ({ last_use: use }) => use && [timeAgo(use.at), h('p', { class: 'hint' }, useFacts(use))],
      version: ({ last_use: use }) => use && [use, agoText(use.at)],
    },
    { label: t('console.until'), text: ({ expires }) => dateTime(expires) },
    { label: t('console.state'), node: stateBadge, version: (grant) => [grant.revoked, isValid(grant)] },
    {
      label: '',
      class: 'row-actions',
      node: (grant) =>
        isValid(grant) &&
        iconButton('trash', t('console.revoke_of', { name: nameOf(grant) }), () => revoke(grant), t('console.revoke')),
      version: isValid,
    },
  ];
  const list = table({ label, key: ({ id }) => id, columns, empty });
  const load = loader(signal, errors, async () => list.show(await read(signal)));
  return { element: h('div', {}, errors, list.element), load };
}

/** @type {Section} */
export async function show(main, { signal }) {
  const { element, load } = grantTable({
    label: t('console.tokens'),
    path: 'api/v1/tokens',
    read: async () => (await api.call('api/v1/tokens', { signal })).tokens,
    nameOf: ({ name }) => name,
    empty: emptyState('key', t('console.tokens_none'), t('console.tokens_none_about')),
    signal,
  });
  const add = async () => {
    if (await makeToken()) load();
  };
  fill(main, heading('tokens', button('plus', t('console.token_new'), add, { class: 'primary' })), element);
  await load();
}

/** Makes a token and shows it; gives whether one was made. */
async function makeToken() {
  const permissions = await permissionEditor();
  const publishTo = nameField({
    label: t('console.publish_to'),
    name: 'publish_to',
    placeholder: 'front/door',
    hint: t('console.publish_to_about'),
    oninput: ({ target }) => {
      permissions.element.disabled = /** @type {HTMLInputElement} */ (target).value.trim() !== '';
    },
  });
  const name = field({
    label: t('console.name'),
    name: 'name',
    required: true,
    placeholder: t('console.token_name_example'),
    autofocus: true,
  });
  const lifetime = field({
    label: t('console.lifetime'),
    name: 'expires',
    value: '365days',
    options: lifetimeOptions(),
  });
  const made = await formDialog({
    title: t('console.token_new'),
    action: t('console.make'),
    body: [name, publishTo, permissions.element, lifetime],
    send: (form) => {
      const stream = valueOf(form, 'publish_to');
      const scope = stream ? { publish_to: stream } : { permissions: permissions.value() };
      const common = { name: valueOf(form, 'name'), expires: valueOf(form, 'expires') };
      return api.send('POST', 'api/v1/tokens', { ...common, ...scope });
    },
  });
  if (!made) return false;
  const warning = notice('warn', h('p', {}, t('console.token_once')));
  const use = h('p', { class: 'hint' }, t('console.token_use'));
  await openDialog({ title: made.name, body: [warning, snippet(made.token), use] }).closed;
  return true;
}
