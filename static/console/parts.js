// @ts-check
// What sections have in common: headings, tables, forms in dialogs, and polling.

import { openDialog } from '../lib/dialog.js';
import { fill, h, keyed } from '../lib/dom.js';
import { field, onSubmit } from '../lib/form.js';
import { ago, dateTime, errorText, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';

/**
 * The heading of a section: its name, a sentence about it, and its actions.
 *
 * @param {string} name
 * @param {...Dom.Child} actions
 */
export function heading(name, ...actions) {
  const about = h('p', { class: 'dim' }, t(`console.${name}_about`));
  const title = h('div', {}, h('h1', {}, t(`console.${name}`)), about);
  return h('div', { class: 'page-head' }, title, h('div', { class: 'row' }, actions));
}

/**
 * A button with an icon.
 *
 * @param {Icon} shape
 * @param {string} text
 * @param {() => void} onclick
 * @param {Dom.Properties<HTMLButtonElement>} [more]
 */
export const button = (shape, text, onclick, more = {}) =>
  h('button', { type: 'button', ...more, onclick }, icon(shape, 18), h('span', {}, text));

/**
 * What screen readers say for a control: it has the word that is seen, so that people who speak to their computer can name it
 * (WCAG 2.5.3).
 *
 * @param {string} label
 * @param {string} [word]
 */
const named = (label, word) =>
  !word || label.toLowerCase().includes(word.toLowerCase()) ? label : `${word}: ${label}`;

/**
 * A button of a row or a card. The label is its title, and what screen readers say. Cards show the word beside the icon; the rows of
 * tables, which have no room for it, show the icon alone.
 *
 * @param {Icon} shape
 * @param {string} label
 * @param {() => void} onclick
 * @param {string} [word] what cards show
 */
export const iconButton = (shape, label, onclick, word) =>
  h(
    'button',
    { type: 'button', class: 'icon-button', title: label, 'aria-label': named(label, word), onclick },
    icon(shape, 18),
    word && h('span', { class: 'word' }, word),
  );

/**
 * The same as a link.
 *
 * @param {Icon} shape
 * @param {string} label
 * @param {string} href
 * @param {string} word
 */
export const iconLink = (shape, label, href, word) =>
  h(
    'a',
    { class: 'button icon-button', href, title: label, 'aria-label': named(label, word) },
    icon(shape, 18),
    h('span', { class: 'word' }, word),
  );

/** @type {Record<string, Icon>} */
const NOTICE_ICONS = { '': 'info', good: 'check', warn: 'alert', bad: 'alert' };

/**
 * A text that the user must not miss.
 *
 * @param {'' | 'good' | 'warn' | 'bad'} kind
 * @param {...Dom.Child} content
 */
export const notice = (kind, ...content) =>
  h('div', { class: ['notice', kind] }, icon(NOTICE_ICONS[kind]), h('div', { class: 'notice-text' }, content));

/**
 * An error, with a button that tries again.
 *
 * @param {unknown} error
 * @param {() => void} again
 */
export function failure(error, again) {
  const retry = button('refresh', t('console.again'), again, { class: 'small' });
  const text = h('div', { class: 'notice-text' }, h('p', {}, errorText(error)), retry);
  return h('div', { class: 'notice bad', role: 'alert' }, icon('alert'), text);
}

/**
 * What stands in place of an empty list.
 *
 * @param {Icon} shape
 * @param {string} title
 * @param {string} [text]
 * @param {...Dom.Child} actions
 */
export function emptyState(shape, title, text, ...actions) {
  const row = actions.length > 0 && h('div', { class: 'row' }, actions);
  return h('div', { class: 'empty' }, icon(shape), h('h2', {}, title), text && h('p', {}, text), row);
}

/**
 * A badge: a word and a colour.
 *
 * @param {string} word
 * @param {string} [kind]
 */
export const badge = (word, kind) => h('span', { class: ['badge', kind] }, word);

/**
 * A permission as text, such as `read front/door`.
 *
 * @param {Api.Permission} permission
 */
export function permissionText({ action, path }) {
  const scope = path ? h('code', {}, path) : h('span', { class: 'dim' }, t('console.everything'));
  return h('span', { class: 'permission' }, h('b', {}, action), scope);
}

/**
 * How long ago a time was; for a time in the future, the time itself.
 *
 * @param {string} time
 */
export function agoText(time) {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  return seconds < -5 ? dateTime(time) : ago(Math.max(0, seconds));
}

/**
 * The same as an element, with the time as its title.
 *
 * @param {string} time
 */
export const timeAgo = (time) => h('time', { dateTime: time, title: dateTime(time) }, agoText(time));

/**
 * A function that runs `action` and shows its error in `place`, until the user leaves the section.
 *
 * @param {AbortSignal} signal
 * @param {HTMLElement} place
 * @param {() => Promise<unknown>} action
 */
export function loader(signal, place, action) {
  const load = async () => {
    try {
      await action();
      if (!signal.aborted) place.replaceChildren();
    } catch (error) {
      if (!signal.aborted) fill(place, failure(error, load));
    }
  };
  return load;
}

/**
 * The same, repeated while the page is visible. The first call of the returned function starts this.
 *
 * @param {number} seconds
 * @param {AbortSignal} signal
 * @param {HTMLElement} place
 * @param {() => Promise<unknown>} action
 */
export function poller(seconds, signal, place, action) {
  const load = loader(signal, place, action);
  let timer = 0;
  /** @type {Promise<void> | null} */
  let running = null;
  const repeat = async () => {
    clearTimeout(timer);
    await load();
    running = null;
    if (!signal.aborted && !document.hidden) timer = setTimeout(run, seconds * 1000);
  };
  const run = () => {
    running ??= repeat();
    return running;
  };
  const changed = () => (document.hidden ? clearTimeout(timer) : run());
  document.addEventListener('visibilitychange', changed, { signal });
  signal.addEventListener('abort', () => clearTimeout(timer));
  return run;
}

/** @type {WeakMap<Element, string>} */
const versions = new WeakMap();

/**
 * Fills an element, but only if its version (any JSON) differs from the one before, so that focus and selection stay.
 *
 * @param {Element} element
 * @param {unknown} version
 * @param {() => Dom.Child} content
 */
export function refill(element, version, content) {
  const text = JSON.stringify(version) ?? '';
  if (versions.get(element) === text) return;
  versions.set(element, text);
  fill(element, content());
}

/**
 * Changes the children of a list. If the element with the focus goes with its row, the row that takes its place gets the focus.
 *
 * @param {Element} parent
 * @param {() => void} change
 */
export function keepFocus(parent, change) {
  const row = [...parent.children].findIndex((child) => child.contains(document.activeElement));
  change();
  if (row < 0 || parent.contains(document.activeElement)) return;
  const next = parent.children[Math.min(row, parent.childElementCount - 1)];
  const control = next?.querySelector('button, a, input') ?? document.getElementById('main');
  if (control instanceof HTMLElement) control.focus();
}

/**
 * A table that keeps its rows: `show` changes only the cells that differ, so that focus and selection stay.
 *
 * @template T
 * @param {{ label: string, key: (item: T) => string | number, columns: Column<T>[], empty: Dom.Child }} options
 */
export function table({ label, key, columns, empty }) {
  const actions = () => h('span', { class: 'visually-hidden' }, t('console.actions'));
  const titles = columns.map((column) =>
    h('th', { scope: 'col', role: 'columnheader', class: column.class }, column.label || actions()),
  );
  const head = h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, titles));
  const body = h('tbody', { role: 'rowgroup' });
  // Nothing is known before the first answer.
  const whole = h(
    'div',
    { class: 'table', hidden: true },
    h('table', { role: 'table', 'aria-label': label }, head, body),
  );
  const none = h('div', { hidden: true }, empty);

  const make = () => {
    const cells = columns.map((column) =>
      h('td', { role: 'cell', class: column.class, dataset: { label: column.label } }),
    );
    return h('tr', { role: 'row' }, cells);
  };
  /** @type {(cell: Element, column: Column<T>, item: T) => void} */
  const updateCell = (cell, column, item) => {
    if ('text' in column) {
      const text = column.text(item);
      if (cell.textContent !== text) cell.textContent = text;
      cell.classList.toggle('is-empty', text === '—' || text === '');
      return;
    }
    refill(cell, column.version?.(item), () => column.node(item));
  };
  return {
    element: h('div', {}, whole, none),
    /** @param {readonly T[]} items */
    show(items) {
      whole.hidden = items.length === 0;
      none.hidden = items.length > 0;
      /** @type {(row: HTMLTableRowElement, item: T) => void} */
      const update = (row, item) => columns.forEach((column, i) => updateCell(row.cells[i], column, item));
      keepFocus(body, () => keyed(body, items, { key, make, update }));
    },
  };
}

