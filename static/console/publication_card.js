// @ts-check
// The card of a publication: preview, state, statistics, and controls.

import { address, encoded } from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { errorText, number, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { openLinkDialog } from '../lib/links.js';

const STATS_INTERVAL_MS = 1500;

/** How much of the level of one frame remains in the next, so that the meter falls slowly. */
const METER_DECAY = 0.85;

/** @type {Record<string, string>} */
const BADGES = { connecting: 'starting', live: 'live', failing: 'failing', ended: '' };

/** @typedef {import('./publication.js').Publication} Publication */
/** @typedef {import('./sources.js').Source} Source */

/**
 * @param {Publication} publication
 * @param {string} kind
 * @param {import('./publication.js').PublicationOptions} options
 */
export function publicationCard(publication, kind, { path, source, addresses }) {
  const state = h('span', { class: 'badge', role: 'status' });
  const problem = h('p', { class: 'hint' });
  const facts = h('p', { class: 'hint number' });
  const watch = h(
    'a',
    {
      class: 'button small',
      href: `${address('viewer/')}#/watch/${encoded(path)}`,
      target: '_blank',
      rel: 'noreferrer',
    },
    icon('play', 16),
    t('console.watch_there'),
  );
  const stop = h(
    'button',
    { type: 'button', class: 'danger small', onclick: () => publication.stop() },
    icon('close', 16),
    t('console.publish_stop'),
  );
  const openLink = () => openLinkDialog({ name: path, isStream: false, hasStills: kind !== 'audio', path, addresses });
  const link = h(
    'button',
    { type: 'button', class: 'small', onclick: openLink },
    icon('link', 16),
    t('console.publish_link'),
  );
  const actions = h(
    'div',
    { class: 'row' },
    source.replace && replaceButton(source, problem),
    source.mute && muteButton(source),
    watch,
    link,
    stop,
  );
  const card = h(
    'article',
    { class: 'card publication', dataset: { path } },
    h('div', { class: 'publication-picture' }, source.preview ?? icon('sound', 40)),
    h(
      'div',
      { class: 'stack tight' },
      h('div', { class: 'spread' }, h('h2', {}, path), state),
      h('p', { class: 'hint' }, t(`console.source_${kind}`)),
      source.level && meter(source.level, publication),
      facts,
      problem,
      actions,
    ),
  );
  const timer = setInterval(async () => {
    if (card.isConnected && !document.hidden) facts.textContent = statsText(await publication.stats());
  }, STATS_INTERVAL_MS);
  publication.addEventListener('state', () => {
    state.textContent = t(`console.publish_${publication.state}`);
    state.className = `badge ${BADGES[publication.state]}`;
    problem.textContent = publication.problem && t('console.publish_problem', { problem: publication.problem });
    if (publication.state === 'ended') clearInterval(timer);
  });
  return card;
}

/**
 * A meter that follows the level while it is visible, until the publication ends.
 *
 * @param {() => number} level
 * @param {Publication} publication
 */
function meter(level, publication) {
  const bar = h('span', {});
  const element = h('div', { class: 'meter', role: 'img', 'aria-label': t('console.level') }, bar);
  let shown = 0;
  const draw = () => {
    if (publication.state === 'ended') return;
    if (element.isConnected && !document.hidden) {
      shown = Math.max(level(), shown * METER_DECAY);
      bar.style.transform = `scaleX(${shown.toFixed(3)})`;
    }
    requestAnimationFrame(draw);
  };
  draw();
  return element;
}

/** @param {Awaited<ReturnType<Publication['stats']>>} stats */
function statsText({ width, height, fps, kbps, codec, latencyMs }) {
  const facts = [
    codec,
    width && `${width} × ${height}`,
    typeof fps === 'number' && t('console.per_second', { n: number(fps, 1) }),
    typeof kbps === 'number' && `${number(kbps)} kbit/s`,
    latencyMs && `${number(latencyMs)} ms`,
  ];
  return facts.filter(Boolean).join(' · ');
}

/**
 * @param {Source} source
 * @param {HTMLElement} problem
 */
function replaceButton(source, problem) {
  const input = h('input', {
    type: 'file',
    accept: 'image/*',
    class: 'visually-hidden',
    tabIndex: -1,
    'aria-label': t('console.replace'),
  });
  input.addEventListener('change', async () => {
    const file = input.files?.[0];
    try {
      if (file) await source.replace?.(file);
    } catch (error) {
      problem.textContent = errorText(error);
    }
    input.value = '';
  });
  const onclick = () => input.click();
  return [input, h('button', { type: 'button', class: 'small', onclick }, icon('refresh', 16), t('console.replace'))];
}

/** @param {Source} source */
function muteButton(source) {
  const onclick = () => {
    const isMuted = source.mute?.() ?? false;
    button.setAttribute('aria-pressed', String(isMuted));
    fill(button, icon(isMuted ? 'mute' : 'microphone', 16), isMuted ? t('console.unmute') : t('console.mute'));
  };
  const button = h(
    'button',
    { type: 'button', class: 'small', 'aria-pressed': 'false', onclick },
    icon('microphone', 16),
    t('console.mute'),
  );
  return button;
}
