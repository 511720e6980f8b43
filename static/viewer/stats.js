// @ts-check
// The statistics of a player as texts.

import { number } from '../lib/i18n.js';

/**
 * The known statistics, by the key of their label.
 *
 * @param {import('../players/player.js').PlayerStats} stats
 * @returns {[string, string][]}
 */
export function statsTexts({ protocol, codec, width, height, fps, kbps, latencyMs, ageMs, lost }) {
  /** @type {(value: number | null | undefined, unit: string, digits?: number) => string} */
  const text = (value, unit, digits = 0) => (typeof value === 'number' ? `${number(value, digits)}${unit}` : '');
  /** @type {[string, string][]} */
  const all = [
    ['protocol', protocol],
    ['codec', codec ?? ''],
    ['size', width ? `${width} × ${height}` : ''],
    ['fps', text(fps, '', 1)],
    ['rate', text(kbps, ' kbit/s')],
    ['latency', text(latencyMs, ' ms')],
    ['age', text(ageMs, ' ms')],
    ['lost', text(lost || null, '')],
  ];
  return all.filter(([, value]) => value);
}
