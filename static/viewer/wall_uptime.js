// @ts-check
// The last day of each stream, as a thin bar on its tile. The wall loads this after its first picture.

import * as api from '../lib/api.js';
import { drawBeats } from '../lib/beats.js';
import { h } from '../lib/dom.js';
import { loadStyle } from '../lib/style.js';

/** The server counts in slots of a quarter of an hour. */
const INTERVAL_MS = 15 * 60_000;

/** @typedef {Api.Answer<'api/v1/uptime'>['streams']} Days */

/**
 * Shows the bars on the tiles of the wall, also on those that come later.
 *
 * @param {HTMLElement} grid
 */
export async function showUptime(grid) {
  await loadStyle(new URL('wall_uptime.css', import.meta.url));
  /** @type {Days} */
  let days = {};
  let loadedAt = -Infinity;
  const draw = (/** @type {Iterable<Node>} */ tiles) => {
    for (const tile of tiles) if (tile instanceof HTMLElement) drawTile(tile, days[tile.dataset.key ?? '']);
  };
  const load = async () => {
    if (document.hidden || !grid.checkVisibility() || performance.now() - loadedAt < INTERVAL_MS) return;
    loadedAt = performance.now();
    // Bars that cannot be loaded are left out: the wall says by itself if the server does not answer.
    days = (await api.call('api/v1/uptime').catch(() => null))?.streams ?? days;
    draw(grid.children);
  };
  new MutationObserver((changes) => draw(changes.flatMap(({ addedNodes }) => [...addedNodes]))).observe(grid, {
    childList: true,
  });
  document.addEventListener('visibilitychange', load);
  setInterval(load, INTERVAL_MS / 15);
  await load();
}

/**
 * @param {HTMLElement} tile
 * @param {Days[string]} slots
 */
function drawTile(tile, slots = []) {
  let bars = tile.querySelector('.tile-beats');
  if (!slots.length && !bars) return;
  if (!(bars instanceof HTMLElement)) {
    bars = h('div', { class: 'tile-beats' });
    tile.querySelector('.tile-picture')?.append(bars);
  }
  drawBeats(/** @type {HTMLElement} */ (bars), slots);
}
