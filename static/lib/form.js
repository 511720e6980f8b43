// Fields with labels, hints and errors that screen readers find; and copying.

import { h } from './dom.js';
import { icon } from './icons.js';
import { t, words } from './i18n.js';

let count = 0;

/**
 * A labelled field: <input>, or <select> with `options` ([value, text] pairs), or <textarea> with `rows`. Everything else of
 * `properties` goes to the control. `showProblem` finds it by `name`.
 */
export function field({ label, hint, options, rows, ...properties }) {
  const id = `field-${++count}`;
  const described = `${hint ? `${id}-hint ` : ''}${id}-error`;
  const common = { id, 'aria-describedby': described, ...properties };
  let control;
  if (options) {
    const { value, ...others } = common;
    control = h(
      'select',
      others,
      options.map(([key, text]) => h('option', { value: key, selected: key === value }, text)),
    );
  } else control = rows ? h('textarea', { rows, ...common }) : h('input', common);
  const isBox = properties.type === 'checkbox';
  return h(
    'div',
    { class: ['field', isBox && 'box'] },
    h('label', { htmlFor: id }, label),
    control,
    hint && h('p', { class: 'hint', id: `${id}-hint` }, hint),
    h('p', { class: 'field-error', id: `${id}-error`, 'aria-live': 'polite' }),
  );
}

/** Puts an error to the field that it names, else into the form's element of class `form-error`; without an error, takes all away. */
export function showProblem(form, error) {
  for (const told of form.querySelectorAll('.field-error, .form-error')) told.textContent = '';
  for (const control of form.elements) control.removeAttribute('aria-invalid');
  if (!error) return;
  const control =
    error.field &&
    [...form.elements].find(
      (element) => element.name && (element.name === error.field || error.field.endsWith(`.${element.name}`)),
    );
  const told = control && control.closest('.field')?.querySelector('.field-error');
  if (told) {
    told.textContent = error.message;
    control.setAttribute('aria-invalid', 'true');
    control.focus();
    return;
  }
  const place = form.querySelector('.form-error');
  if (place) place.textContent = words(error);
}

/** Copies a text; says whether that could be done. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers have no clipboard for pages by plain HTTP from another machine; this old way still works there.
    const area = h('textarea', { value: text, class: 'visually-hidden' });
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

/** A button that copies; `text` is a text, or a function that gives one, at once or later. */
export function copyButton(text, label = t('common.copy')) {
  const word = h('span', {}, label);
  const button = h(
    'button',
    {
      type: 'button',
      class: 'small',
      onclick: async () => {
        const done = await copy(typeof text === 'function' ? await text() : text);
        word.textContent = done ? t('common.copied') : t('common.copy_failed');
        setTimeout(() => {
          word.textContent = label;
        }, 2000);
      },
    },
    icon('copy', 16),
    word,
  );
  return button;
}

/** Text to copy, with its button. */
export const snippet = (text) => h('div', { class: 'snippet' }, h('code', { tabIndex: 0 }, text), copyButton(text));
