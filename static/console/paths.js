// @ts-check
// The paths that the sidecar adds to MediaMTX: their definitions, the state of MediaMTX, and where the two differ.

import * as api from '../lib/api.js';
import { confirmed } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { listen } from '../lib/events.js';
import { number, t } from '../lib/i18n.js';
import { attempt, toast } from '../lib/toast.js';
import {
  badge,
  button,
  emptyState,
  heading,
  iconButton,
  matches,
  notice,
  poller,
  searchField,
  table,
} from './parts.js';
import { editAllPaths } from './paths_bulk.js';
import { editPath, pathAddress } from './path_form.js';

const INTERVAL_SECONDS = 10;

/** @type {Record<Api.Path['state'], string>} */
const COLOURS = { applied: 'good', pending: 'warn', conflict: 'bad', refused: 'bad', disabled: '' };

/** @type {Section} */
export async function show(main, { args, signal }) {
  const errors = h('div', {});
  const warning = h('div', {});
  /** @type {Api.Path[]} */
  let paths = [];
  let query = '';

  /** @param {Promise<unknown>} dialog */
  const loadAfter = async (dialog) => {
    if (await dialog) load();
  };
  const add = () => loadAfter(editPath(null));
  const edit = (/** @type {string} */ name) => loadAfter(editPath(paths.find((path) => path.name === name) ?? null));
  const remove = async (/** @type {string} */ name) => {
    const title = t('console.delete_of', { name });
    if (!(await confirmed({ title, text: t('console.path_delete_about'), action: t('console.delete') }))) return;
    await attempt(() => api.call(pathAddress(name), { method: 'DELETE' }), t('console.deleted', { name }));
    load();
  };
  const importAll = async () => {
    await attempt(importPaths);
    load();
  };

  const list = table({
    label: t('console.paths'),
    key: ({ name }) => name,
    columns: columns({ edit, remove, changed: () => load() }),
    empty: emptyState(
      'arrow',
      t('console.paths_none'),
      t('console.paths_none_about'),
      button('plus', t('console.path_new'), add),
    ),
  });
  const draw = () => {
    const found = paths.filter(({ name, kind, state, note }) => matches(query, name, kind, state, note));
    list.show(found);
  };
  const load = poller(INTERVAL_SECONDS, signal, errors, async () => {
    const { paths: found, mediamtx } = await api.call('api/v1/paths', { signal });
    paths = found;
    draw();
    const error = mediamtx.error && h('p', { class: 'hint' }, mediamtx.error);
    fill(warning, !mediamtx.reachable && notice('warn', h('p', {}, t('console.paths_away')), error));
  });
  const actions = [
    searchField((text) => {
      query = text;
      draw();
    }),
    button('download', t('console.import'), importAll),
    button('edit', t('console.bulk'), () => loadAfter(editAllPaths(paths))),
    button('plus', t('console.path_new'), add, { class: 'primary' }),
  ];
  fill(main, heading('paths', actions), errors, warning, list.element);
  /** @type {Api.EventKind[]} */
  const kinds = ['path.drift', 'path.available', 'path.unavailable'];
  signal.addEventListener('abort', listen(kinds, load, { onGap: load }));
  await load();
  if (args.has('new')) add();
}

/** Takes over the paths that MediaMTX has and the sidecar does not. */
async function importPaths() {
  const { imported, skipped } = await api.call('api/v1/paths/import', { method: 'POST' });
  const text = imported.length
    ? t('console.imported', { names: imported.join(', ') })
    : t('console.imported_none', { n: Object.keys(skipped).length });
  toast(text, 'info');
}

/**
 * @param {{ edit: (name: string) => void, remove: (name: string) => void, changed: () => void }} actions
 * @returns {Column<Api.Path>[]}
 */
function columns({ edit, remove, changed }) {
  return [
    {
      label: t('console.name'),
      class: 'wide',
      node: ({ name, note }) => [h('b', {}, name), note && h('p', { class: 'hint' }, note)],
      version: ({ note }) => note,
    },
    { label: t('console.wanted'), class: 'wide', node: definitionCell, version: definitionOf },
    {
      label: t('console.state'),
      node: stateCell,
      version: ({ state, error, differs, bridge }) => [state, error, differs, bridge],
    },
    { label: t('console.actual'), text: actualText },
    { label: t('console.enabled'), node: (path) => enabledSwitch(path, changed), version: ({ enabled }) => enabled },
    {
      label: '',
      class: 'row-actions',
      node: ({ name }) =>
        h(
          'div',
          { class: 'actions' },
          iconButton('edit', t('console.edit_of', { name }), () => edit(name)),
          iconButton('trash', t('console.delete_of', { name }), () => remove(name)),
        ),
    },
  ];
}

/**
 * What a path is made of, as text.
 *
 * @param {Api.Path} path
 */
function definitionOf(path) {
  return [path.kind, path.record, definitionText(path)];
}

/** @param {Api.Path} path */
function definitionText(path) {
  if (path.kind === 'stream') return path.stream;
  if (path.kind === 'camera') return path.url;
  if (path.kind === 'uv4l') return path.url || t('console.path_uv4l_agent');
  const fields = Object.entries(path.fields);
  return fields
    .map(([key, value]) => `${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join('\n');
}

/** @param {Api.Path} path */
function definitionCell(path) {
  return [
    h('span', { class: 'dim' }, `${t(`console.path_kind_${path.kind}`)} `),
    path.record && badge(t('console.records'), 'bad'),
    h('code', { class: 'what' }, definitionText(path)),
  ];
}

/** @param {Api.Path} path */
function stateCell({ state, error, differs, bridge }) {
  const fields = differs.join(', ');
  const call = bridge && `${t(`console.call_${bridge.state}`)}: ${bridge.reason}`;
  return [
    badge(t(`console.path_${state}`), COLOURS[state]),
    error && h('p', { class: 'hint bad' }, error),
    fields && h('p', { class: 'hint' }, t('console.differs', { fields })),
    call && h('p', { class: bridge.state === 'failing' ? 'hint bad' : 'hint' }, call),
  ];
}

/**
 * The state of the path at MediaMTX. `ready` is MediaMTX's deprecated name of `available`.
 *
 * @param {Api.Path} path
 */
function actualText({ actual }) {
  if (!actual) return '—';
  const { available, ready, tracks, readers } =
    /** @type {{ available?: boolean, ready?: boolean, tracks?: string[], readers?: unknown[] }} */ (actual);
  const parts = [
    (available ?? ready) ? t('console.available') : t('console.waiting'),
    tracks?.join(' + '),
    readers?.length && t('console.readers_n', { n: number(readers.length) }),
  ];
  return parts.filter(Boolean).join(' · ');
}

/**
 * @param {Api.Path} path
 * @param {() => void} changed
 */
function enabledSwitch({ name, enabled }, changed) {
  const onchange = async () => {
    box.disabled = true;
    const change = { enabled: box.checked };
    if (!(await attempt(() => api.send('PATCH', pathAddress(name), change)))) box.checked = enabled ?? true;
    box.disabled = false;
    changed();
  };
  const label = t('console.enabled_of', { name });
  const box = h('input', { type: 'checkbox', role: 'switch', checked: enabled, 'aria-label': label, onchange });
  return box;
}
