// @ts-check
// The editor of permissions: rows of action and path.

import { h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { button, iconButton } from './parts.js';

const ACTIONS = ['read', 'publish', 'playback', 'api', 'metrics', 'pprof'];
const WITH_PATH = ['read', 'publish', 'playback'];

/**
 * An editor: `element` for a form, and `value()` for the API.
 *
 * @param {Api.Permission[]} [permissions]
 */
export function permissionEditor(permissions = []) {
  /** @type {(() => Api.Permission)[]} */
  let values = [];
  const rows = h('div', { class: 'stack tight' });
  /** @param {Api.Permission} permission */
  const add = (permission) => {
    const { controls, value } = permissionRow(permission);
    const remove = iconButton('close', t('console.remove'), () => {
      values = values.filter((other) => other !== value);
      row.remove();
    });
    const row = h('div', { class: 'permission-row' }, controls, remove);
    rows.append(row);
    values.push(value);
  };
  permissions.forEach(add);
  const addButton = button('plus', t('console.permission_add'), () => add({ action: 'read' }), { class: 'small' });
  const element = h(
    'fieldset',
    { class: 'stack tight' },
    h('legend', {}, t('console.permissions')),
    rows,
    h('div', {}, addButton),
    h('p', { class: 'hint' }, t('console.permission_hint')),
  );
  return { element, value: () => values.map((value) => value()) };
}

/** @param {Api.Permission} permission */
function permissionRow({ action, path }) {
  const name = h('input', {
    value: path ?? '',
    placeholder: t('console.permission_path'),
    'aria-label': t('console.permission_path'),
    autocapitalize: 'none',
    spellcheck: false,
  });
  const allowPath = () => {
    name.disabled = !WITH_PATH.includes(choice.value);
  };
  const choice = h(
    'select',
    { 'aria-label': t('console.action'), onchange: allowPath },
    ACTIONS.map((word) => h('option', { value: word, selected: word === action }, word)),
  );
  allowPath();
  /** @returns {Api.Permission} */
  const value = () => {
    const text = name.disabled ? '' : name.value.trim();
    return text ? { action: choice.value, path: text } : { action: choice.value };
  };
  return { controls: [choice, name], value };
}
