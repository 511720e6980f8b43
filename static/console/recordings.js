// @ts-check
// The recordings of MediaMTX. The viewer plays them; this section lists and deletes their files.

import * as api from '../lib/api.js';
import { confirmed, openDialog } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { listen } from '../lib/events.js';
import { dateTime, number, t } from '../lib/i18n.js';
import { attempt } from '../lib/toast.js';
import {
  agoText,
  emptyState,
  heading,
  iconButton,
  iconLink,
  matches,
  missingNodes,
  poller,
  searchField,
  table,
} from './parts.js';

/** MediaMTX reads its disk for each request. */
const INTERVAL_SECONDS = 60;

/** @typedef {Api.Answer<'api/v1/recordings'>['recordings'][number]} RecordedPath */

/** @type {Section} */
export async function show(main, { signal }) {
  const errors = h('div', {});
  const warning = h('div', {});
  /** @type {RecordedPath[]} */
  let recordings = [];
  let query = '';
  const toPaths = h('a', { class: 'button', href: '#/paths' }, t('console.paths'));
  /** @type {Column<RecordedPath>[]} */
  const columns = [
    { label: t('console.path'), class: 'wide', node: nameCell },
    { label: t('console.files'), class: 'number', text: ({ segments }) => number(segments) },
    { label: t('console.first'), text: ({ first }) => (first ? dateTime(first) : '—') },
    { label: t('console.last'), text: ({ last }) => (last ? agoText(last) : '—') },
    // Files of another node are played and deleted at its own console.
    { label: '', class: 'row-actions', node: ({ path, node }) => !node && actions(path, () => load()) },
  ];
  const list = table({
    label: t('console.recordings'),
    key: ({ path, node }) => `${node ?? ''} ${path}`,
    columns,
    empty: emptyState('film', t('console.recordings_none'), t('console.recordings_none_about'), toPaths),
  });
  const draw = () => list.show(recordings.filter(({ path, node }) => matches(query, path, node ?? '')));
  const load = poller(INTERVAL_SECONDS, signal, errors, async () => {
    const found = await api.call('api/v1/recordings?nodes=all', { signal });
    ({ recordings } = found);
    draw();
    fill(warning, missingNodes(found.missing));
  });
  const search = searchField((text) => {
    query = text;
    draw();
  });
  fill(main, heading('recordings', search), errors, warning, list.element);
  signal.addEventListener('abort', listen(['recording.segment'], load, { onGap: load }));
  await load();
}

/** @param {RecordedPath} recorded */
const nameCell = ({ path, node }) => [
  h('b', {}, path),
  node && h('p', { class: 'hint' }, t('console.at_node', { program: 'MediaMTX', node })),
];

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