/**
 * Says which nodes of a cluster miss entries in a list.
 *
 * @param {{ node: string, reason: string }[]} missing
 */
export const missingNodes = (missing) =>
  missing.map(({ node, reason }) => notice('warn', t('console.node_missing', { node, reason })));

/**
 * A search field; `onQuery` gets its text in lower case.
 *
 * @param {(query: string) => void} onQuery
 */
export function searchField(onQuery) {
  const input = h('input', {
    type: 'search',
    class: 'search',
    placeholder: t('console.search'),
    'aria-label': t('console.search'),
    oninput: () => onQuery(input.value.trim().toLowerCase()),
  });
  return input;
}

/**
 * Whether a search finds something with these texts.
 *
 * @param {string} query
 * @param {...unknown} texts
 */
export const matches = (query, ...texts) => !query || texts.join(' ').toLowerCase().includes(query);

/**
 * A field for a name, without the browser's corrections.
 *
 * @param {Dom.FieldOptions} options
 */
export const nameField = (options) => field({ autocapitalize: 'none', spellcheck: false, ...options });

/** What `send` of a form dialog returns so that the dialog stays open. */
export const KEEP_OPEN = Symbol('keep open');

/**
 * A form in a dialog. `send` carries it out: its error is shown at the field that it names, and the dialog stays open.
 * Gives the result of `send`, or undefined if the user closed the dialog.
 *
 * @template R
 * @param {{
 *   title: string,
 *   body: Dom.Child,
 *   action: string,
 *   wide?: boolean,
 *   send: (form: HTMLFormElement) => Promise<R>,
 * }} options
 * @returns {Promise<Exclude<R, typeof KEEP_OPEN> | undefined>}
 */
