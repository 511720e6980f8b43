// @ts-check
// Events, at the moment at which they happen.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { listen } from '../lib/events.js';
import { causeText, dateTime, number, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { badge, button, emptyState, heading, matches, missingNodes, searchField } from './parts.js';
import { valuesOf } from './schema.js';
import { known } from './words.js';

/**
 * Colours by the first part of a kind (`reader` of `reader.joined`), so that a new kind needs none of its own.
 *
 * @type {Record<string, string>}
 */
const COLOURS = { login: 'bad', path: 'warn', reader: 'live', recording: 'good' };

/** How many events are kept; the oldest are dropped. */
const KEPT = 500;

/** How many undelivered events are listed. */
const LISTED_DEAD_LETTERS = 50;

/**
 * The events since the console was opened, newest first. They stay while the user looks at other sections.
 *
 * @type {Api.Event[]}
 */
let events = [];

/** @type {Section} */
export async function show(main, { signal }) {
  let [query, kind, isPaused, isWhole] = ['', '', false, false];
  const list = h('ol', { class: 'events', 'aria-label': t('console.events') });
  const state = h('span', { class: 'badge', role: 'status' }, t('console.connecting'));
  const none = emptyState('info', t('console.events_none'), t('console.events_none_about'));
  const deadLetters = h('div', {});

  const draw = () => {
    const found = events.filter(({ type, path, data }) => {
      const isWanted = isWhole || isWorthALine(type, data);
      return isWanted && (!kind || type === kind) && matches(query, type, path, JSON.stringify(data));
    });
    fill(list, collapsed(found).map(eventItem));
    none.hidden = found.length > 0;
  };
  // The server first sends all that it keeps: one drawing for all events of a frame.
  let isDrawing = false;
  const drawSoon = () => {
    if (isDrawing || isPaused) return;
    isDrawing = true;
    requestAnimationFrame(() => {
      isDrawing = false;
      if (!isPaused) draw();
    });
  };

  const pause = button('pause', t('console.pause'), () => togglePause(), { 'aria-pressed': 'false' });
  const togglePause = () => {
    isPaused = !isPaused;
    pause.setAttribute('aria-pressed', String(isPaused));
    const text = isPaused ? t('console.resume') : t('console.pause');
    fill(pause, icon(isPaused ? 'play' : 'pause', 18), h('span', {}, text));
    if (!isPaused) draw();
  };
  const kinds = h(
    'select',
    {
      class: 'narrow',
      'aria-label': t('console.event_type'),
      onchange: () => {
        kind = kinds.value;
        draw();
      },
    },
    h('option', { value: '' }, t('console.event_all')),
  );
  addKinds(kinds);
  const search = searchField((text) => {
    query = text;
    draw();
  });
  const whole = h('input', {
    type: 'checkbox',
    onchange: () => {
      isWhole = whole.checked;
      draw();
    },
  });
  const wholeLabel = h('label', { class: 'tick' }, whole, t('console.events_whole'));
  fill(main, heading('events', state, kinds, search, pause), wholeLabel, deadLetters, list, none);
  draw();

  /** @param {Api.Event} event */
  const onEvent = (event) => {
    events = [event, ...events].slice(0, KEPT);
    drawSoon();
  };
  const onConnection = (/** @type {boolean} */ isConnected) => {
    state.className = `badge ${isConnected ? 'live' : 'failing'}`;
    state.textContent = isConnected ? t('console.listening') : t('console.connecting');
  };
  signal.addEventListener('abort', listen([], onEvent, { since: events[0]?.id ?? 0, onConnection }));
  await showDeadLetters(deadLetters, signal);
}

/**
 * Adds the kinds of events that the OpenAPI document lists; without that list, the kinds that were seen.
 *
 * @param {HTMLSelectElement} select
 */
async function addKinds(select) {
  const listed = await valuesOf('EventKind').catch(() => []);
  const kinds = listed.length ? listed : [...new Set(events.map(({ type }) => type))];
  select.append(...kinds.map((kind) => h('option', { value: kind }, eventName(kind))));
}

/**
 * Streams start and stop with their watchers all the time. What people look for are failures, and their ends.
 *
 * @param {string} type
 * @param {Record<string, unknown>} data
 */
const isWorthALine = (type, { state, before }) =>
  type !== 'stream.state' || state === 'failing' || state === 'removed' || (before === 'failing' && state === 'live');

/**
 * Failures of a stream that follow each other as one line with their number: a camera that is away is asked again and again.
 *
 * @param {Api.Event[]} all newest first
 */
function collapsed(all) {
  /** @type {Map<string, { state: unknown, line: { event: Api.Event, times: number } }>} */
  const latest = new Map();
  /** @type {{ event: Api.Event, times: number }[]} */
  const lines = [];
  for (const event of all) {
    const { type, path, data } = event;
    const key = `${type} ${path}`;
    const before = latest.get(key);
    if (type === 'stream.state' && data.state === 'failing' && before?.state === 'failing') {
      before.line.times += 1;
      continue;
    }
    const line = { event, times: 1 };
    lines.push(line);
    latest.set(key, { state: data.state, line });
  }
  return lines;
}

/** @param {string} type */
const eventName = (type) => known(`console.event_${type.replaceAll('.', '_')}`, type);

/**
 * What an event says, in words.
 *
 * @param {Api.Event} event
 */
function eventText({ type, data }) {
  const { state, failure, reader, source, user, ip, error, start, ...others } = /** @type {Record<string, any>} */ (
    data
  );
  if (type === 'stream.state') {
    const why = failure ? causeText(failure.cause, failure.reason) : state === 'failing' && data.reason;
    return [t(`console.state_${state}`), why].filter(Boolean).join(' · ');
  }
  if (type === 'path.drift') return [known(`console.path_${state}`, state), error].filter(Boolean).join(' · ');
  if (type === 'login.failed') return [user || t('console.who_anonymous'), ip].filter(Boolean).join(' · ');
  if (type === 'recording.segment' && start) return dateTime(start);
  if (reader ?? source) return known(`console.source_${reader ?? source}`, String(reader ?? source));
  const facts = Object.entries(others).filter(([, value]) => value !== null && value !== '');
  return facts
    .map(([key, value]) => `${key}: ${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join(' · ');
}

/** @param {{ event: Api.Event, times: number }} line */
function eventItem({ event, times }) {
  const { at, type, path, data } = event;
  return h(
    'li',
    { class: 'event' },
    h('time', { dateTime: at, class: 'number hint' }, dateTime(at)),
    badge(eventName(type), data.state === 'failing' ? 'bad' : COLOURS[type.split('.')[0]]),
    h('b', { class: 'truncate' }, path || '—'),
    h('span', { class: 'hint event-data', title: JSON.stringify(data) }, [
      eventText(event),
      times > 1 && badge(t('console.times_n', { n: number(times) })),
    ]),
  );
}

/**
 * Lists the events that no webhook accepted, of all nodes of a cluster.
 *
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 */
async function showDeadLetters(place, signal) {
  const { dead, missing } = await api
    .call('api/v1/events/dead-letters?nodes=all', { signal })
    .catch(() => ({ dead: [], missing: [] }));
  const items = dead.slice(0, LISTED_DEAD_LETTERS).map(({ url, error, tries, event, node }) => {
    const where = node ? t('console.at_node', { program: url, node }) : url;
    return h('li', { class: 'hint' }, [event.type, where, error, t('console.tries_n', { n: tries })].join(' · '));
  });
  const summary = h('summary', {}, t('console.dead_letters', { n: dead.length }));
  const list = dead.length > 0 && h('details', { class: 'card' }, summary, h('ul', { class: 'stack tight' }, items));
  fill(place, missingNodes(missing), list);
}
