// @ts-check
// The account of the user: who is signed in, and the password. Loaded when it is needed.

import * as api from './api.js';
import { openDialog } from './dialog.js';
import { h } from './dom.js';
import { exactValueOf, onSubmit, passwordField } from './form.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { toast } from './toast.js';

/** The shortest password that the server takes. */
const SHORTEST = 8;

/** Says who is signed in, and offers what a user can do with the account. */
export async function showAccount() {
  const me = await api.call('api/v1/me').catch(() => null);
  const isInFile = me?.origin === 'file';
  const choose = (/** @type {string} */ what) => () => dialog.close(what);
  const signOut = h(
    'button',
    { type: 'button', class: 'sign-out', onclick: choose('sign out') },
    icon('exit', 18),
    t('common.sign_out'),
  );
  const change = h(
    'button',
    { type: 'button', class: 'change-password', onclick: choose('password'), autofocus: true },
    icon('key', 18),
    t('common.change_password'),
  );
  const body = [
    h('p', { class: 'account-name' }, icon('user', 28), h('b', {}, api.user())),
    h('p', { class: 'hint' }, api.may('api') ? t('common.is_administrator') : t('common.is_user')),
    isInFile && h('p', { class: 'hint' }, t('common.password_in_file')),
    h('div', { class: 'actions' }, !isInFile && change, signOut),
  ];
  const { dialog, closed } = openDialog({ title: t('common.account'), body, className: 'account' });
  const chosen = await closed;
  if (chosen === 'password') await changePassword();
  if (chosen === 'sign out') await api.signOut();
}

/**
 * Asks for a new password of the user's own; gives whether it was changed. With `isNeeded` the user cannot go on without one: closing
 * the dialog signs out. `present` is the password of the sign-in, if the page knows it.
 *
 * @param {{ isNeeded?: boolean, present?: string }} [options]
 */
export async function changePassword({ isNeeded = false, present = '' } = {}) {
  const user = h('input', {
    name: 'user',
    value: api.user() ?? '',
    autocomplete: 'username',
    hidden: true,
    readOnly: true,
  });
  const old = passwordField({
    label: t('common.present_password'),
    name: 'present',
    required: true,
    autocomplete: 'current-password',
    autofocus: true,
  });
  const fresh = passwordField({
    label: t('common.new_password'),
    name: 'new',
    required: true,
    minLength: SHORTEST,
    autocomplete: 'new-password',
    hint: t('common.password_rule', { n: SHORTEST }),
    autofocus: present !== '',
  });
  const submit = h('button', { class: 'primary' }, t('common.change_password'));
  const form = h(
    'form',
    { class: 'stack', noValidate: true },
    user,
    h('p', { class: 'hint' }, isNeeded ? t('common.password_needed') : t('common.password_ends')),
    !present && old,
    fresh,
    h('p', { class: 'form-error bad', role: 'alert' }),
    h('div', { class: 'actions' }, submit),
  );
  const title = isNeeded ? t('common.choose_password') : t('common.change_password');
  const { dialog, closed } = openDialog({ title, body: form, className: 'password-change' });
  const send = async () => {
    await api.changePassword(present || exactValueOf(form, 'present'), exactValueOf(form, 'new'));
    dialog.close('done');
  };
  onSubmit(form, submit, send, wrongPresent);
  const isChanged = (await closed) === 'done';
  if (isChanged) toast(t('common.password_changed'));
  else if (isNeeded) await api.signOut();
  return isChanged;
}

/**
 * The error of a wrong present password, at its field.
 *
 * @param {unknown} error
 */
function wrongPresent(error) {
  if (!api.needsSignIn(error)) return error;
  return new api.ApiError(t('common.error_present_password'), 401, 'wrong_password', 'present');
}
