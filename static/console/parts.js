// What sections have in common: heads, tables, forms in dialogs, and looking again from time to time.

import { openDialog } from '../lib/dialog.js';
import { fill, h, keyed } from '../lib/dom.js';
import { showProblem } from '../lib/form.js';
import { ago, dateTime, t, words } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';

/** The head of a section: its name, a sentence, and what can be done. */
export const head = (name, ...actions) =>
  h(
    'div',
    { class: 'page-head' },
    h('div', {}, h('h1', {}, t(`console.${name}`)), h('p', { class: 'dim' }, t(`console.${name}_about`))),
    h('div', { class: 'row' }, actions),
  );

/** A button with an icon. */
export const button = (shape, text, onclick, more = {}) =>
  h('button', { type: 'button', ...more, onclick }, icon(shape, 18), h('span', {}, text));

/** A button of a row, which has its text for screen readers and as a title. */
export const iconButton = (shape, label, onclick, more = {}) =>
  h(
    'button',
    { type: 'button', class: 'icon-button', title: label, 'aria-label': label, ...more, onclick },
    icon(shape, 18),
  );

/** Words that somebody should not miss. */
export const notice = (kind, ...content) =>
  h(
    'div',
    { class: ['notice', kind] },
    icon(kind === 'good' ? 'check' : kind ? 'alert' : 'info'),
    h('div', { class: 'notice-text' }, content),
  );

/** Says that something could not be had, with a way to try again. */
export const failure = (error, again) =>
  h(
    'div',
    { class: 'notice bad', role: 'alert' },
    icon('alert'),
    h(
      'div',
      { class: 'notice-text' },
      h('p', {}, words(error)),
      again && button('refresh', t('console.again'), again, { class: 'small' }),
    ),
  );

/** What is shown where nothing is. */
export const nothing = (shape, title, text, ...actions) =>
  h(
    'div',
    { class: 'empty' },
    icon(shape),
    h('h2', {}, title),
    text && h('p', {}, text),
    actions.length > 0 && h('div', { class: 'row' }, actions),
  );

/**
 * Does something now and every so many seconds, not while the page is hidden, until the section is left. An error is shown by
 * `failed(error)`, and `failed(null)` says that it is over. Gives a function that does it at once.
 */
export function every(seconds, signal, action, failed = () => {}) {
  let timer = null;
  let running = null;
  const run = () => {
    running ??= (async () => {
      clearTimeout(timer);
      try {
        await action();
        if (!signal.aborted) failed(null);
      } catch (error) {
        if (!signal.aborted) failed(error);
      }
      running = null;
      if (!signal.aborted && !document.hidden) timer = setTimeout(run, seconds * 1000);
    })();
    return running;
  };
  document.addEventListener('visibilitychange', () => (document.hidden ? clearTimeout(timer) : run()), { signal });
  signal.addEventListener('abort', () => clearTimeout(timer));
  return run;
}

/**
 * A table that keeps its rows: `show(items)` changes what is different and nothing else, so that focus and selection stay.
 * A column is { label, text(item) } or { label, node(item), sign(item) }: a node is made anew when its sign changes; without a
 * sign it is made once for a row.
 */
export function table({ label, key, columns, empty }) {
  const rows = h('tbody', { role: 'rowgroup' });
  const whole = h(
    'div',
    { class: 'table' },
    h(
      'table',
      { role: 'table', 'aria-label': label },
      h(
        'thead',
        { role: 'rowgroup' },
        h(
          'tr',
          { role: 'row' },
          columns.map((column) =>
            h(
              'th',
              { scope: 'col', role: 'columnheader', class: column.class },
              column.label || h('span', { class: 'visually-hidden' }, t('console.actions')),
            ),
          ),
        ),
      ),
      rows,
    ),
  );
  const none = h('div', { hidden: true }, empty);
  const make = () =>
    h(
      'tr',
      { role: 'row' },
      columns.map((column) => h('td', { role: 'cell', class: column.class, dataset: { label: column.label } })),
    );
  const update = (row, item) =>
    columns.forEach((column, i) => {
      const cell = row.children[i];
      if (column.text) {
        const text = String(column.text(item) ?? '');
        if (cell.textContent !== text) cell.textContent = text;
        cell.classList.toggle('is-empty', text === '—' || text === '');
        return;
      }
      const sign = column.sign ? JSON.stringify(column.sign(item)) : 'made';
      if (cell.sign === sign) return;
      cell.sign = sign;
      fill(cell, column.node(item));
    });
  return {
    element: h('div', {}, whole, none),
    show(items) {
      whole.hidden = items.length === 0;
      none.hidden = items.length > 0;
      keyed(rows, items, { key, make, update });
    },
  };
}

/** A field to search in a list; `changed` is called with what is looked for, in small letters. */
export function search(changed) {
  const input = h('input', {
    type: 'search',
    class: 'search',
    placeholder: t('console.search'),
    'aria-label': t('console.search'),
    oninput: () => changed(input.value.trim().toLowerCase()),
  });
  return input;
}

/**
 * A form in a dialog. `send(form)` does it; its error is shown at the field that it names, and the dialog stays. Gives what
 * `send` gave, or undefined if it was closed.
 */
export async function formDialog({ title, body, action, wide = false, send }) {
  const submit = h('button', { class: 'primary' }, action);
  let result;
  const form = h(
    'form',
    { class: 'stack', noValidate: true },
    body,
    h('p', { class: 'form-error bad', role: 'alert' }),
    h('div', { class: 'actions' }, submit),
  );
  const { dialog, closed } = openDialog({ title, body: form, wide });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    showProblem(form, null);
    const wrong = [...form.elements].find((element) => element.willValidate && !element.checkValidity());
    if (wrong) return showProblem(form, Object.assign(new Error(wrong.validationMessage), { field: wrong.name }));
    submit.disabled = true;
    try {
      result = (await send(form)) ?? true;
      dialog.close('done');
    } catch (error) {
      // At its field, the field's name need not be said.
      if (error.field && error.message.startsWith(`${error.field}: `))
        error.message = error.message.slice(error.field.length + 2);
      showProblem(form, error);
    } finally {
      submit.disabled = false;
    }
  });
  form.addEventListener('input', ({ target }) => {
    const told = target.closest('.field')?.querySelector('.field-error');
    if (!told || (!target.hasAttribute('aria-invalid') && !target.dataset.left)) return;
    const wrong = target.willValidate && !target.checkValidity();
    told.textContent = wrong ? target.validationMessage : '';
    target.toggleAttribute('aria-invalid', wrong);
    if (wrong) target.setAttribute('aria-invalid', 'true');
  });
  form.addEventListener('focusout', ({ target }) => {
    if (target.dataset && target.value) target.dataset.left = 'yes';
  });
  await closed;
  return result;
}

/** A point in time as how long ago, with the time itself as a title. */
export const when = (time) => h('time', { dateTime: time, title: dateTime(time) }, since(time));

/** How long ago, in words; of what is to come, the time. */
export const since = (time) => {
  const seconds = (Date.now() - new Date(time)) / 1000;
  return seconds < -5 ? dateTime(time) : ago(Math.max(0, seconds));
};

/** A badge: a word and a colour. */
export const badge = (word, kind) => h('span', { class: ['badge', kind] }, word);

/** A rule of permissions in words, such as `read front/door`. */
export const permission = ({ action, path }) =>
  h(
    'span',
    { class: 'permission' },
    h('b', {}, action),
    path ? h('code', {}, path) : h('span', { class: 'dim' }, t('console.everything')),
  );
