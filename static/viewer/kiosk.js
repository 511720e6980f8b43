// @ts-check
// A wall display: an address that fixes the layout and turns the pages by itself, such as /viewer/?layout=9&cycle=20s.

import { LAYOUTS } from './wall_tools.js';

/** Bounds of the time for which a page is shown, in seconds. */
const [LEAST_S, MOST_S] = [3, 3600];

/** @typedef {{ layout: string, cycleMs: number }} Kiosk */

/**
 * What an address fixes; null for the address of a usual page. An impossible layout or time counts as left out.
 *
 * @param {string} query
 * @returns {Kiosk | null}
 */
export function kioskOf(query) {
  const parameters = new URLSearchParams(query);
  const layout = parameters.get('layout') ?? '';
  if (!LAYOUTS.includes(layout)) return null;
  const [, digits, unit] = /^(\d{1,4})(s|m|min)?$/.exec(parameters.get('cycle') ?? '') ?? [];
  const seconds = Number(digits ?? 0) * (unit?.startsWith('m') ? 60 : 1);
  return { layout, cycleMs: seconds ? Math.max(LEAST_S, Math.min(MOST_S, seconds)) * 1000 : 0 };
}
