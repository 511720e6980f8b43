// @ts-check
// How an item of the wall can be played, and the texts for why it does not play.

import { address, encoded } from '../lib/api.js';
import { t } from '../lib/i18n.js';

/** @typedef {import('../players/chain.js').Source} Source */
/** @typedef {import('../players/chain.js').SourceKind} SourceKind */

/** @type {SourceKind[]} */
const KINDS = ['whep', 'mse', 'hls', 'mjpeg'];

const PROTOCOLS = { whep: 'WebRTC', mse: 'MSE', hls: 'HLS', mjpeg: 'MJPEG' };

/** The tracks of MediaMTX's paths that the sidecar reads, in MediaMTX's words. */
const PASSED = ['H264', 'H265'];

/**
 * The sources of an item for Chain, the best first. `kinds` restricts them.
 *
 * @param {Api.WallItem} item
 * @param {Api.Wall} wall
 * @param {SourceKind[]} [kinds]
 */
export function sourcesOf(item, wall, kinds = KINDS) {
  /** @type {Source[]} */
  const sources = [];
  if (wall.mediamtx && item.path) {
    const path = encoded(item.path.name);
    sources.push({ kind: 'whep', url: `${wall.webrtc}/${path}/whep`, base: wall.webrtc });
    sources.push({ kind: 'hls', url: `${wall.hls}/${path}/index.m3u8` });
  }
  if (item.stream || item.path?.tracks.some((track) => PASSED.includes(track))) {
    sources.push({ kind: 'mse', url: address(`stream/${encoded(item.name)}.mp4`) });
  }
  if (item.stream) {
    sources.push({ kind: 'mjpeg', url: address(`stream/${encoded(item.name)}.mjpeg`) });
  }
  const usable = sources.filter(({ kind }) => kinds.includes(kind));
  return usable.toSorted((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));
}

/**
 * Whether the item has a picture, or can start.
 *
 * @param {Api.WallItem} item
 */
export const isAvailable = (item) => Boolean(item.stream || item.path?.available || item.path?.on_demand);

/**
 * The name of a protocol.
 *
 * @param {SourceKind} kind
 */
export const protocolName = (kind) => PROTOCOLS[kind];

/**
 * The reason why an item does not play, with advice.
 *
 * @param {import('../players/player.js').PlayerError} error
 * @param {Api.WallItem | null} item
 */
export function reasonText(error, item) {
  const codec = item?.path?.tracks.join(', ') || '?';
  return t(`viewer.reason_${error.reason}`, { codec, message: error.message });
}

/**
 * Shows the state of an item on its badge.
 *
 * @param {HTMLElement} badge
 * @param {Api.WallItem} item
 */
export function showState(badge, { stream, path }) {
  const state = stream?.state ?? pathState(path);
  badge.textContent = t(`viewer.state_${state}`);
  // For viewers, a stream without watchers that still runs is live.
  badge.className = `badge ${state === 'lingering' ? 'live' : state}`;
  badge.title = stream?.reason ?? '';
}

/** @param {Api.WallItem['path']} path */
function pathState(path) {
  if (path?.available) return 'live';
  return path?.on_demand ? 'idle' : 'offline';
}
