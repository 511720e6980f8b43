// @ts-check
// The recordings of MediaMTX. The viewer plays them; this section lists and deletes their files.

import * as api from '../lib/api.js';
import { confirmed, openDialog } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { listen } from '../lib/events.js';
import { dateTime, number, t } from '../lib/i18n.js';
import { attempt } from '../lib/toast.js';
import { agoText, emptyState, heading, iconButton, iconLink, matches, poller, searchField, table } from './parts.js';

/** MediaMTX reads its disk for each request. */
const INTERVAL_SECONDS = 60;

/** @typedef {Api.Answer<'api/v1/recordings'>['recordings'][number]} RecordedPath */

/** @type {Section} */
export async function show(main, { signal }) {
  const errors = h('div', {});
  /** @type {RecordedPath[]} */
  let recordings = [];
  let query = '';
  const toPaths = h('a', { class: 'button', href: '#/paths' }, t('console.paths'));
  /** @type {Column<RecordedPath>[]} */
  const columns = [
    { label: t('console.path'), class: 'wide', node: ({ path }) => h('b', {}, path) },
    { label: t('console.files'), class: 'number', text: ({ segments }) => number(segments) },
    { label: t('console.first'), text: ({ first }) => (first ? dateTime(first) : '—') },
    { label: t('console.last'), text: ({ last }) => (last ? agoText(last) : '—') },
    { label: '', class: 'row-actions', node: ({ path }) => actions(path, () => load()) },
  ];
  const list = table({
    label: t('console.recordings'),
    key: ({ path }) => path,
    columns,
    empty: emptyState('film', t('console.recordings_none'), t('console.recordings_none_about'), toPaths),
  });
  const draw = () => list.show(recordings.filter(({ path }) => matches(query, path)));
  const load = poller(INTERVAL_SECONDS, signal, errors, async () => {
    ({ recordings } = await api.call('api/v1/recordings', { signal }));
    draw();
  });
  const search = searchField((text) => {
    query = text;
    draw();
  });
  fill(main, heading('recordings', search), errors, list.element);
  signal.addEventListener('abort', listen(['recording.segment'], load, { onGap: load }));
  await load();
}

/**
 * @param {string} path
 * @param {() => void} changed
 */
function actions(path, changed) {
  const href = `${api.address('viewer/')}#/recordings/${api.encoded(path)}`;
  const play = iconLink('play', t('console.play_of', { name: path }), href, t('console.word_watch'));
  const label = t('console.files_of', { name: path });
  const files = iconButton('more', label, () => openFiles(path, changed), t('console.files'));
  return h('div', { class: 'actions' }, play, files);
}

/**
 * Opens the list of the files of a path.
 *
 * @param {string} path
 * @param {() => void} changed
 */
async function openFiles(path, changed) {
  const address = /** @type {const} */ (`api/v1/recordings/${api.encoded(path)}`);
  /** @param {string} start */
  const remove = async (start) => {
    const name = dateTime(start);
    const title = t('console.delete_of', { name });
    if (!(await confirmed({ title, text: t('console.file_delete_about'), action: t('console.delete') }))) return;
    const file = /** @type {const} */ (`${address}?start=${encodeURIComponent(start)}`);
    await attempt(() => api.call(file, { method: 'DELETE' }), t('console.deleted', { name }));
    load();
  };
  /** @type {Column<{ start: string }>[]} */
  const columns = [
    { label: t('console.begins'), text: ({ start }) => dateTime(start) },
    {
      label: '',
      class: 'row-actions',
      node: ({ start }) => iconButton('trash', t('console.delete_of', { name: dateTime(start) }), () => remove(start)),
    },
  ];
  const list = table({
    label: t('console.files_of', { name: path }),
    key: ({ start }) => start,
    columns,
    empty: h('p', { class: 'dim' }, t('console.recordings_none')),
  });
  const load = async () => {
    const { segments } = await api.call(address);
    list.show(segments.toReversed());
  };
  if (!(await attempt(load))) return;
  await openDialog({ title: t('console.files_of', { name: path }), body: list.element }).closed;
  changed();
}
