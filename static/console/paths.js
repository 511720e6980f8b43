// @ts-check
// All paths of MediaMTX: those that the sidecar keeps, with their definitions and what differs, and those of MediaMTX's file and of
// its clients.

import * as api from '../lib/api.js';
import { confirmed } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { listen } from '../lib/events.js';
import { number, t } from '../lib/i18n.js';
import { attempt, toast } from '../lib/toast.js';
import { button, emptyState, heading, matches, notice, poller, searchField, table } from './parts.js';
import { editAllPaths } from './paths_bulk.js';
import { importPaths } from './paths_import.js';
import { editPath, pathAddress } from './path_form.js';
import { pathColumns } from './path_row.js';

const INTERVAL_SECONDS = 5;

/** Which paths are shown. */
const FILTERS = /** @type {Record<string, (row: PathRow) => boolean>} */ ({
  all: () => true,
  kept: ({ wanted }) => wanted !== null,
  others: ({ wanted }) => wanted === null,
  live: ({ live }) => live.available,
});

/**
 * A path: `live` is what MediaMTX has, `wanted` what the sidecar keeps, if it keeps the path.
 *
 * @typedef {{ name: string, live: Api.Answer<'api/v1/mediamtx/paths'>['paths'][number], wanted: Api.Path | null }} PathRow
 */

/** @type {Section} */
export async function show(main, { args, signal }) {
  const errors = h('div', {});
  const warning = h('div', {});
  const count = h('p', { class: 'dim', role: 'status' });
  /** @type {PathRow[]} */
  let rows = [];
  let query = '';
  const kept = () => rows.flatMap(({ wanted }) => wanted ?? []);
  const loadAfter = async (/** @type {Promise<unknown>} */ dialog) => {
    if (await dialog) load();
  };
  const add = () => loadAfter(editPath(null));
  const list = table({
    label: t('console.paths'),
    key: ({ name }) => name,
    columns: pathColumns(actionsOf(() => load(), loadAfter)),
    empty: emptyState(
      'arrow',
      t('console.paths_none'),
      t('console.paths_none_about'),
      button('plus', t('console.path_new'), add),
    ),
  });
  const choice = h(
    'select',
    { class: 'narrow', 'aria-label': t('console.paths_which'), onchange: () => draw() },
    Object.keys(FILTERS).map((word) => h('option', { value: word }, t(`console.paths_which_${word}`))),
  );
  const draw = () => {
    const found = rows.filter(FILTERS[choice.value]).filter(({ name, live, wanted }) => {
      return matches(
        query,
        name,
        wanted?.title,
        wanted?.note,
        wanted?.kind,
        live.from,
        live.source?.kind,
        live.configured_as,
      );
    });
    list.show(found);
    count.textContent =
      found.length || !rows.length ? t('console.paths_count', { n: number(rows.length) }) : t('console.nothing_found');
  };
  const load = poller(INTERVAL_SECONDS, signal, errors, async () => {
    const [{ paths: definitions }, { paths, error }] = await Promise.all([
      api.call('api/v1/paths', { signal }),
      api.call('api/v1/mediamtx/paths', { signal }),
    ]);
    const wanted = new Map(definitions.map((path) => [path.name, path]));
    rows = paths.map((live) => ({ name: live.name, live, wanted: wanted.get(live.name) ?? null }));
    draw();
    fill(warning, error && notice('warn', h('p', {}, t('console.paths_away')), h('p', { class: 'hint' }, error)));
  });
  const actions = [
    choice,
    searchField((text) => {
      query = text;
      draw();
    }),
    button('download', t('console.import'), () => loadAfter(importPaths())),
    button('edit', t('console.bulk'), () => loadAfter(editAllPaths(kept()))),
    button('plus', t('console.path_new'), add, { class: 'primary' }),
  ];
  fill(main, heading('paths', actions), errors, warning, count, list.element);
  /** @type {Api.EventKind[]} */
  const kinds = ['path.drift', 'path.available', 'path.unavailable'];
  signal.addEventListener('abort', listen(kinds, load, { onGap: load }));
  await load();
  if (args.has('new')) add();
}

/**
 * What can be done with a path.
 *
 * @param {() => void} load
 * @param {(dialog: Promise<unknown>) => void} loadAfter
 */
function actionsOf(load, loadAfter) {
  /** @param {PathRow} row */
  const remove = async ({ name }) => {
    const title = t('console.delete_of', { name });
    if (!(await confirmed({ title, text: t('console.path_delete_about'), action: t('console.delete') }))) return;
    await attempt(() => api.call(pathAddress(name), { method: 'DELETE' }), t('console.deleted', { name }));
    load();
  };
  /** @param {PathRow} row */
  const keep = async ({ name }) => {
    const { imported, skipped } = await api.send('POST', 'api/v1/paths/import', { names: [name] });
    if (imported.length) toast(t('console.path_kept', { name }));
    else toast(Object.values(skipped)[0] ?? t('console.path_kept', { name }), 'bad');
    load();
  };
  /** @type {(row: PathRow, isOn: boolean) => Promise<boolean>} */
  const record = async ({ name }, isOn) => {
    /** @type {boolean | undefined} */
    let isLasting;
    const done = await attempt(async () => {
      const address = /** @type {const} */ (`api/v1/mediamtx/paths/${api.encoded(name)}`);
      ({ lasting: isLasting } = await api.send('PATCH', address, { record: isOn }));
    });
    if (done && !isLasting) toast(t('console.record_for_now'), 'info');
    load();
    return done;
  };
  /** @param {PathRow} row */
  const disconnect = async ({ name, live: { source } }) => {
    if (!source?.protocol) return;
    const text = t('console.kick_about', { remote: t('console.publisher'), path: name });
    if (!(await confirmed({ title: t('console.kick'), text, action: t('console.kick') }))) return;
    const address = /** @type {const} */ (`api/v1/sessions/${source.protocol}/${encodeURIComponent(source.id)}`);
    await attempt(
      () => api.call(address, { method: 'DELETE' }),
      t('console.kicked', { remote: t('console.publisher') }),
    );
    load();
  };
  return {
    remove,
    record,
    disconnect,
    keep: (/** @type {PathRow} */ row) => attempt(() => keep(row)),
    edit: (/** @type {PathRow} */ { wanted }) => loadAfter(editPath(wanted)),
    changed: load,
  };
}
