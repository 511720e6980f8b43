// @ts-check
// The recordings of MediaMTX. The viewer plays them; this section lists and deletes their files.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { listen } from '../lib/events.js';
import { bytes, dateTime, number, t } from '../lib/i18n.js';
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
import { openFiles, sizesHint } from './recorded_files.js';

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
    { label: t('console.size'), class: 'number', text: ({ size }) => (typeof size === 'number' ? bytes(size) : '—') },
    { label: t('console.first'), text: ({ first }) => (first ? dateTime(first) : '—') },
    { label: t('console.last'), text: ({ last }) => (last ? agoText(last) : '—') },
    // Files of another node are played and deleted at its own console.
    { label: '', class: 'row-actions', node: ({ path, node }) => !node && actions(path, () => load()) },
  ];
  const list = table({
    label: t('console.recordings'),
    key: ({ path, node }) => (node ? `${path} ${node}` : path),
    columns,
    empty: emptyState('film', t('console.recordings_none'), t('console.recordings_none_about'), toPaths),
  });
  const hint = sizesHint();
  const draw = () => {
    list.show(recordings.filter(({ path, node }) => matches(query, path, node ?? '')));
    hint.show(recordings.filter(({ node }) => !node));
  };
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
  fill(main, heading('recordings', search), errors, warning, list.element, hint.element);
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
