// @ts-check
// The cluster: the nodes, and how new the shared state is at the one that answers.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { number, t } from '../lib/i18n.js';
import { badge, emptyState, heading, notice, poller, refill, table } from './parts.js';

const INTERVAL_SECONDS = 2;

/** @typedef {Api.Answer<'api/v1/cluster'>} Cluster */
/** @typedef {Cluster['nodes'][number]} Node */
/** @typedef {Cluster['streams'][number]} Holding */

/** @type {Section} */
export async function show(main, { signal }) {
  const errors = h('div', {});
  const state = h('div', { class: 'stack tight', role: 'status' });
  const nodes = table({
    label: t('console.cluster_nodes'),
    key: (/** @type {Node} */ { name }) => name,
    columns: COLUMNS,
    empty: emptyState('link', t('console.cluster_off'), t('console.cluster_off_about')),
  });
  const streams = table({
    label: t('console.cluster_streams'),
    key: (/** @type {Holding} */ { stream }) => stream,
    columns: STREAM_COLUMNS,
    empty: h('p', { class: 'dim' }, t('console.cluster_streams_none')),
  });
  const held = h(
    'section',
    { class: 'stack', hidden: true },
    h('h2', {}, t('console.cluster_streams')),
    streams.element,
  );
  const load = poller(INTERVAL_SECONDS, signal, errors, async () => {
    const cluster = await api.call('api/v1/cluster', { signal });
    const { enabled, connected, server, problems, records, foreign_records: foreign } = cluster;
    refill(state, [enabled, connected, server, problems, records, foreign], () => stateOf(cluster));
    nodes.show(cluster.nodes);
    held.hidden = !enabled;
    streams.show(cluster.streams);
  });
  fill(main, heading('cluster'), errors, state, nodes.element, held);
  await load();
}

/** @param {Cluster} cluster */
function stateOf({ enabled, connected, server, problems, records }) {
  if (!enabled) return [];
  const word = h('strong', {}, t(connected ? 'console.cluster_connected' : 'console.cluster_away'));
  const kind = connected && problems.length === 0 ? 'good' : 'bad';
  const figures = t('console.cluster_records', { count: number(records) });
  return [notice(kind, word, ' ', server, ' · ', figures), problems.map((problem) => notice('warn', problem))];
}

/** @type {Column<Holding>[]} */
const STREAM_COLUMNS = [
  { label: t('console.stream'), class: 'wide', node: ({ stream }) => h('b', {}, stream) },
  { label: t('console.cluster_holder'), text: ({ node }) => node },
  {
    label: t('console.state'),
    node: ({ leaving }) => leaving && badge(t('console.cluster_draining'), 'warn'),
    version: ({ leaving }) => leaving,
  },
];

/** @type {Column<Node>[]} */
const COLUMNS = [
  { label: t('console.cluster_node'), text: ({ name, own }) => (own ? t('console.cluster_own', { name }) : name) },
  {
    label: t('console.state'),
    node: ({ alive, draining }) =>
      alive
        ? badge(t(draining ? 'console.cluster_draining' : 'console.cluster_alive'), draining ? 'warn' : 'good')
        : badge(t('console.cluster_gone'), 'bad'),
    version: ({ alive, draining }) => [alive, draining],
  },
  { label: t('console.cluster_version'), text: ({ version }) => version },
  {
    label: t('console.cluster_address'),
    text: ({ address, http_port: port }) => (address ? `${address}:${port}` : '—'),
  },
  { label: t('console.cluster_watchers'), class: 'number', text: ({ watchers }) => number(watchers) },
  { label: t('console.cluster_producers'), class: 'number', text: ({ producers }) => number(producers) },
  { label: t('console.cluster_lag'), class: 'number', text: ({ lag }) => number(lag) },
  {
    label: t('console.cluster_silent'),
    class: 'number',
    text: ({ silent_seconds: seconds }) => `${number(seconds)} s`,
  },
];
