// @ts-check
// Values of texts on pictures: what `{value:KEY}` of an overlay shows.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { controlOf, exactValueOf, field, onSubmit, valueOf } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { attempt } from '../lib/toast.js';
import { iconButton, loader, nameField, table } from './parts.js';

/** @param {string} key */
const address = (key) => /** @type {const} */ (`api/v1/values/${api.encoded(key)}`);

/**
 * Sets a value.
 *
 * @param {string} key
 * @param {string} value
 */
async function set(key, value) {
  const headers = { 'Content-Type': 'text/plain; charset=utf-8' };
  const response = await api.request(address(key), { method: 'PUT', headers, body: value });
  if (!response.ok) throw await api.refusal(response);
}

/**
 * Shows the values, and a form that sets one.
 *
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 */
export async function showValues(place, signal) {
  const errors = h('div', {});
  const list = table({
    label: t('console.values'),
    key: ([key]) => key,
    columns: [
      { label: t('console.value_key'), text: ([key]) => key },
      {
        label: t('console.value'),
        class: 'wide',
        node: ([key, value]) => valueField(key, value),
        version: ([, value]) => value,
      },
      {
        label: '',
        class: 'row-actions',
        node: ([key]) => iconButton('trash', t('console.delete_of', { name: key }), () => remove(key)),
      },
    ],
    empty: h('p', { class: 'hint' }, t('console.values_none')),
  });
  const load = loader(signal, errors, async () => {
    const { values } = await api.call('api/v1/values', { signal });
    list.show(/** @type {[string, string][]} */ (Object.entries(values)));
  });
  const remove = async (/** @type {string} */ key) => {
    await attempt(() => api.call(address(key), { method: 'DELETE' }));
    load();
  };
  fill(place, h('p', { class: 'hint' }, t('console.values_about')), newValue(load), errors, list.element);
  await load();
}

/**
 * A value that is sent when it is changed.
 *
 * @param {string} key
 * @param {string} value
 */
function valueField(key, value) {
  const input = h('input', {
    value,
    maxLength: 200,
    'aria-label': t('console.value_of', { key }),
    onchange: () => attempt(() => set(key, input.value), t('console.saved', { name: key })),
  });
  return input;
}

/** @param {() => void} changed */
function newValue(changed) {
  const submit = h('button', { class: 'primary' }, t('console.value_set'));
  const form = h(
    'form',
    { class: 'row value-form', noValidate: true },
    nameField({ label: t('console.value_key'), name: 'key', required: true, placeholder: 'gate/temperature' }),
    field({ label: t('console.value'), name: 'value', maxLength: 200 }),
    submit,
    h('p', { class: 'form-error bad', role: 'alert' }),
  );
  onSubmit(form, submit, async () => {
    await set(valueOf(form, 'key'), exactValueOf(form, 'value'));
    form.reset();
    controlOf(form, 'key')?.focus();
    changed();
  });
  return form;
}
