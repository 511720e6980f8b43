// @ts-check
// Fields with labels, hints and errors that screen readers find, and buttons that copy.

import { h } from './dom.js';
import { errorText, t } from './i18n.js';
import { icon } from './icons.js';

/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Control */

let count = 0;

/**
 * A labelled <input>; a <select> if there are `options`, a <textarea> if there are `rows`. All other properties go to
 * the control. `showProblem` finds it by `name`.
 *
 * @param {Dom.FieldOptions} options
 */
export function field({ label, hint, options, rows, ...properties }) {
  const id = `field-${++count}`;
  const isBox = properties.type === 'checkbox';
  const described = hint ? `${id}-hint ${id}-error` : `${id}-error`;
  return h(
    'div',
    { class: ['field', isBox && 'box'] },
    h('label', { htmlFor: id }, label),
    control({ ...properties, id, 'aria-describedby': described }, options, rows),
    hint && h('p', { class: 'hint', id: `${id}-hint` }, hint),
    h('p', { class: 'field-error', id: `${id}-error`, 'aria-live': 'polite' }),
  );
}

/**
 * A field for a password, with a button that shows what is typed.
 *
 * @param {Dom.FieldOptions} options
 */
export function passwordField(options) {
  const element = field({ ...options, type: 'password', autocapitalize: 'none', spellcheck: false });
  const input = /** @type {HTMLInputElement} */ (element.querySelector('input'));
  const label = t('common.show_password');
  const onclick = () => {
    const isShown = input.type === 'password';
    input.type = isShown ? 'text' : 'password';
    toggle.setAttribute('aria-pressed', String(isShown));
    toggle.replaceChildren(icon(isShown ? 'hide' : 'eye', 18));
    input.focus();
  };
  const toggle = h(
    'button',
    { type: 'button', class: 'icon-button', title: label, 'aria-label': label, 'aria-pressed': 'false', onclick },
    icon('eye', 18),
  );
  const row = h('div', { class: 'password' });
  input.replaceWith(row);
  row.append(input, toggle);
  return element;
}

/**
 * @param {Dom.Properties<HTMLInputElement>} properties
 * @param {Dom.FieldOptions['options']} options
 * @param {number} [rows]
 */
function control(properties, options, rows) {
  if (rows) return h('textarea', { rows, .../** @type {Dom.Properties<HTMLTextAreaElement>} */ (properties) });
  if (!options) return h('input', properties);
  const { value, ...others } = /** @type {Dom.Properties<HTMLSelectElement>} */ (properties);
  const choices = options.map(([key, text]) => h('option', { value: key, selected: key === value }, text));
  return h('select', others, choices);
}

/** An error of one field of a form. */
export class FieldError extends Error {
  /**
   * @param {string} field
   * @param {string} message
   */
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

/**
 * The control of a form with this name.
 *
 * @param {HTMLFormElement} form
 * @param {string} name
 */
export const controlOf = (form, name) => /** @type {HTMLInputElement | null} */ (form.elements.namedItem(name));

/**
 * What a control holds, without spaces around it; empty if the form has no such control.
 *
 * @param {HTMLFormElement} form
 * @param {string} name
 */
export const valueOf = (form, name) => exactValueOf(form, name).trim();

/**
 * What a control holds, with its spaces: for passwords.
 *
 * @param {HTMLFormElement} form
 * @param {string} name
 */
export const exactValueOf = (form, name) => controlOf(form, name)?.value ?? '';

/**
 * Whether a box is checked.
 *
 * @param {HTMLFormElement} form
 * @param {string} name
 */
export const isChecked = (form, name) => controlOf(form, name)?.checked ?? false;

/** @param {HTMLFormElement} form */
const controlsOf = (form) => /** @type {Control[]} */ ([...form.elements].filter((element) => 'value' in element));

/**
 * The error of the first field that the browser does not accept, or null.
 *
 * @param {HTMLFormElement} form
 */
export function firstInvalid(form) {
  const invalid = controlsOf(form).find((control) => control.willValidate && !control.checkValidity());
  return invalid ? new FieldError(invalid.name, invalid.validationMessage) : null;
}

/**
 * Shows an error at the field that it names, else in the form's element of class `form-error`. `null` removes all
 * errors.
 *
 * @param {HTMLFormElement} form
 * @param {unknown} error
 */
export function showProblem(form, error) {
  const controls = controlsOf(form);
  for (const place of form.querySelectorAll('.field-error, .form-error')) place.textContent = '';
  for (const control of controls) control.removeAttribute('aria-invalid');
  if (!error) return;
  const { field: name, message } = /** @type {{ field?: string | null, message: string }} */ (error);
  // The server names the field of a nested value with its path, such as `definition.url`.
  const isNamed = (/** @type {Control} */ { name: own }) => own && (name === own || name?.endsWith(`.${own}`));
  const control = controls.find(isNamed);
  const place = control?.closest('.field')?.querySelector('.field-error');
  if (control && place) {
    place.textContent = message;
    control.setAttribute('aria-invalid', 'true');
    control.closest('details')?.setAttribute('open', '');
    control.focus();
    return;
  }
  const whole = form.querySelector('.form-error');
  if (whole) whole.textContent = errorText(error);
}

/**
 * Sends a form when it is submitted and all of its fields are valid. While it is sent, its button is disabled; an error is shown at the
 * field that it names, after `explain` has worded it.
 *
 * @param {HTMLFormElement} form
 * @param {HTMLButtonElement} submit
 * @param {() => Promise<unknown>} send
 * @param {(error: unknown) => unknown} [explain]
 */
export function onSubmit(form, submit, send, explain = (error) => error) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const invalid = firstInvalid(form);
    showProblem(form, invalid);
    if (invalid) return;
    submit.disabled = true;
    try {
      await send();
    } catch (error) {
      showProblem(form, explain(error));
    } finally {
      submit.disabled = false;
    }
  });
}

/**
 * Copies a text; gives whether this worked.
 *
 * @param {string} text
 */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers have no clipboard for pages over plain HTTP from another machine; this deprecated way still works there.
    const area = h('textarea', { value: text, class: 'visually-hidden' });
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

const COPIED_MS = 2000;

/**
 * A button that copies a text.
 *
 * @param {string} text
 */
export function copyButton(text, label = t('common.copy')) {
  const word = h('span', {}, label);
  const onclick = async () => {
    word.textContent = (await copy(text)) ? t('common.copied') : t('common.copy_failed');
    setTimeout(() => {
      word.textContent = label;
    }, COPIED_MS);
  };
  return h('button', { type: 'button', class: 'small', onclick }, icon('copy', 16), word);
}

/**
 * A text to copy, with its button.
 *
 * @param {string} text
 */
export const snippet = (text) => h('div', { class: 'snippet' }, h('code', { tabIndex: 0 }, text), copyButton(text));