export async function formDialog({ title, body, action, wide = false, send }) {
  const submit = h('button', { class: 'primary' }, action);
  const error = h('p', { class: 'form-error bad', role: 'alert' });
  const form = h('form', { class: 'stack', noValidate: true }, body, error, h('div', { class: 'actions' }, submit));
  const { dialog, closed } = openDialog({ title, body: form, wide });
  /** @type {R | undefined} */
  let result;
  const submitted = async () => {
    const sent = await send(form);
    if (sent === KEEP_OPEN) return;
    result = sent;
    dialog.close('done');
  };
  onSubmit(form, submit, submitted, withoutFieldName);
  validateWhileTyping(form);
  await closed;
  return /** @type {Exclude<R, typeof KEEP_OPEN> | undefined} */ (result);
}

/**
 * An error is shown at its field: its message need not begin with the name of the field.
 *
 * @param {unknown} problem
 */
function withoutFieldName(problem) {
  const error = /** @type {Error & { field?: string | null }} */ (problem);
  const prefix = `${error.field}: `;
  if (error.field && error.message.startsWith(prefix)) error.message = error.message.slice(prefix.length);
  return error;
}

/**
 * Shows the error of a field that the user has left once, and removes it when the value is right.
 *
 * @param {HTMLFormElement} form
 */
function validateWhileTyping(form) {
  /** @type {WeakSet<EventTarget>} */
  const left = new WeakSet();
  form.addEventListener('input', ({ target }) => {
    const control = /** @type {HTMLInputElement} */ (target);
    const place = control.closest('.field')?.querySelector('.field-error');
    if (!place || (!control.hasAttribute('aria-invalid') && !left.has(control))) return;
    const isInvalid = control.willValidate && !control.checkValidity();
    place.textContent = isInvalid ? control.validationMessage : '';
    if (isInvalid) control.setAttribute('aria-invalid', 'true');
    else control.removeAttribute('aria-invalid');
  });
  form.addEventListener('focusout', ({ target }) => {
    if (target && 'value' in target && target.value) left.add(target);
  });
}
