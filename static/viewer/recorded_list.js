// @ts-check
// The recorded paths as cards, with how much there is of each.

import * as api from '../lib/api.js';
import { fill, h, keyed } from '../lib/dom.js';
import { bytes, dateTime, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { durationText } from '../lib/length.js';

/** MediaMTX opens all files of a path to tell their lengths, so paths with more files than this have none in the list. */
const MOST_FILES = 500;

/** @typedef {Api.Answer<'api/v1/recordings'>['recordings'][number]} Recorded */

export class RecordedList {
  /** @type {Map<string, Recorded>} */
  #recorded = new Map();
  /** @type {Map<string, number>} recorded seconds, by path and state */
  #lengths = new Map();
  /** @type {Set<Element>} cards that are inside the window */
  #inside = new Set();
  #isWorking = false;
  #leaving = new AbortController();

  constructor() {
    this.element = h('div', { class: 'grid' });
    this.observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) this.#inside.add(target);
        else this.#inside.delete(target);
      }
      this.#work();
    });
  }

  get isEmpty() {
    return !this.element.childElementCount;
  }

  /** @param {Recorded[]} recordings */
  show(recordings) {
    this.#leaving = new AbortController();
    this.#recorded = new Map(recordings.map((recorded) => [recorded.path, recorded]));
    keyed(this.element, recordings, {
      key: ({ path }) => path,
      make: ({ path }) => this.#card(path),
      update: (card, recorded) => this.#update(card, recorded),
      remove: (card) => {
        this.observer.unobserve(card);
        this.#inside.delete(card);
      },
    });
    this.#work();
  }

  /** Ends all requests. */
  stop() {
    this.#leaving.abort();
  }

  /** @param {string} path */
  #card(path) {
    const texts = h(
      'span',
      { class: 'stack-tight' },
      h('strong', {}, path),
      h('span', { class: 'recording-facts dim' }),
    );
    const card = h(
      'a',
      { class: 'card recording', href: `#/recordings/${api.encoded(path)}` },
      icon('film', 28),
      texts,
    );
    this.observer.observe(card);
    return card;
  }

  /**
   * @param {Element} card
   * @param {Recorded} recorded
   */
  #update(card, recorded) {
    const { segments, last, size } = recorded;
    const length = this.#lengths.get(stateOf(recorded));
    const amounts = [
      length && t('viewer.recorded_sum', { duration: durationText(length) }),
      typeof size === 'number' && bytes(size),
    ].filter(Boolean);
    const facts = /** @type {Element} */ (card.querySelector('.recording-facts'));
    const files = t('viewer.recorded', { segments, last: last ? dateTime(last) : '–' });
    fill(
      facts,
      h('span', {}, files),
      amounts.length > 0 && h('span', { class: 'recording-amounts' }, amounts.join(' · ')),
    );
  }

  /** Asks for the lengths of the cards that are seen, one path at a time. */
  async #work() {
    if (this.#isWorking) return;
    this.#isWorking = true;
    const { signal } = this.#leaving;
    for (let next = this.#next(); next && !signal.aborted; next = this.#next()) {
      const { path } = next;
      const found = await api.call(`api/v1/recordings/${api.encoded(path)}`, { signal }).catch(() => null);
      if (signal.aborted) break;
      const length = found?.ranges.reduce((sum, { duration }) => sum + duration, 0);
      // Without an answer the card says nothing, and is not asked for again.
      this.#lengths.set(stateOf(next), length ?? NaN);
      const card = [...this.element.children].find((one) => one instanceof HTMLElement && one.dataset.key === path);
      if (card && length) this.#update(card, next);
    }
    this.#isWorking = false;
    if (signal !== this.#leaving.signal) this.#work();
  }

  #next() {
    for (const card of this.#inside) {
      const recorded = this.#recorded.get((card instanceof HTMLElement && card.dataset.key) || '');
      if (recorded && recorded.segments <= MOST_FILES && !this.#lengths.has(stateOf(recorded))) return recorded;
    }
    return null;
  }
}

/** @param {Recorded} recorded */
const stateOf = ({ path, segments, last }) => `${path} ${segments} ${last}`;
