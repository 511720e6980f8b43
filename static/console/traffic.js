// @ts-check
// The chart of traffic: two lines of SVG, drawn again for each answer.

import { fill, h } from '../lib/dom.js';
import { bytes, t } from '../lib/i18n.js';

const SVG = 'http://www.w3.org/2000/svg';
const [WIDTH, HEIGHT] = [600, 90];

/** Steps between the values of the server: five minutes, a value every two seconds. */
const STEPS = 149;

/** The smallest scale of the chart, in bytes per second. */
const SMALLEST_PEAK = 1000;

/** @typedef {Api.Overview['throughput']} Traffic */

export function trafficChart() {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('role', 'img');
  svg.classList.add('curve');
  const [inbound, outbound] = [polyline('inbound'), polyline('outbound')];
  svg.append(inbound, outbound);
  const legend = h('div', { class: 'row legend' });
  const peak = h('span', { class: 'hint number' });
  const head = h('div', { class: 'spread' }, h('h2', {}, t('console.traffic')), peak);
  return {
    element: h('section', { class: 'card stack tight' }, head, svg, legend),
    /** @param {Traffic} traffic */
    show(traffic) {
      const most = Math.max(SMALLEST_PEAK, ...traffic.inbound, ...traffic.outbound);
      inbound.setAttribute('points', points(traffic.inbound, most));
      outbound.setAttribute('points', points(traffic.outbound, most));
      const [incoming, outgoing] = [rate(traffic.inbound.at(-1)), rate(traffic.outbound.at(-1))];
      fill(
        legend,
        legendItem('inbound', t('console.inbound'), incoming, traffic.total_inbound),
        legendItem('outbound', t('console.outbound'), outgoing, traffic.total_outbound),
      );
      peak.textContent = t('console.peak', { rate: rate(most) });
      svg.setAttribute('aria-label', t('console.traffic_label', { inbound: incoming, outbound: outgoing }));
    },
  };
}

/** @param {string} name */
function polyline(name) {
  const line = document.createElementNS(SVG, 'polyline');
  line.classList.add(name);
  return line;
}

/**
 * The newest value is at the right edge.
 *
 * @param {number[]} values
 * @param {number} most
 */
function points(values, most) {
  const step = WIDTH / STEPS;
  const begin = WIDTH - (values.length - 1) * step;
  const y = (/** @type {number} */ value) => HEIGHT - 2 - (value / most) * (HEIGHT - 6);
  return values.map((value, i) => `${(begin + i * step).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
}

const rate = (/** @type {number} */ value = 0) => `${bytes(value)}/s`;

/** @type {(name: string, word: string, present: string, total: number) => HTMLElement} */
function legendItem(name, word, present, total) {
  return h(
    'span',
    { class: 'legend-item' },
    h('span', { class: `dot ${name}` }),
    h('span', {}, word),
    h('b', { class: 'number' }, present),
    h('span', { class: 'hint number' }, t('console.in_all', { n: bytes(total) })),
  );
}
