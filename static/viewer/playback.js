// @ts-check
// How an item of the wall can be played, and the texts for why it does not play.

import { address, encoded } from '../lib/api.js';
import { t } from '../lib/i18n.js';

/** @typedef {import('../players/chain.js').Source} Source */
/** @typedef {import('../players/chain.js').SourceKind} SourceKind */

/** @type {SourceKind[]} */
const KINDS = ['whep', 'uv4l', 'mse', 'hls', 'mjpeg'];

const PROTOCOLS = { whep: 'WebRTC', uv4l: 'WebRTC', mse: 'MSE', hls: 'HLS', mjpeg: 'MJPEG' };

/** The tracks of MediaMTX's paths that the sidecar reads, in MediaMTX's words. */
const PASSED = ['H264', 'H265'];

/** The tracks that are sound (MediaMTX's internal/defs/api_path.go); all others are video, or data. */
const SOUND = /^(Opus|Vorbis|MPEG-4 Audio|MPEG-1\/2 Audio|AC3|AC-3|Speex|G726|G722|G711|LPCM)/;

/**
 * Whether the sidecar makes stills and MJPEG of the item: of its own streams, and of paths with video that it reads.
 *
 * @param {Api.WallItem} item
 */
export const hasStills = ({ stream, path }) =>
  Boolean(stream || (path?.available && path.tracks.some((track) => PASSED.includes(track))));

/**
 * Whether the item has sound and no video.
 *
 * @param {Api.WallItem} item
 */
export const isSoundOnly = ({ stream, path }) =>
  !stream && Boolean(path?.tracks.length) && path?.tracks.every((track) => SOUND.test(track)) === true;

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
    const whep = `${wall.webrtc}/${path}/whep`;
    sources.push({ kind: 'whep', url: whep, base: wall.webrtc, isSoundOnly: isSoundOnly(item) });
    sources.push({ kind: 'hls', url: `${wall.hls}/${path}/index.m3u8` });
  }
  if (item.uv4l) {
    const iceServers = wall.ice_servers;
    sources.push({ kind: 'uv4l', url: address(`uv4l/${encoded(item.name)}`), iceServers });
  }
  if (hasStills(item)) {
    sources.push({ kind: 'mse', url: address(`stream/${encoded(item.name)}.mp4`) });
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
export const isAvailable = (item) => Boolean(item.stream || item.uv4l || item.path?.available || item.path?.on_demand);

/**
 * The name of a protocol.
 *
 * @param {SourceKind} kind
 */
export const protocolName = (kind) => PROTOCOLS[kind];

/** Whether this browser plays H.264: some systems' Firefox and Chromium do not, until a decoder is installed. */
const playsH264 = () => document.createElement('video').canPlayType('video/mp4; codecs="avc1.42E01E"') !== '';

/**
 * The reason why an item does not play, with advice.
 *
 * @param {import('../players/player.js').PlayerError} error
 * @param {Api.WallItem | null} item
 */
export function reasonText(error, item) {
  const tracks = item?.path?.tracks ?? [];
  const hasDecoder = error.reason !== 'codec' || !tracks.includes('H264') || playsH264();
  const reason = hasDecoder ? error.reason : 'no_h264';
  return t(`viewer.reason_${reason}`, { codec: tracks.join(', ') || '?', message: error.message });
}
