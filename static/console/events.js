// What happens, as it happens.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { dateTime, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { badge, button, head, nothing, search } from './parts.js';

const TYPES = [
  'stream.state',
  'path.available',
  'path.unavailable',
  'path.drift',
  'reader.joined',
  'reader.left',
  'recording.segment',
  'login.failed',
  'hook',
];
const COLOUR = {
  'path.available': 'good',
  'path.unavailable': 'warn',
  'path.drift': 'warn',
  'login.failed': 'bad',
  'reader.joined': 'live',
};

/** More than one reads; the oldest go. */
const KEPT = 500;

/** What was heard while the console is open, newest first; it is there when one comes back to this section. */
let heard = [];

export async function show(main, { signal }) {
  let [wanted, type, paused] = ['', '', false];
  const list = h('ol', { class: 'events', 'aria-label': t('console.events') });
  const state = h('span', { class: 'badge', role: 'status' }, t('console.connecting'));
  const none = h('div', {}, nothing('info', t('console.events_none'), t('console.events_none_about')));
  const dead = h('div', {});
  const fits = (event) =>
    (!type || event.type === type) &&
    (!wanted || `${event.type} ${event.path} ${JSON.stringify(event.data)}`.toLowerCase().includes(wanted));
  const line = ({ at, type: word, path, data }) =>
    h(
      'li',
      { class: 'event' },
      h('time', { dateTime: at, class: 'number hint' }, dateTime(at)),
      badge(word, COLOUR[word]),
      h('b', { class: 'truncate' }, path || '—'),
      h(
        'span',
        { class: 'hint event-data' },
        Object.entries(data ?? {})
          .filter(([, value]) => value !== null && value !== '')
          .map(([key, value]) => `${key}: ${typeof value === 'object' ? JSON.stringify(value) : value}`)
          .join(' · '),
      ),
    );
  const draw = () => {
    const chosen = heard.filter(fits);
    fill(list, chosen.map(line));
    none.hidden = chosen.length > 0;
  };
  const take = (event) => {
    // Once for each: what was missed is asked for while it is listened to.
    if (heard.some(({ id }) => id === event.id)) return;
    heard = [event, ...heard].slice(0, KEPT);
    if (paused || !fits(event)) return;
    list.prepend(line(event));
    while (list.childElementCount > KEPT) list.lastElementChild.remove();
    none.hidden = true;
  };
  const pause = button(
    'pause',
    t('console.pause'),
    () => {
      paused = !paused;
      pause.setAttribute('aria-pressed', String(paused));
      fill(pause, icon(paused ? 'play' : 'pause', 18), h('span', {}, paused ? t('console.go_on') : t('console.pause')));
      if (!paused) draw();
    },
    { 'aria-pressed': 'false' },
  );
  const choose = h(
    'select',
    {
      class: 'narrow',
      'aria-label': t('console.event_type'),
      onchange: () => {
        type = choose.value;
        draw();
      },
    },
    h('option', { value: '' }, t('console.event_all')),
    TYPES.map((word) => h('option', { value: word }, word)),
  );
  fill(
    main,
    head(
      'events',
      state,
      choose,
      search((text) => {
        wanted = text;
        draw();
      }),
      pause,
    ),
    dead,
    list,
    none,
  );
  draw();
  signal.addEventListener(
    'abort',
    api.listen([], take, (connected) => {
      state.className = `badge ${connected ? 'live' : 'failing'}`;
      state.textContent = connected ? t('console.listening') : t('console.connecting');
    }),
  );
  const before = await missed(signal).catch(() => []);
  if (signal.aborted) return;
  const known = new Set(heard.map(({ id }) => id));
  heard = [...heard, ...before.filter(({ id }) => !known.has(id))].sort((a, b) => b.id - a.id).slice(0, KEPT);
  draw();
  const { dead: letters } = await api.call('api/v1/events/dead', { signal }).catch(() => ({ dead: [] }));
  if (letters.length > 0) {
    fill(
      dead,
      h(
        'details',
        { class: 'card' },
        h('summary', {}, t('console.dead_letters', { n: letters.length })),
        h(
          'ul',
          { class: 'stack tight' },
          letters.slice(0, 50).map((letter) =>
            h(
              'li',
              { class: 'hint' },
              Object.values(letter)
                .map((value) => (typeof value === 'object' ? (value?.type ?? '') : value))
                .join(' · '),
            ),
          ),
        ),
      ),
    );
  }
}

/** What happened before: the server sends all it keeps at once, and then goes on, which is not waited for. */
async function missed(signal) {
  const ending = new AbortController();
  signal.addEventListener('abort', () => ending.abort());
  const response = await api.request('api/v1/events?since=0', { signal: ending.signal });
  if (!response.ok) return [];
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const timer = setTimeout(() => ending.abort(), 1500);
  let text = '';
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      text += next.value;
      if (text.endsWith('\n\n') && text.length > 40) break;
    }
  } catch {
    // Aborted: there was nothing, or no more.
  }
  clearTimeout(timer);
  ending.abort();
  const data = text.split('\n').filter((line) => line.startsWith('data: {"id"'));
  return data.map((line) => JSON.parse(line.slice(6))).slice(-200);
}
