// @ts-check
// Tiles of the wall and the timeline of recordings in all of their states, for the page of all parts. Nothing is played: the tiles are
// never told that they are visible.

import { drawBeats } from '../lib/beats.js';
import { h } from '../lib/dom.js';
import { Tile } from '../viewer/tile.js';
import { Timeline } from '../viewer/timeline.js';

const ago = (/** @type {number} */ seconds) => new Date(Date.now() - seconds * 1000).toISOString();

/** @type {any} */
const WALL = { mediamtx: true, webrtc: '', hls: '', playback: '', path_prefix: '', items: [] };

/** @type {(state: string, more?: object) => object} */
const stream = (state, more = {}) => ({ kind: 'http', state, reason: '', picture: null, stalled: false, ...more });

/** @type {(available: boolean, onDemand?: boolean) => object} */
const path = (available, onDemand = false) => ({ available, on_demand: onDemand, tracks: ['H264'], recordings: false });

const FAILURE = { code: 'source_failed', cause: 'wrong_password', reason: '', at: ago(120) };

/** @type {{ name: string, item: any, wall?: any, isAway?: boolean, hasDay?: boolean }[]} */
const STATES = [
  { name: 'idle', item: { stream: stream('idle') } },
  { name: 'starting', item: { stream: stream('starting') } },
  { name: 'live', item: { stream: stream('live'), title: '玄関 Haustür' }, hasDay: true },
  { name: 'stalled', item: { stream: stream('live', { stalled: true }) }, hasDay: true },
  { name: 'failing', item: { stream: stream('failing', { failure: FAILURE }) } },
  { name: 'no picture yet', item: { stream: stream('starting', { kind: 'upload' }) } },
  { name: 'away', item: { stream: stream('live') }, isAway: true },
  { name: 'path', item: { path: path(true) } },
  { name: 'on demand', item: { path: path(false, true) } },
  { name: 'offline', item: { path: path(false) } },
  { name: 'mediamtx away', item: { path: path(true) }, wall: { ...WALL, mediamtx: false } },
  { name: 'Site-A/Camera-005/Entrance/North/'.repeat(4), item: { stream: stream('live') } },
];

export function tiles() {
  const all = STATES.map(({ name, item, wall = WALL, isAway = false, hasDay = false }) => {
    const tile = new Tile(name, () => {});
    const named = { name, ...item, ...(item.path && { path: { name, ...item.path } }) };
    tile.update(named, wall, 'auto', isAway);
    if (hasDay) tile.element.querySelector('.tile-picture')?.append(day());
    return tile.element;
  });
  return [h('div', { class: 'wall', dataset: { layout: 'auto' } }, all), timeline('one'), timeline('one', 'two')];
}

/** A day with a failure. */
function day() {
  const place = h('div', { class: 'tile-beats' });
  const now = Math.floor(Date.now() / 900_000) * 900;
  const slots = Array.from({ length: 96 }, (_, i) => {
    const isBad = i > 50 && i < 56;
    return { start: now - (96 - i) * 900, live: isBad ? 0 : 900, stalled: 0, failing: isBad ? 900 : 0 };
  });
  drawBeats(place, slots);
  return place;
}

/** @param {...string} names */
function timeline(...names) {
  const strip = h('div', { hidden: true });
  const line = new Timeline({ play: () => {}, choose: (span) => line.choose(span), view: () => {} }, strip);
  const parts = [
    { offset: 3600, duration: 20_000 },
    { offset: 30_000, duration: 40_000 },
  ];
  line.set(names.map((name) => ({ name, parts })));
  line.mark(40_000);
  line.choose({ from: 42_000, to: 50_000 });
  return h('div', { class: 'stack' }, line.element, line.tools);
}
