// @ts-check
// All paths as one text. The dialog shows the changes before it applies them.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { field, valueOf } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { toast } from '../lib/toast.js';
import { KEEP_OPEN, formDialog, notice } from './parts.js';
import { parseJson } from './schema.js';

/**
 * Opens the dialog. Gives whether the changes were applied.
 *
 * @param {Api.Path[]} paths
 */
export function editAllPaths(paths) {
  const definitions = Object.fromEntries(paths.map(definitionOf));
  const changes = h('div', { 'aria-live': 'polite' });
  /** @type {string | null} */
  let checked = null; // the text whose changes are shown
  const text = field({
    label: t('console.bulk_text'),
    name: 'paths',
    rows: 16,
    value: JSON.stringify(definitions, null, 2),
    hint: t('console.bulk_about'),
    spellcheck: false,
    oninput: ({ target }) => {
      checked = null;
      changes.replaceChildren();
      nameButton(/** @type {HTMLTextAreaElement} */ (target).form, t('console.bulk_apply'));
    },
  });
  return formDialog({
    title: t('console.bulk'),
    action: t('console.bulk_apply'),
    wide: true,
    body: [text, changes],
    send: async (form) => {
      const value = valueOf(form, 'paths');
      const all = { paths: parseJson(value, 'paths') };
      if (checked === value) {
        await api.send('PUT', 'api/v1/paths', all);
        toast(t('console.bulk_done'));
        return true;
      }
      const difference = await api.send('PUT', 'api/v1/paths?dry_run=1', all);
      checked = value;
      fill(changes, differenceNotice(difference));
      nameButton(form, t('console.bulk_apply_now'));
      return KEEP_OPEN;
    },
  });
}

/**
 * The button says what it does next.
 *
 * @param {HTMLFormElement | null} form
 * @param {string} text
 */
function nameButton(form, text) {
  const button = form?.querySelector('.actions button.primary');
  if (button) button.textContent = text;
}

/**
 * A path as the text has it: without its name and without what the server only reports.
 *
 * @param {Api.Path} path
 */
function definitionOf({ name, ...path }) {
  const reported = ['state', 'error', 'differs', 'actual'];
  return [name, Object.fromEntries(Object.entries(path).filter(([key]) => !reported.includes(key)))];
}

/** @param {Api.Answer<'api/v1/paths', 'PUT'>} difference */
function differenceNotice({ added, changed, removed, unchanged }) {
  /** @type {(kind: string, title: string, names: string[]) => Dom.Child} */
  const line = (kind, title, names) =>
    names.length > 0 && h('p', {}, h('b', { class: kind }, title), ' ', names.join(', '));
  return notice(
    removed.length ? 'bad' : 'warn',
    h('p', {}, h('b', {}, t('console.bulk_would'))),
    line('good', t('console.bulk_added', { n: added.length }), added),
    line('warn', t('console.bulk_changed', { n: changed.length }), changed),
    line('bad', t('console.bulk_removed', { n: removed.length }), removed),
    h('p', {}, t('console.bulk_unchanged', { n: unchanged })),
  );
}
