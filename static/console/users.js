// Users: of the database, where they are changed here, and of sidecar.yml, where they are not.

import * as api from '../lib/api.js';
import { confirmed } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { field } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { toast, tried } from '../lib/toast.js';
import { badge, button, failure, formDialog, head, iconButton, nothing, permission, table } from './parts.js';
import { permissionEditor } from './permissions.js';

const address = (name) => `api/v1/users/${encodeURIComponent(name)}`;
const roleName = (role) => t(`console.role_${role || 'none'}`);

export async function show(main, { signal }) {
  const told = h('div', {});
  let users = [];
  const list = table({
    label: t('console.users'),
    key: ({ name, origin }) => `${origin} ${name}`,
    columns: [
      {
        label: t('console.name'),
        class: 'wide',
        node: ({ name, disabled }) => [h('b', {}, name), disabled && badge(t('console.disabled'), 'bad')],
        sign: ({ disabled }) => disabled,
      },
      { label: t('console.role'), text: ({ role }) => roleName(role) },
      {
        label: t('console.permissions'),
        class: 'wide',
        node: ({ permissions }) =>
          permissions.length ? h('div', { class: 'permissions' }, permissions.map(permission)) : '—',
        sign: ({ permissions }) => permissions,
      },
      { label: t('console.from'), text: ({ ips }) => ips.join(', ') || t('console.everywhere') },
      {
        label: t('console.kept_in'),
        text: ({ origin }) => (origin === 'file' ? 'sidecar.yml' : t('console.database')),
      },
      {
        label: '',
        class: 'row-actions',
        node: ({ name, origin, disabled }) =>
          origin !== 'file' &&
          h(
            'div',
            { class: 'actions' },
            iconButton(
              disabled ? 'play' : 'pause',
              disabled ? t('console.enable_user', { name }) : t('console.disable_user', { name }),
              async () => {
                await tried(() => api.send('PATCH', address(name), { disabled: !disabled }));
                look();
              },
            ),
            iconButton(
              'edit',
              t('console.edit_of', { name }),
              async () => (await edit(users.find((user) => user.name === name))) && look(),
            ),
            iconButton('trash', t('console.delete_of', { name }), () => remove(name)),
          ),
        sign: ({ disabled }) => disabled,
      },
    ],
    empty: nothing('user', t('console.users_none')),
  });
  const remove = async (name) => {
    if (
      !(await confirmed({
        title: t('console.delete_of', { name }),
        text: t('console.user_delete_about'),
        action: t('console.delete'),
      }))
    )
      return;
    await tried(() => api.call(address(name), { method: 'DELETE' }), t('console.deleted', { name }));
    look();
  };
  const look = async () => {
    try {
      ({ users } = await api.call('api/v1/users', { signal }));
      list.show(users);
      told.replaceChildren();
    } catch (error) {
      if (!signal.aborted) fill(told, failure(error, look));
    }
  };
  fill(
    main,
    head(
      'users',
      button('plus', t('console.user_new'), async () => (await edit(null)) && look(), { class: 'primary' }),
    ),
    told,
    list.element,
  );
  await look();
}

function edit(user) {
  const isNew = user === null;
  const permissions = permissionEditor(user?.permissions);
  return formDialog({
    title: isNew ? t('console.user_new') : t('console.edit_of', { name: user.name }),
    action: isNew ? t('console.make') : t('console.save'),
    body: [
      isNew &&
        field({
          label: t('console.name'),
          name: 'name',
          required: true,
          autocomplete: 'off',
          autocapitalize: 'none',
          spellcheck: false,
          autofocus: true,
        }),
      field({
        label: t('common.password'),
        name: 'password',
        type: 'password',
        autocomplete: 'new-password',
        required: isNew,
        minLength: 8,
        hint: isNew ? t('console.password_about') : t('console.password_keep'),
      }),
      field({
        label: t('console.role'),
        name: 'role',
        value: user?.role ?? 'user',
        options: ['user', 'admin', ''].map((role) => [role, roleName(role)]),
        hint: t('console.role_about'),
      }),
      permissions.element,
      field({
        label: t('console.from'),
        name: 'ips',
        value: user?.ips?.join(', ') ?? '',
        placeholder: '192.168.0.0/16',
        hint: t('console.from_about'),
        autocapitalize: 'none',
      }),
    ],
    send: async (form) => {
      const of = (name) => form.elements[name].value.trim();
      const change = {
        role: of('role'),
        permissions: permissions.value(),
        ips: of('ips')
          .split(/[\s,]+/)
          .filter(Boolean),
      };
      if (of('password')) change.password = form.elements.password.value;
      const name = isNew ? of('name') : user.name;
      await api.send(isNew ? 'PUT' : 'PATCH', address(name), change);
      toast(isNew ? t('console.made', { name }) : t('console.saved', { name }));
    },
  });
}
