// @ts-check
// The last day of a stream: a bar for each half hour, and how much of the time pictures came.

import { fill, h } from './dom.js';
import { number, t } from './i18n.js';

/** Bars of a day. */
const BARS = 48;

const BAR_SECONDS = 86_400 / BARS;

/** @typedef {Api.Answer<'api/v1/uptime'>['streams'][string][number]} Slot */

/** @param {Slot[]} slots */
const sum = (slots) =>
  slots.reduce(
    (total, { live, stalled, failing }) => ({
      live: total.live + live,
      stalled: total.stalled + stalled,
      failing: total.failing + failing,
    }),
    { live: 0, stalled: 0, failing: 0 },
  );

/**
 * The colour of a bar: what there was most of, and a warning if there was anything else than pictures.
 *
 * @param {ReturnType<typeof sum>} total
 */
function colourOf({ live, stalled, failing }) {
  if (failing > live) return 'var(--bad)';
  if (failing || stalled) return 'var(--warn)';
  return live ? 'var(--good)' : 'var(--line)';
}

/**
 * Shows the last day of a stream; nothing if there is none. It is one element with a gradient, because a list can have hundreds of them.
 *
 * @param {HTMLElement} place
 * @param {Slot[]} slots
 */
export function drawBeats(place, slots) {
  place.hidden = !slots.length;
  if (!slots.length) return;
  const end = Math.ceil(Date.now() / 1000 / BAR_SECONDS) * BAR_SECONDS;
  const stops = Array.from({ length: BARS }, (_, i) => {
    const from = end - (BARS - i) * BAR_SECONDS;
    const own = slots.filter(({ start }) => start >= from && start < from + BAR_SECONDS);
    return `${colourOf(sum(own))} ${(i * 100) / BARS}% ${((i + 1) * 100) / BARS}%`;
  });
  const { live, stalled, failing } = sum(slots);
  const share = live / Math.max(1, live + stalled + failing);
  const percent = number(share * 100, share < 1 ? 1 : 0);
  place.classList.toggle('is-whole', share === 1);
  const label = t('common.beats', { percent });
  const bars = h('span', { class: 'beats-bars', role: 'img', 'aria-label': label, title: label });
  bars.style.backgroundImage = `linear-gradient(90deg, ${stops.join(', ')})`;
  fill(place, bars, h('span', { class: 'hint number', 'aria-hidden': 'true' }, `${percent} %`));
}
