// @ts-check
// The recording of one path on one day: what there is of it, and its video.

import * as api from '../lib/api.js';
import { h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { localTime, offsetOf } from './times.js';

/** The tokens in the addresses of parts are valid for a quarter of an hour. */
const FRESH_MS = 13 * 60_000;

/** Tolerance in seconds: MediaMTX rounds times and durations. */
const TOLERANCE = 0.5;

/** @typedef {import('./timeline.js').Part} Part */
/** @typedef {import('./timeline.js').Span} Span */

export class RecordedPath {
  /** @type {Part[]} */
  parts = [];
  /** @type {Api.Range[]} */
  ranges = [];
  /** Recorded seconds of the day. */
  recorded = 0;
  #rangesAt = 0; // when they were loaded
  #midnight = 0; // of the day, in milliseconds since the epoch
  #limits = new URLSearchParams(); // of the day
  /** @type {number | null} */
  #playedFrom = null; // where the playing piece begins, in seconds of the day

  /**
   * @param {string} name
   * @param {boolean} isFirst whether it has the controls, and the sound
   */
  constructor(name, isFirst) {
    this.name = name;
    this.video = h('video', { controls: isFirst, playsInline: true, autoplay: true, muted: !isFirst });
    this.note = h('p', { class: 'recorded-note', role: 'status', hidden: true });
    this.element = h('figure', { class: 'screen recorded' }, this.video, this.note);
  }

  /**
   * Loads what there is of a day.
   *
   * @param {string} day
   */
  async load(day) {
    this.stop();
    const query = new URLSearchParams({ day, offset: offsetOf(day) });
    const timeline = await api.call(`api/v1/recordings/${api.encoded(this.name)}/timeline?${query}`);
    this.#limits = new URLSearchParams({ start: timeline.from, end: timeline.to });
    await this.#loadRanges();
    this.parts = timeline.parts;
    this.recorded = timeline.recorded;
    this.#midnight = Date.parse(timeline.from);
  }

  async #loadRanges() {
    const found = await api.call(`api/v1/recordings/${api.encoded(this.name)}?${this.#limits}`);
    this.ranges = found.ranges;
    this.#rangesAt = performance.now();
  }

  /** Whether the addresses of parts are valid still. */
  get isFresh() {
    return performance.now() - this.#rangesAt < FRESH_MS;
  }

  /** Renews the addresses of parts whose tokens expire. */
  async renew() {
    if (!this.isFresh) await this.#loadRanges();
  }

  stop() {
    this.#playedFrom = null;
    this.video.removeAttribute('src');
    this.video.load();
  }

  /** The second of the day that is shown, or null. */
  get time() {
    return this.#playedFrom === null ? null : this.#playedFrom + this.video.currentTime;
  }

  /**
   * Where a range begins, in seconds of the day.
   *
   * @param {Api.Range} range
   */
  secondOf({ start }) {
    return Math.max(0, (Date.parse(start) - this.#midnight) / 1000);
  }

  /**
   * A second of the day as a time in this browser's offset from UTC, which the name of a file has, too.
   *
   * @param {number} seconds
   */
  timeOf(seconds) {
    return localTime(this.#midnight + seconds * 1000);
  }

  /**
   * The part that has this second.
   *
   * @param {number} seconds
   */
  has(seconds) {
    return this.parts.some(({ offset, duration }) => offset <= seconds + TOLERANCE && offset + duration > seconds);
  }

  /**
   * The first recorded second from this one on, or null.
   *
   * @param {number} seconds
   */
  next(seconds) {
    const part = this.parts.find(({ offset, duration }) => offset + duration > seconds + TOLERANCE);
    return part ? Math.max(seconds, part.offset) : null;
  }

  /** Where the next part begins after the one that has ended. */
  get after() {
    const at = this.time ?? 0;
    return this.parts.find(({ offset }) => offset > at + TOLERANCE)?.offset ?? null;
  }

  /**
   * Plays from a second that is recorded; says so if it is not.
   *
   * @param {number} at
   */
  async play(at) {
    const url = await this.#urlOf(at, Infinity);
    this.note.hidden = url !== null;
    if (!url) {
      this.note.textContent = t('viewer.not_recorded', { name: this.name });
      return this.stop();
    }
    this.#playedFrom = at;
    this.video.src = url;
    this.video.play().catch(() => {});
  }

  /**
   * The address of one second of video from this second on; null if it is not recorded.
   *
   * @param {number} at
   */
  momentAt(at) {
    return this.#urlOf(at, at + 1);
  }

  /**
   * The address of the video between two seconds of the day; null if its beginning is not recorded.
   *
   * @param {number} at
   * @param {number} to
   */
  async #urlOf(at, to) {
    await this.renew();
    const range = this.ranges.find((known) => {
      const begin = this.secondOf(known);
      return begin <= at + TOLERANCE && begin + known.duration > at;
    });
    if (!range) return null;
    const url = new URL(range.url);
    const { start, duration } = this.#cut(range, at, to);
    url.searchParams.set('start', start);
    url.searchParams.set('duration', duration.toFixed(3));
    return url.href;
  }

  /**
   * The part of a range between two seconds of the day. Rounding to milliseconds must not lead to a time before the range.
   *
   * @param {Api.Range} range
   * @param {number} from
   * @param {number} to
   */
  #cut(range, from, to) {
    const begin = Date.parse(range.start);
    const start = Math.max(this.#midnight + from * 1000, begin);
    const end = Math.min(this.#midnight + to * 1000, begin + range.duration * 1000);
    return { start: start - begin <= 10 ? range.start : localTime(start), duration: (end - start) / 1000 };
  }

  /**
   * The files of a span: one for each range without a gap.
   *
   * @param {Span} span
   */
  filesOf({ from, to }) {
    return this.ranges
      .map((range) => ({ range, ...this.#cut(range, from, to) }))
      .filter(({ duration }) => duration > 0.1)
      .map(({ range, start, duration }) => {
        const url = new URL(range.download_url);
        url.searchParams.set('start', start);
        url.searchParams.set('duration', duration.toFixed(3));
        return { href: url.href, start, duration };
      });
  }
}
