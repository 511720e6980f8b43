// @ts-check
// Users: those in the database, which are changed here, and those in sidecar.yml, which are not.

import * as api from '../lib/api.js';
import { confirmed } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { exactValueOf, field, isChecked, passwordField, valueOf } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { attempt, toast } from '../lib/toast.js';
import { makeNew } from './make.js';
import {
  badge,
  button,
  emptyState,
  formDialog,
  heading,
  iconButton,
  loader,
  nameField,
  permissionText,
  table,
} from './parts.js';
import { permissionEditor } from './permissions.js';

const address = (/** @type {string} */ name) => /** @type {const} */ (`api/v1/users/${encodeURIComponent(name)}`);
const roleName = (/** @type {string} */ role) => t(`console.role_${role || 'none'}`);

/** @type {Section} */
export async function show(main, { signal }) {
  const errors = h('div', {});
  /** @type {Api.User[]} */
  let users = [];

  const edit = async (/** @type {string} */ name) => {
    const user = users.find((known) => known.name === name);
    if (user && (await editUser(user))) load();
  };
  const toggle = async (/** @type {Api.User} */ { name, disabled }) => {
    await attempt(() => api.send('PATCH', address(name), { disabled: !disabled }));
    load();
  };
  const remove = async (/** @type {string} */ name) => {
    const title = t('console.delete_of', { name });
    if (!(await confirmed({ title, text: t('console.user_delete_about'), action: t('console.delete') }))) return;
    await attempt(() => api.call(address(name), { method: 'DELETE' }), t('console.deleted', { name }));
    load();
  };
  /** @param {Api.User} user */
  const actions = (user) => {
    const { name, origin, disabled } = user;
    if (origin === 'file') return null;
    const word = disabled ? t('console.word_enable') : t('console.word_disable');
    const label = disabled ? t('console.enable_user', { name }) : t('console.disable_user', { name });
    return h(
      'div',
      { class: 'actions' },
      iconButton(disabled ? 'play' : 'pause', label, () => toggle(user), word),
      iconButton('edit', t('console.edit_of', { name }), () => edit(name), t('console.word_edit')),
      iconButton('trash', t('console.delete_of', { name }), () => remove(name), t('console.delete')),
    );
  };

  /** @type {Column<Api.User>[]} */
  const columns = [
    {
      label: t('console.name'),
      class: 'wide',
      node: nameCell,
      version: ({ disabled, must_change_password: mustChange, damaged }) => [disabled, mustChange, damaged],
    },
    { label: t('console.role'), text: ({ role }) => roleName(role) },
    {
      label: t('console.permissions'),
      class: 'wide',
      node: ({ permissions }) => permissionList(permissions),
      version: ({ permissions }) => permissions,
    },
    { label: t('console.from'), text: ({ ips }) => ips.join(', ') || t('console.everywhere') },
    {
      label: t('console.kept_in'),
      text: ({ origin }) => (origin === 'file' ? 'sidecar.yml' : t('console.database')),
    },
    { label: '', class: 'row-actions', node: actions, version: ({ disabled }) => disabled },
  ];
  const list = table({
    label: t('console.users'),
    key: ({ name, origin }) => `${origin} ${name}`,
    columns,
    empty: emptyState('user', t('console.users_none')),
  });
  const load = loader(signal, errors, async () => {
    ({ users } = await api.call('api/v1/users', { signal }));
    list.show(users);
  });
  const add = async () => {
    if (await editUser(null)) load();
  };
  fill(main, heading('users', button('plus', t('console.user_new'), add, { class: 'primary' })), errors, list.element);
  await load();
}

/** @param {Api.User} user */
function nameCell({ name, disabled, must_change_password: mustChange, damaged }) {
  return [
    h('b', {}, name),
    disabled && badge(t('console.disabled'), 'bad'),
    damaged && h('p', { class: 'hint bad' }, damaged),
    mustChange && h('p', { class: 'hint' }, t('console.must_change_password')),
  ];
}

/** @param {Api.Permission[]} permissions */
function permissionList(permissions) {
  return permissions.length ? h('div', { class: 'permissions' }, permissions.map(permissionText)) : '—';
}

/**
 * The form of a user; null for a new one. Gives whether the user was saved.
 *
 * @param {Api.User | null} user
 */
async function editUser(user) {
  const isNew = user === null;
  const permissions = await permissionEditor(user?.permissions);
  /** @type {[string, string][]} */
  const roles = ['user', 'admin', ''].map((role) => [role, roleName(role)]);
  const name = nameField({
    label: t('console.name'),
    name: 'name',
    required: true,
    autocomplete: 'off',
    autofocus: true,
  });
  const password = passwordField({
    label: t('common.password'),
    name: 'pass',
    autocomplete: 'new-password',
    required: isNew,
    minLength: 8,
    hint: isNew ? t('console.password_about') : t('console.password_keep'),
  });
  const mustChange = field({
    label: t('console.ask_new_password'),
    name: 'must_change',
    type: 'checkbox',
    checked: user?.must_change_password ?? false,
  });
  const role = field({
    label: t('console.role'),
    name: 'role',
    value: user?.role ?? 'user',
    options: roles,
    hint: t('console.role_about'),
  });
  const ips = nameField({
    label: t('console.from'),
    name: 'ips',
    value: user?.ips.join(', ') ?? '',
    placeholder: '192.168.0.0/16',
    hint: t('console.from_about'),
  });
  return formDialog({
    title: isNew ? t('console.user_new') : t('console.edit_of', { name: user.name }),
    action: isNew ? t('console.make') : t('console.save'),
    body: [isNew && name, password, mustChange, role, permissions.element, ips],
    send: async (form) => {
      const target = isNew ? valueOf(form, 'name') : user.name;
      const pass = exactValueOf(form, 'pass');
      const wanted = {
        role: valueOf(form, 'role'),
        permissions: permissions.value(),
        ips: valueOf(form, 'ips')
          .split(/[\s,]+/)
          .filter(Boolean),
        must_change_password: isChecked(form, 'must_change'),
        ...(pass && { pass }),
      };
      if (isNew) await makeNew((headers) => api.send('PUT', address(target), wanted, headers));
      else await api.send('PATCH', address(target), wanted);
      toast(isNew ? t('console.made', { name: target }) : t('console.saved', { name: target }));
      return true;
    },
  });
}
