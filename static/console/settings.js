// Settings, with where they came from. They are changed in the file or in the environment.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { badge, failure, head, notice, search } from './parts.js';

const COLOUR = { file: 'good', environment: 'warn', default: '' };
const shown = (value) =>
  value === ''
    ? t('console.nothing')
    : Array.isArray(value) && value.length === 0
      ? '[]'
      : typeof value === 'object'
        ? JSON.stringify(value, null, 1)
        : String(value);
const isLong = (value) => typeof value === 'object' && JSON.stringify(value).length > 60;

export async function show(main, { signal }) {
  const place = h('div', { class: 'stack' });
  let [all, wanted, changedOnly] = [[], '', false];
  const onlyChanged = h('input', {
    type: 'checkbox',
    id: 'only-changed',
    onchange: () => {
      changedOnly = onlyChanged.checked;
      draw();
    },
  });
  const told = h('div', {});
  const draw = () => {
    const chosen = all.filter(
      (one) =>
        (!changedOnly || one.source !== 'default') &&
        (!wanted || `${one.key} ${one.about} ${one.variable}`.toLowerCase().includes(wanted)),
    );
    const groups = Map.groupBy ? Map.groupBy(chosen, ({ key }) => group(key)) : grouped(chosen);
    fill(
      place,
      [...groups].map(([name, settings]) =>
        h(
          'section',
          { class: 'card setting-group' },
          h('h2', {}, name || t('console.general')),
          h('dl', { class: 'settings' }, settings.map(setting)),
        ),
      ),
      chosen.length === 0 && h('p', { class: 'dim' }, t('console.nothing_found')),
    );
  };
  fill(
    main,
    head(
      'settings',
      h('label', { class: 'check', htmlFor: 'only-changed' }, onlyChanged, t('console.only_changed')),
      search((text) => {
        wanted = text;
        draw();
      }),
    ),
    told,
    place,
  );
  try {
    const { file, settings } = await api.call('api/v1/settings', { signal });
    all = settings;
    fill(
      told,
      notice(
        '',
        h('p', {}, file ? [t('console.settings_file'), ' ', h('code', {}, file)] : t('console.settings_no_file')),
      ),
    );
    draw();
  } catch (error) {
    if (!signal.aborted)
      fill(
        place,
        failure(error, () => show(main, { signal })),
      );
  }
}

const group = (key) => key.split('.').slice(0, -1).join('.');

function grouped(list) {
  const groups = new Map();
  for (const one of list) groups.set(group(one.key), [...(groups.get(group(one.key)) ?? []), one]);
  return groups;
}

function setting({ key, value, default: standard, source, variable, about }) {
  const differs = JSON.stringify(value) !== JSON.stringify(standard);
  return h(
    'div',
    { class: 'setting' },
    h('dt', {}, h('code', {}, key.split('.').pop()), badge(t(`console.from_${source}`), COLOUR[source])),
    h(
      'dd',
      {},
      isLong(value)
        ? h('pre', { class: 'code', tabIndex: 0 }, shown(value))
        : h('code', { class: ['value', differs && 'differs'] }, shown(value)),
      h('p', { class: 'hint' }, about),
      h(
        'div',
        { class: 'row hint' },
        differs && !isLong(standard) && h('span', {}, t('console.standard', { value: shown(standard) })),
        h('code', { class: 'variable' }, variable),
      ),
    ),
  );
}
