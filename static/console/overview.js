// @ts-check
// The overview: the state of the sidecar and of MediaMTX, and what is wrong with MediaMTX's configuration.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { snippet, valueOf } from '../lib/form.js';
import { bytes, dateTime, number, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { loadStyle } from '../lib/style.js';
import { attempt } from '../lib/toast.js';
import { KEEP_OPEN, badge, button, failure, formDialog, heading, notice, poller, refill } from './parts.js';
import { trafficChart } from './traffic.js';

await loadStyle(new URL('overview.css', import.meta.url));

const INTERVAL_SECONDS = 4;

/** @type {Section} */
export async function show(main, { signal }) {
  const errors = h('div', {});
  const hosts = h('section', { class: 'card host' });
  const figures = h('div', { class: 'figures' });
  const chart = trafficChart();
  const check = h('section', { class: 'card stack tight', 'aria-live': 'polite' });
  const firstSteps = h('div', {});
  const missing = h('div', {});
  const checkButton = button('search', t('console.check_file'), openFileCheck);
  fill(main, heading('overview', checkButton), errors, firstSteps, missing, hosts, figures, chart.element, check);

  /** @type {boolean | null} */
  let wasReachable = null;
  await poller(INTERVAL_SECONDS, signal, errors, async () => {
    const overview = await api.call('api/v1/overview', { signal });
    const { version, started, mediamtx, streams, paths, watchers, readers, picture_memory: memory } = overview;
    refill(hosts, [version, started, mediamtx], () => hostParts(overview));
    refill(figures, [streams, paths, watchers, readers, memory], () => figureCards(overview));
    refill(firstSteps, streams.total === 0, () => streams.total === 0 && firstStepsNotice());
    const characters = overview.missing_characters.join(' ');
    refill(
      missing,
      characters,
      () => characters && notice('warn', h('p', {}, t('console.missing_characters', { characters }))),
    );
    chart.show(overview.throughput);
    if (mediamtx.reachable === wasReachable) return;
    wasReachable = mediamtx.reachable;
    await showCheck(check, wasReachable);
  })();
}

/** @param {Api.Overview} overview */
function hostParts({ version, started, mediamtx }) {
  const since = (/** @type {string} */ time) => t('console.started', { when: dateTime(time) });
  /** @type {(name: string, isRunning: boolean, facts: string) => HTMLElement} */
  const part = (name, isRunning, facts) => {
    const state = isRunning ? badge(t('console.reachable'), 'good') : badge(t('console.away'), 'bad');
    return h('div', { class: 'host-part' }, h('h2', {}, name), state, h('span', { class: 'dim' }, facts));
  };
  const facts = [mediamtx.version?.trim(), mediamtx.started && since(mediamtx.started)].filter(Boolean).join(' · ');
  return [
    part('MediaMTX', mediamtx.reachable, mediamtx.reachable ? facts : (mediamtx.error ?? '')),
    part('mtx-sidecar', true, `v${version} · ${since(started)}`),
  ];
}

/** @param {Api.Overview} overview */
function figureCards({ streams, paths, watchers, readers, picture_memory: memory, picture_memory_limit: limit }) {
  const states = [
    streams.live && `${streams.live} ${t('console.state_live')}`,
    streams.starting && `${streams.starting} ${t('console.state_starting')}`,
    streams.failing && `${streams.failing} ${t('console.state_failing')}`,
  ];
  const pathFacts =
    paths.kept > 0
      ? t('console.paths_kept', { n: paths.kept, differing: paths.differing })
      : t('console.paths_present', { n: paths.present });
  const split = t('console.watching_split', { here: watchers, there: readers });
  return [
    linkCard('#/streams', figure(number(streams.total), t('console.streams'), joined(states) || t('console.all_idle'))),
    linkCard('#/paths', figure(number(paths.available), t('console.paths_available'), pathFacts)),
    linkCard('#/sessions', figure(number(watchers + readers), t('console.watching'), split)),
    h(
      'div',
      { class: 'card figure-card' },
      figure(bytes(memory), t('console.picture_memory'), t('console.of', { limit: bytes(limit) })),
    ),
  ];
}

/** @param {(string | 0)[]} texts */
const joined = (texts) => texts.filter(Boolean).join(' · ');

/** @type {(href: string, content: Dom.Child) => HTMLElement} */
const linkCard = (href, content) => h('a', { class: 'card figure-card', href }, content);

/** @type {(value: string, label: string, hint: string) => HTMLElement[]} */
const figure = (value, label, hint) => [
  h('span', { class: 'figure' }, value),
  h('span', {}, label),
  h('span', { class: 'hint' }, hint),
];

/** The first steps, while there are no streams. */
function firstStepsNotice() {
  const makeTestCard = async () => {
    await api.send('PUT', `api/v1/streams/${api.encoded('test-card')}`, { kind: 'test-card' });
    location.hash = '#/streams';
  };
  const actions = h(
    'div',
    { class: 'row' },
    button('camera', t('console.begin_test_card'), () => attempt(makeTestCard)),
    h('a', { class: 'button', href: '#/streams?new=1' }, icon('plus', 18), t('console.stream_new')),
  );
  const texts = [h('h2', {}, t('console.begin')), h('p', {}, t('console.begin_about'))];
  return h('section', { class: 'notice begin' }, icon('info'), h('div', { class: 'notice-text' }, texts, actions));
}

/**
 * Checks the configuration that MediaMTX has at this moment.
 *
 * @param {HTMLElement} place
 * @param {boolean} isReachable
 */
async function showCheck(place, isReachable) {
  const title = h('h2', {}, t('console.check'));
  if (!isReachable) {
    const text = h('p', {}, t('console.check_away'));
    return fill(place, title, notice('warn', text, snippet('mtx-sidecar init && mediamtx mediamtx.yml')));
  }
  try {
    const { findings } = await api.call('api/v1/mediamtx/check');
    fill(place, title, findingList(findings));
  } catch (error) {
    fill(
      place,
      title,
      failure(error, () => showCheck(place, isReachable)),
    );
  }
}

/** @param {Api.Finding[]} findings */
function findingList(findings) {
  if (!findings.length) return notice('good', h('p', {}, t('console.check_fine')));
  return findings.map(({ severity, key, advice, fix }) => {
    const text = h('p', {}, h('code', {}, key), ' ', advice);
    return notice(severity === 'error' ? 'bad' : 'warn', text, fix && snippet(fix));
  });
}

/** A dialog that checks the text of a mediamtx.yml. It stays open to show the findings. */
function openFileCheck() {
  const answer = h('div', { class: 'stack tight', 'aria-live': 'polite' });
  const text = h(
    'div',
    { class: 'field' },
    h('label', { htmlFor: 'pasted' }, t('console.check_paste')),
    h('textarea', { id: 'pasted', name: 'body', rows: 12, required: true, spellcheck: false }),
    h('p', { class: 'field-error' }),
  );
  return formDialog({
    title: t('console.check_file'),
    action: t('console.check_action'),
    wide: true,
    body: [text, answer],
    send: async (form) => {
      const headers = { 'Content-Type': 'application/yaml' };
      const request = { method: /** @type {const} */ ('POST'), headers, body: valueOf(form, 'body') };
      const { findings } = await api.call('api/v1/mediamtx/check', request);
      fill(answer, findingList(findings));
      return KEEP_OPEN;
    },
  });
}
