// @ts-check
// The log of the program: its last lines as they come, its level, and a file of it.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { loadStyle } from '../lib/style.js';
import { attempt } from '../lib/toast.js';
import { button, heading, matches, poller, searchField } from './parts.js';

await loadStyle(new URL('log.css', import.meta.url));

const INTERVAL_SECONDS = 3;

/** Lines on the page; the file has more. */
const SHOWN = 1000;

const LEVELS = ['error', 'warn', 'info', 'debug', 'trace'];

/** @type {Section} */
export async function show(main, { signal }) {
  const errors = h('div', {});
  const text = h('pre', { class: 'log', tabIndex: 0, role: 'log', 'aria-live': 'off', 'aria-label': t('console.log') });
  const none = h('p', { class: 'hint', hidden: true }, t('console.log_none'));
  /** @type {string[]} */
  let lines = [];
  let [next, query, isFollowing] = [0, '', true];
  const draw = () => {
    const found = lines.filter((line) => matches(query, line));
    fill(text, found.map(lineElement));
    none.hidden = found.length > 0;
    text.hidden = found.length === 0;
    if (isFollowing) text.scrollTop = text.scrollHeight;
  };
  text.addEventListener('scroll', () => {
    isFollowing = text.scrollTop + text.clientHeight >= text.scrollHeight - 40;
  });
  const level = levelChoice(() => load());
  const load = poller(INTERVAL_SECONDS, signal, errors, async () => {
    const found = await api.call(`api/v1/log?since=${next}&lines=${SHOWN}`, { signal });
    level.show(found.level ?? '');
    // After a restart the lines are counted anew.
    if (found.first < next) lines = [];
    if (!found.lines.length && next) return;
    next = found.next;
    lines = [...lines, ...found.lines].slice(-SHOWN);
    draw();
  });
  const search = searchField((word) => {
    query = word;
    draw();
  });
  const save = button('download', t('console.log_save'), () => attempt(download));
  fill(main, heading('log', level.element, search, save), errors, text, none);
  await load();
}

/** @param {string} line */
function lineElement(line) {
  const [word] = /\b(ERROR|WARN|INFO|DEBUG|TRACE)\b/.exec(line) ?? [''];
  return h('span', { class: ['log-line', word.toLowerCase()] }, `${line}\n`);
}

/**
 * The level, which can be changed until the program ends.
 *
 * @param {() => void} changed
 */
function levelChoice(changed) {
  const select = h(
    'select',
    {
      class: 'narrow',
      'aria-label': t('console.log_level'),
      onchange: async () => {
        await attempt(() => api.send('PUT', 'api/v1/log', { level: select.value }), t('console.log_level_set'));
        changed();
      },
    },
    LEVELS.map((word) => h('option', { value: word }, t(`console.log_${word}`))),
  );
  return {
    element: select,
    /** @param {string} level */
    show(level) {
      if (level && !LEVELS.includes(level) && !select.querySelector(`option[value="${CSS.escape(level)}"]`))
        select.append(h('option', { value: level }, level));
      select.disabled = level === '';
      if (level) select.value = level;
    },
  };
}

async function download() {
  const response = await api.request('api/v1/log?format=text');
  if (!response.ok) throw await api.refusal(response);
  const href = URL.createObjectURL(await response.blob());
  h('a', { href, download: 'mtx-sidecar.log' }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}
