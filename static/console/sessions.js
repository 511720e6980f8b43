// @ts-check
// Sessions: the clients of the sidecar and those of MediaMTX.

import * as api from '../lib/api.js';
import { confirmed } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { listen } from '../lib/events.js';
import { bytes, number, t } from '../lib/i18n.js';
import { attempt } from '../lib/toast.js';
import {
  agoText,
  badge,
  emptyState,
  heading,
  iconButton,
  matches,
  missingNodes,
  notice,
  poller,
  searchField,
  table,
} from './parts.js';

const INTERVAL_SECONDS = 5;

/** @typedef {Api.Answer<'api/v1/sessions'>['sessions'][number]} SessionInfo */

/** @type {Section} */
export async function show(main, { args, signal }) {
  const errors = h('div', {});
  const warning = h('div', {});
  const count = h('p', { class: 'dim', role: 'status' });
  /** @type {SessionInfo[]} */
  let sessions = [];
  let query = (args.get('search') ?? '').toLowerCase();
  /** @param {SessionInfo} session */
  const kick = async ({ server, protocol, id, remote, path, node }) => {
    const text = t('console.kick_about', { remote, path: path || '—' });
    if (!(await confirmed({ title: t('console.kick'), text, action: t('console.kick') }))) return;
    const kind = server === 'sidecar' ? 'sidecar' : protocol;
    const at = node ? `?node=${encodeURIComponent(node)}` : '';
    const target = /** @type {const} */ (`api/v1/sessions/${kind}/${encodeURIComponent(id)}${at}`);
    await attempt(() => api.call(target, { method: 'DELETE' }), t('console.kicked', { remote }));
    load();
  };
  const list = table({
    label: t('console.sessions'),
    key: ({ server, protocol, id, node }) => `${server} ${protocol} ${id} ${node ?? ''}`,
    columns: columns(kick),
    empty: emptyState('play', t('console.sessions_none'), t('console.sessions_none_about')),
  });
  const draw = () => {
    const found = sessions.filter(({ protocol, server, path, user, remote, agent, node }) =>
      matches(query, protocol, server, path, user, remote, agent, node ?? ''),
    );
    list.show(found);
    count.textContent = t('console.sessions_count', { n: number(sessions.length) });
  };
  const load = poller(INTERVAL_SECONDS, signal, errors, async () => {
    const found = await api.call('api/v1/sessions?nodes=all', { signal });
    ({ sessions } = found);
    draw();
    const text = found.error && [h('p', {}, t('console.sessions_away')), h('p', { class: 'hint' }, found.error)];
    fill(warning, text && notice('warn', text), missingNodes(found.missing));
  });
  const search = searchField((text) => {
    query = text;
    draw();
  });
  search.value = query;
  fill(main, heading('sessions', search), errors, warning, count, list.element);
  /** @type {Api.EventKind[]} */
  const kinds = ['reader.joined', 'reader.left', 'path.available', 'path.unavailable'];
  signal.addEventListener('abort', listen(kinds, load, { onGap: load }));
  await load();
}

/**
 * @param {(session: SessionInfo) => void} kick
 * @returns {Column<SessionInfo>[]}
 */
function columns(kick) {
  const byteText = (/** @type {number} */ n) => (n ? bytes(n) : '—');
  return [
    { label: t('console.protocol'), class: 'nowrap', node: protocolCell },
    { label: t('console.state'), node: stateBadge, version: ({ state }) => state },
    { label: t('console.path'), class: 'wide', text: ({ path }) => path || '—' },
    { label: t('console.who'), class: 'nowrap', text: ({ user }) => user || '—' },
    { label: t('console.remote'), class: 'wide', node: remoteCell },
    { label: t('console.since'), class: 'nowrap', text: ({ since }) => (since ? agoText(since) : '—') },
    { label: t('console.inbound'), class: 'number', text: ({ inbound_bytes: n }) => byteText(n) },
    { label: t('console.outbound'), class: 'number', text: ({ outbound_bytes: n }) => byteText(n) },
    {
      label: '',
      class: 'row-actions',
      node: (session) => {
        const label = t('console.kick_of', { remote: session.remote });
        return iconButton('exit', label, () => kick(session), t('console.kick'));
      },
    },
  ];
}

/** @param {SessionInfo} session */
function protocolCell({ protocol, server, node }) {
  const program = server === 'sidecar' ? 'mtx-sidecar' : 'MediaMTX';
  const hint = node ? t('console.at_node', { program, node }) : program;
  return [h('b', {}, protocol || '?'), h('p', { class: 'hint' }, hint)];
}

/** @param {SessionInfo} session */
function stateBadge({ state }) {
  if (state === 'read') return badge(t('console.session_read'), 'live');
  return state === 'publish' ? badge(t('console.session_publish'), 'warn') : badge(t('console.session_idle'));
}

/** @param {SessionInfo} session */
const remoteCell = ({ remote, agent }) => [
  h('span', { class: 'number' }, remote),
  agent && h('p', { class: 'hint', title: agent }, programOf(agent)),
];

/** Programs by their user agents, in the order in which they are looked for: Edge and Opera also say Chrome. */
const PROGRAMS = /** @type {const} */ ([
  [/Edg\//, 'Edge'],
  [/OPR\//, 'Opera'],
  [/Firefox\//, 'Firefox'],
  [/(HeadlessChrome|Chrome|CriOS)\//, 'Chrome'],
  [/Safari\//, 'Safari'],
]);

/** @type {[RegExp, string][]} */
const SYSTEMS = [
  [/Android/, 'Android'],
  [/iPhone|iPad/, 'iOS'],
  [/Windows/, 'Windows'],
  [/Mac OS X/, 'macOS'],
  [/Linux/, 'Linux'],
];

/**
 * A user agent in a few words: the program, and for a browser the system.
 *
 * @param {string} agent
 */
function programOf(agent) {
  const browser = PROGRAMS.find(([pattern]) => pattern.test(agent))?.[1];
  const system = SYSTEMS.find(([pattern]) => pattern.test(agent))?.[1];
  if (browser) return [browser, system].filter(Boolean).join(', ');
  return agent.split(/[\s(]/)[0].replace('/', ' ').slice(0, 40);
}
