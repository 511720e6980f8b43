// @ts-check
// What a tile and the stage say of an item: live only while pictures come, and why there are none.

import { ago, causeText, t } from '../lib/i18n.js';

/**
 * What is known of an item at the moment. `isAway`: the sidecar does not answer. `isShown`: a player shows pictures of it.
 * `isStalled`: the player, or the renewal of stills, has no new picture. `isWaiting`: the player shows a placeholder.
 *
 * @typedef {object} Seen
 * @property {Api.WallItem} item
 * @property {boolean} [isAway]
 * @property {boolean} [isShown]
 * @property {boolean} [isStalled]
 * @property {boolean} [isWaiting]
 * @property {boolean} [isConnecting] a player tries to show it, and there is no other picture of it
 * @property {boolean} [isLost] no player could show it, and there is no other picture of it
 * @property {boolean} [isAsleep] nothing reads it, because a reader would keep its source running
 */

/** @typedef {'live' | 'stalled' | 'starting' | 'idle' | 'failing' | 'offline' | 'away'} Status */

/**
 * The state in a word.
 *
 * @param {Seen} seen
 * @returns {Status}
 */
export function statusOf({ item, isAway, isShown, isStalled, isWaiting, isConnecting, isLost, isAsleep }) {
  const own = stateOf(item);
  // Without the sidecar nothing is known of its streams. A path goes on at MediaMTX, and its player knows that.
  if (isAway && !(isShown && !isStalled && !item.stream)) return 'away';
  if (own === 'failing' || (own === 'idle' && item.stream?.failure)) return 'failing';
  if (isShown) {
    if (isWaiting) return 'starting';
    if (isStalled || item.stream?.stalled) return 'stalled';
    // By WebRTC, the placeholder of a stream that starts is video as any other.
    return own === 'starting' ? 'starting' : 'live';
  }
  if (own === 'live' && isAsleep) return 'idle';
  // The server has pictures, and this browser shows none.
  if (own === 'live' && isLost) return 'away';
  if (own === 'live' && isConnecting) return 'starting';
  if (own === 'live' && (isStalled || item.stream?.stalled)) return 'stalled';
  return own;
}

/**
 * What the server knows.
 *
 * @param {Api.WallItem} item
 * @returns {Status}
 */
function stateOf({ stream, path, uv4l }) {
  if (stream) return stream.state === 'lingering' ? 'live' : /** @type {Status} */ (stream.state);
  if (uv4l && !path) return uv4l.sessions ? 'live' : 'idle';
  if (path?.available) return 'live';
  return path?.on_demand ? 'idle' : 'offline';
}

/**
 * Shows the state on a badge.
 *
 * @param {HTMLElement} badge
 * @param {Seen} seen
 */
export function showStatus(badge, seen) {
  const status = statusOf(seen);
  badge.textContent = t(`viewer.state_${status}`);
  badge.className = `badge ${status}`;
  badge.title = status === 'failing' ? failureText(seen.item) : (seen.item.stream?.reason ?? '');
  return status;
}

/**
 * Why a stream has no picture, in words; empty if it has not failed.
 *
 * @param {Api.WallItem} item
 */
export function failureText({ stream }) {
  if (!stream) return '';
  const { failure, state, reason } = stream;
  if (!failure) return state === 'failing' ? reason || t('viewer.failure_other') : '';
  const text = causeText(failure.cause, failure.reason) || t('viewer.failure_other');
  const seconds = (Date.now() - Date.parse(failure.at)) / 1000;
  return seconds > 5 ? t('viewer.failed_ago', { ago: ago(seconds), reason: text }) : text;
}

/**
 * The order on the wall: what works comes before what does not.
 *
 * @param {Api.WallItem} item
 */
export function rankOf(item) {
  const { stream, uv4l, path } = item;
  if (stream)
    return stream.failure || stream.state === 'failing' ? 2 : Number(!stream.picture && stream.kind === 'upload');
  if (uv4l || path?.available) return 0;
  return path?.on_demand ? 1 : 2;
}

/**
 * What people read in place of the name.
 *
 * @param {Api.WallItem} item
 */
export const titleOf = (item) => /** @type {{ title?: string }} */ (item).title || item.name;
