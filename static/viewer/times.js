// @ts-check
// Times of a day, as texts and as parts of a line.

/** Seconds of a day. */
export const DAY = 86_400;

/** At least two digits. */
export const two = (/** @type {number} */ value) => String(value).padStart(2, '0');
export const dayOf = (/** @type {Date} */ date) =>
  `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;

/** The second of its day. */
export const secondOfDay = (/** @type {Date} */ date) =>
  date.getHours() * 3600 + date.getMinutes() * 60 + date.getSeconds() + date.getMilliseconds() / 1000;

/** @param {number} seconds */
export function clock(seconds) {
  return [seconds / 3600, (seconds / 60) % 60, seconds % 60].map((value) => two(Math.floor(value))).join(':');
}

/**
 * This browser's offset from UTC on a day, as in RFC 3339.
 *
 * @param {string} day
 */
export function offsetOf(day) {
  return offsetText(-new Date(`${day}T00:00:00`).getTimezoneOffset());
}

/** @param {number} minutes */
const offsetText = (minutes) =>
  `${minutes < 0 ? '-' : '+'}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;

/**
 * The second of the day that a field for a time has, such as 12:30:05; null if it is empty.
 *
 * @param {string} text
 */
export function secondsOf(text) {
  if (!text) return null;
  const [hours, minutes, seconds = 0] = text.split(':').map(Number);
  return hours * 3600 + minutes * 60 + seconds;
}

/**
 * A time in RFC 3339, with this browser's offset from UTC.
 *
 * @param {number} ms since the epoch
 */
export function localTime(ms) {
  const minutes = -new Date(ms).getTimezoneOffset();
  const local = new Date(ms + minutes * 60_000).toISOString().replace('Z', '');
  return `${local}${offsetText(minutes)}`;
}
