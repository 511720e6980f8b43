// By which ways something can be watched, and the words for why it is not.

import { address, encoded } from '../lib/api.js';
import { t } from '../lib/i18n.js';

/** Ways for Chain, the best first. `info` is the answer of /api/v1/wall; `kinds` restricts them. */
export function waysOf(item, info, kinds = ['whep', 'hls', 'mjpeg']) {
  const ways = [];
  if (info.mediamtx && item.path) {
    const path = encoded(item.path.name);
    ways.push({ kind: 'whep', url: `${info.webrtc}/${path}/whep`, base: info.webrtc });
    ways.push({ kind: 'hls', url: `${info.hls}/${path}/index.m3u8` });
  }
  if (item.stream) ways.push({ kind: 'mjpeg', url: address(`stream/${encoded(item.name)}.mjpeg`) });
  return ways.filter(({ kind }) => kinds.includes(kind));
}

/** Whether there may be a picture. */
export const isAvailable = (item) => Boolean(item.stream || item.path?.available || item.path?.on_demand);

/** A way, in a word. */
export const wayName = (kind) => ({ whep: 'WebRTC', hls: 'HLS', mjpeg: 'MJPEG' })[kind];

/** Why something is not played, and what to do about it. */
export function why(error, item) {
  const values = { codec: item?.path?.tracks?.join(', ') || '?', message: error.message };
  return t(`viewer.reason_${error.reason ?? 'server'}`, values);
}

/** Shows the state of an item on its badge. */
export function showState(badge, item) {
  const { stream, path } = item;
  const state = stream?.state ?? (path?.available ? 'live' : path?.on_demand ? 'idle' : 'offline');
  badge.textContent = t(`viewer.state_${state}`);
  // Whether somebody has just looked away is nothing to somebody who looks.
  badge.className = `badge ${state === 'lingering' ? 'live' : state}`;
  badge.title = item.stream?.reason ?? '';
}
