// @ts-check
// The settings with their sources. They are changed in sidecar.yml or in the environment.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { badge, heading, loader, matches, notice, searchField } from './parts.js';

/** @type {Record<string, string>} */
const COLOURS = { file: 'good', environment: 'warn' };

/** Longer values of several parts get lines of their own. */
const SHORT = 60;

/** @param {unknown} value */
function valueText(value) {
  if (value === '') return t('console.nothing');
  if (Array.isArray(value) && value.length === 0) return '[]';
  return typeof value === 'object' ? JSON.stringify(value, null, 1) : String(value);
}

/** @param {unknown} value */
const isLong = (value) => typeof value === 'object' && JSON.stringify(value).length > SHORT;

/** @type {Section} */
export async function show(main, { signal }) {
  const place = h('div', { class: 'stack' });
  const errors = h('div', {});
  const source = h('div', {});
  /** @type {Api.Setting[]} */
  let settings = [];
  let query = '';
  const draw = () => {
    const found = settings.filter(({ key, about, variable, source: from }) => {
      return (!changedOnly.checked || from !== 'default') && matches(query, key, about, variable);
    });
    const none = found.length === 0 && h('p', { class: 'dim' }, t('console.nothing_found'));
    fill(place, [...grouped(found)].map(group), none);
  };
  const changedOnly = h('input', { type: 'checkbox', id: 'only-changed', onchange: draw });
  const filter = h('label', { class: 'check', htmlFor: changedOnly.id }, changedOnly, t('console.only_changed'));
  const search = searchField((text) => {
    query = text;
    draw();
  });
  fill(main, heading('settings', filter, search), errors, source, place);
  await loader(signal, errors, async () => {
    const answer = await api.call('api/v1/settings', { signal });
    ({ settings } = answer);
    const name = answer.file && [t('console.settings_file'), ' ', h('code', {}, answer.file)];
    fill(source, notice('', h('p', {}, name || t('console.settings_no_file'))));
    draw();
  })();
}

/**
 * Settings by the section of their key.
 *
 * @param {Api.Setting[]} settings
 */
function grouped(settings) {
  /** @type {Map<string, Api.Setting[]>} */
  const groups = new Map();
  for (const setting of settings) {
    const name = setting.key.split('.').slice(0, -1).join('.');
    const group = groups.get(name) ?? [];
    group.push(setting);
    groups.set(name, group);
  }
  return groups;
}

/** @param {[string, Api.Setting[]]} group */
function group([name, settings]) {
  const list = h('dl', { class: 'settings' }, settings.map(settingItem));
  return h('section', { class: 'card setting-group' }, h('h2', {}, name || t('console.general')), list);
}

/** @param {Api.Setting} setting */
function settingItem({ key, value, default: standard, source, variable, about }) {
  const differs = JSON.stringify(value) !== JSON.stringify(standard);
  const shown = isLong(value)
    ? h('pre', { class: 'code', tabIndex: 0 }, valueText(value))
    : h('code', { class: ['value', differs && 'differs'] }, valueText(value));
  const byDefault =
    differs && !isLong(standard) && h('span', {}, t('console.standard', { value: valueText(standard) }));
  return h(
    'div',
    { class: 'setting' },
    h('dt', {}, h('code', {}, key.split('.').pop()), badge(t(`console.from_${source}`), COLOURS[source])),
    h(
      'dd',
      {},
      shown,
      h('p', { class: 'hint' }, about),
      h('div', { class: 'row hint' }, byDefault, h('code', { class: 'variable' }, variable)),
    ),
  );
}
