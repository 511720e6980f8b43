// @ts-check
// Lengths of time, as texts.

import { number, t } from './i18n.js';

/**
 * A length of time in a suitable unit.
 *
 * @param {number} seconds
 */
export function durationText(seconds) {
  if (seconds < 60) return t('common.seconds', { n: number(Math.max(0, seconds)) });
  if (seconds < 3600) return t('common.minutes', { n: number(seconds / 60, 1) });
  return t('common.hours', { n: number(seconds / 3600, 1) });
}
