// @ts-check
// The recordings of MediaMTX. The viewer plays them; this section lists and deletes their files.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { listen } from '../lib/events.js';
import { bytes, dateTime, number, t } from '../lib/i18n.js';
import { agoText, emptyState, heading, iconButton, iconLink, matches, poller, searchField, table } from './parts.js';
import { openFiles, sizesHint } from './recorded_files.js';

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
    { label: t('console.size'), class: 'number', text: ({ size }) => (typeof size === 'number' ? bytes(size) : '—') },
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
  const hint = sizesHint();
  const draw = () => {
    list.show(recordings.filter(({ path }) => matches(query, path)));
    hint.show(recordings);
  };
  const load = poller(INTERVAL_SECONDS, signal, errors, async () => {
    ({ recordings } = await api.call('api/v1/recordings', { signal }));
    draw();
  });
  const search = searchField((text) => {
    query = text;
    draw();
  });
  fill(main, heading('recordings', search), errors, list.element, hint.element);
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
