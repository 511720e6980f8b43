// @ts-check
// The journey of a stream's pictures: from the source to the sidecar, to MediaMTX, and to those who watch. The hop that fails is red.

import * as api from '../lib/api.js';
import { openDialog } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { bytes, number, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { loadStyle } from '../lib/style.js';
import { poller, refill } from './parts.js';
import { kindName } from './schema.js';
import { failureText } from './words.js';

await loadStyle(new URL('journey.css', import.meta.url));

const INTERVAL_SECONDS = 2;

/** Most clients that are listed at a server. */
const MOST = 6;

/** @typedef {Api.Answer<'api/v1/sessions'>['sessions'][number]} SessionInfo */
/** @typedef {Api.Answer<'api/v1/mediamtx/paths'>['paths'][number]} MediaMtxPath */
/** @typedef {'good' | 'bad' | ''} Health */

/**
 * What is known of a stream at the moment.
 *
 * @typedef {object} Seen
 * @property {Api.Stream} stream
 * @property {SessionInfo[]} sessions
 * @property {MediaMtxPath | undefined} path
 * @property {string} away why MediaMTX does not answer, or empty
 * @property {number | null} kbps what arrives from the source
 */

/**
 * Opens the diagram of a stream, which follows it until the dialog is closed.
 *
 * @param {string} name
 */
export function openJourney(name) {
  const errors = h('div', {});
  const flow = h('ol', { class: 'journey' });
  const ending = new AbortController();
  const { signal } = ending;
  const { closed } = openDialog({ title: t('console.journey_of', { name }), wide: true, body: [errors, flow] });
  closed.then(() => ending.abort());
  /** @type {{ bytes: number, at: number } | null} */
  let before = null;
  const load = poller(INTERVAL_SECONDS, signal, errors, async () => {
    const [stream, sessions, paths] = await Promise.all([
      api.call(`api/v1/streams/${api.encoded(name)}`, { signal }),
      api.call('api/v1/sessions', { signal }),
      api.call('api/v1/mediamtx/paths', { signal }),
    ]);
    const now = { bytes: stream.bytes, at: performance.now() };
    const kbps = before && ((now.bytes - before.bytes) * 8) / Math.max(1, now.at - before.at);
    before = now;
    const path = paths.paths.find((one) => one.stream === name);
    draw(flow, { stream, sessions: sessions.sessions, path, away: paths.error ?? '', kbps });
  });
  load();
}

/**
 * @param {HTMLElement} flow
 * @param {Seen} seen
 */
function draw(flow, seen) {
  const stops = [sourceStop(seen), sidecarStop(seen), mediaMtxStop(seen)];
  refill(flow, stops, () => stops.map((stop) => stopElement(stop)));
}

/**
 * A stop of the journey: its name, words about it, and who reads there. `hop` is about the way to it.
 *
 * @typedef {object} Stop
 * @property {Icon} shape
 * @property {string} title
 * @property {Health} health
 * @property {(string | false)[]} facts
 * @property {string} [problem]
 * @property {string} [hop]
 * @property {string[]} [clients]
 */

/**
 * @param {Seen} seen
 * @returns {Stop}
 */
function sourceStop({ stream }) {
  const { kind, state, picture } = stream;
  const problem = failureText(stream);
  const isLive = state === 'live' || state === 'lingering';
  return {
    shape: 'camera',
    title: kindName(kind),
    health: problem ? 'bad' : isLive ? 'good' : '',
    facts: [t(`console.state_${state}`), Boolean(picture) && `${picture?.width} × ${picture?.height}`],
    problem,
  };
}

/**
 * @param {Seen} seen
 * @returns {Stop}
 */
function sidecarStop({ stream, sessions, kbps }) {
  const { name, state, fps, watchers, dropped } = stream;
  const isLive = state === 'live' || state === 'lingering';
  const rate = kbps !== null && kbps > 0 && `${number(kbps)} kbit/s`;
  return {
    shape: 'grid',
    title: 'mtx-sidecar',
    health: isLive ? 'good' : '',
    hop: [isLive && t('console.per_second', { n: number(fps, 1) }), rate].filter(Boolean).join(' · '),
    facts: [
      watchers > 0 ? t('console.watchers_n', { n: number(watchers) }) : t('console.journey_no_watcher'),
      dropped > 0 && t('console.dropped_n', { n: number(dropped) }),
    ],
    clients: clientsOf(sessions.filter(({ server, path }) => server === 'sidecar' && path === name)),
  };
}

/**
 * @param {Seen} seen
 * @returns {Stop}
 */
function mediaMtxStop({ sessions, path, away }) {
  const tracks = path?.tracks.map(({ codec }) => codec).join(' + ');
  return {
    shape: 'screen',
    title: 'MediaMTX',
    health: away ? 'bad' : path?.available ? 'good' : '',
    hop: path?.available ? `↓ ${bytes(path.inbound_bytes)}` : '',
    facts: [
      path ? path.name : t('console.journey_no_path'),
      Boolean(tracks) && String(tracks),
      Boolean(path) && (path?.available ? t('console.path_now_available') : t('console.path_now_on_demand')),
      Boolean(path?.record) && t('console.records'),
    ],
    problem: away && t('console.sessions_away'),
    clients: clientsOf(sessions.filter((one) => one.server !== 'sidecar' && path && one.path === path.name)),
  };
}

/**
 * Who reads, with the bytes that each has got.
 *
 * @param {SessionInfo[]} sessions
 */
function clientsOf(sessions) {
  const readers = sessions.filter(({ state }) => state !== 'publish');
  const texts = readers
    .slice(0, MOST)
    .map(({ protocol, remote, outbound_bytes: sent }) => `${protocol} · ${remote} · ↑ ${bytes(sent)}`);
  if (readers.length > MOST) texts.push(t('console.journey_more', { n: number(readers.length - MOST) }));
  return texts;
}

/** @param {Stop} stop */
function stopElement({ shape, title, health, facts, problem, hop, clients = [] }) {
  const known = facts.filter(Boolean).join(' · ');
  const list = h('ul', { class: 'journey-clients' });
  fill(
    list,
    clients.map((client) => h('li', {}, icon('eye', 16), client)),
  );
  return h(
    'li',
    { class: ['journey-stop', health] },
    hop !== undefined && h('p', { class: 'journey-hop' }, icon('arrow', 22), h('span', { class: 'number' }, hop)),
    h(
      'div',
      { class: 'card' },
      h('h3', {}, icon(shape, 20), title),
      h('p', { class: 'hint' }, known),
      problem && h('p', { class: 'hint bad' }, problem),
      clients.length > 0 && list,
    ),
  );
}
