// @ts-check
// A field for a duration: a number and its unit. The server reads `500ms`, `10s`, `1m30s`, `1day`.

import { h } from '../lib/dom.js';
import { field } from '../lib/form.js';
import { t } from '../lib/i18n.js';

/** Units of the server, and how many of the next smaller one they have. */
const UNITS = /** @type {const} */ (['ms', 's', 'm', 'h', 'd']);

/** @type {Record<string, [number, string]>} */
const SMALLER = { s: [1000, 'ms'], m: [60, 's'], h: [60, 'm'], d: [24, 'h'] };

/** Fields of definitions that are durations. */
const DURATIONS = ['interval', 'warmup', 'stale_after', 'expire'];

/** @param {string} name */
export const isDuration = (name) => DURATIONS.includes(name);

/**
 * A duration of one unit, split; null for any other text.
 *
 * @param {string} text
 */
function split(text) {
  const [, number, unit] = /^(\d+)\s*(ms|s|m|h|d)(?:ays?|in|ins|ec|rs?)?$/.exec(text.trim()) ?? [];
  return number ? { number, unit } : null;
}

/**
 * The field. The control of the number has the name; `durationOf` adds the unit.
 *
 * @param {Dom.FieldOptions} options
 */
export function durationField({ value, placeholder, ...options }) {
  const present = split(String(value ?? ''));
  const standard = split(String(placeholder ?? ''));
  const element = field({
    ...options,
    inputMode: 'decimal',
    value: present?.number ?? String(value ?? ''),
    placeholder: standard?.number ?? String(placeholder ?? ''),
  });
  const input = /** @type {HTMLInputElement} */ (element.querySelector('input'));
  const chosen = present?.unit ?? standard?.unit ?? 's';
  const unit = h(
    'select',
    { class: 'unit', 'aria-label': t('console.unit_of', { field: options.label }) },
    UNITS.map((word) => h('option', { value: word, selected: word === chosen }, t(`console.unit_${word}`))),
  );
  const row = h('div', { class: 'duration' });
  input.replaceWith(row);
  row.append(input, unit);
  return element;
}

/**
 * The text of a control for the server, with the unit if the control is that of a duration. A user can also write the unit.
 *
 * @param {HTMLInputElement} control
 */
export function durationOf(control) {
  const text = control.value.trim();
  const select = control.parentElement?.querySelector('select.unit');
  if (!text || !(select instanceof HTMLSelectElement) || !/^\d*[.,]?\d+$/.test(text)) return text;
  let [number, unit] = [Number(text.replace(',', '.')), select.value];
  // The server takes whole numbers only.
  while (!Number.isInteger(number) && SMALLER[unit]) {
    const [factor, smaller] = SMALLER[unit];
    [number, unit] = [Math.round(number * factor * 1e6) / 1e6, smaller];
  }
  return `${Math.round(number)}${unit}`;
}
