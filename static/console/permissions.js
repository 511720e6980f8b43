// Choosing permissions: rows of action and path.

import { h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { button, iconButton } from './parts.js';

const ACTIONS = ['read', 'publish', 'playback', 'api', 'metrics', 'pprof'];
const WITH_PATH = new Set(['read', 'publish', 'playback']);

/** An editor: `element` for a form, and `value()` as the API takes it. */
export function permissionEditor(present = []) {
  const rows = h('div', { class: 'stack tight' });
  const add = ({ action = 'read', path = '' } = {}) => {
    const name = h('input', {
      value: path ?? '',
      placeholder: t('console.permission_path'),
      'aria-label': t('console.permission_path'),
      autocapitalize: 'none',
      spellcheck: false,
    });
    const choose = h(
      'select',
      { 'aria-label': t('console.action') },
      ACTIONS.map((word) => h('option', { value: word, selected: word === action }, word)),
    );
    const fits = () => {
      name.disabled = !WITH_PATH.has(choose.value);
    };
    choose.addEventListener('change', fits);
    fits();
    const row = h(
      'div',
      { class: 'permission-row' },
      choose,
      name,
      iconButton('close', t('console.remove'), () => row.remove()),
    );
    rows.append(row);
  };
  present.forEach(add);
  return {
    element: h(
      'fieldset',
      { class: 'stack tight' },
      h('legend', {}, t('console.permissions')),
      rows,
      h(
        'div',
        {},
        button('plus', t('console.permission_add'), () => add(), { class: 'small' }),
      ),
      h('p', { class: 'hint' }, t('console.permission_hint')),
    ),
    value: () =>
      [...rows.children].map((row) => {
        const [choose, name] = row.querySelectorAll('select, input');
        return name.value.trim() && !name.disabled
          ? { action: choose.value, path: name.value.trim() }
          : { action: choose.value };
      }),
  };
}
