// @ts-check
// The recordings of MediaMTX: one day as a timeline, played from any point of it, and downloaded.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { dateTime, errorText, t, timeOfDay } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { DAY, clock, dayOf, durationText, offsetOf, percent, two } from './times.js';

/** The tokens in the addresses of parts are valid for a quarter of an hour. */
const FRESH_MS = 13 * 60_000;

/** Tolerance in seconds: MediaMTX rounds times and durations. */
const TOLERANCE = 0.5;

/**
 * How far a key moves, in seconds.
 *
 * @type {Record<string, number>}
 */
const STEPS = { ArrowLeft: -30, ArrowRight: 30, ArrowDown: -600, ArrowUp: 600, PageDown: -3600, PageUp: 3600 };

/** @typedef {Api.Timeline['parts'][number]} Part */

export class Recordings {
  #requests = 0;
  /** @type {string | null} */
  #path = null;
  #day = '';
  #midnight = 0; // of the day, in milliseconds since the epoch
  /** @type {Part[]} */
  #parts = [];
  /** @type {Api.Range[]} */
  #ranges = [];
  #rangesAt = 0; // when they were loaded
  #limits = new URLSearchParams(); // of the day
  #at = 0; // seconds of the day
  /** @type {number | null} */
  #playedFrom = null; // where the playing piece begins, in seconds of the day

  constructor() {
    this.list = h('div', { class: 'grid' });
    this.status = h('div', { role: 'status' });
    this.video = h('video', { controls: true, playsInline: true, autoplay: true });
    this.dayField = h('input', {
      type: 'date',
      'aria-label': t('viewer.day'),
      max: dayOf(new Date()),
      onchange: () => this.dayField.value && this.#openDay(this.dayField.value),
    });
    this.line = h('div', {
      class: 'timeline',
      role: 'slider',
      tabIndex: 0,
      'aria-label': t('viewer.timeline'),
      'aria-valuemin': 0,
      'aria-valuemax': DAY,
    });
    this.now = h('span', { class: 'timeline-now', hidden: true });
    this.pointer = h('output', { class: 'timeline-pointer', hidden: true });
    this.title = h('h1', { tabIndex: -1 });
    this.sum = h('span', { class: 'dim' });
    this.table = h('div', { class: 'table', hidden: true });
    const hours = [0, 3, 6, 9, 12, 15, 18, 21, 24].map((hour) => h('span', {}, two(hour)));
    this.player = h(
      'div',
      { class: 'stack', hidden: true },
      this.#head(),
      h('div', { class: 'screen recorded' }, this.video),
      h(
        'div',
        { class: 'timeline-box' },
        this.line,
        h('div', { class: 'timeline-hours', 'aria-hidden': 'true' }, hours),
      ),
      this.table,
    );
    const label = t('viewer.recordings');
    this.element = h('section', { hidden: true, 'aria-label': label }, this.status, this.list, this.player);
    this.#listen();
  }

  #head() {
    const label = t('viewer.back');
    const properties = { class: 'button icon-button', href: '#/recordings', 'aria-label': label, title: label };
    const back = h('a', properties, icon('back'));
    /** @type {(days: number, shape: Icon, label: string) => HTMLElement} */
    const step = (days, shape, text) =>
      h(
        'button',
        { type: 'button', class: 'icon-button', 'aria-label': text, onclick: () => this.#stepDay(days) },
        icon(shape),
      );
    const days = h(
      'div',
      { class: 'row' },
      step(-1, 'back', t('viewer.day_before')),
      this.dayField,
      step(1, 'arrow', t('viewer.day_after')),
    );
    return h('div', { class: 'stage-head' }, back, this.title, h('span', { class: 'grow' }), this.sum, days);
  }

  #listen() {
    /** @param {MouseEvent} event */
    const pointed = ({ clientX }) => {
      const { left, width } = this.line.getBoundingClientRect();
      return Math.max(0, Math.min(DAY - 1, ((clientX - left) / width) * DAY));
    };
    this.line.addEventListener('pointermove', (event) => {
      this.pointer.hidden = false;
      this.pointer.textContent = clock(pointed(event));
      this.pointer.style.left = percent(pointed(event));
    });
    this.line.addEventListener('pointerleave', () => {
      this.pointer.hidden = true;
    });
    this.line.addEventListener('click', (event) => this.#play(pointed(event)));
    this.line.addEventListener('keydown', (event) => this.#key(event));
    this.video.addEventListener('timeupdate', () => {
      if (this.#playedFrom !== null) this.#mark(this.#playedFrom + this.video.currentTime);
    });
    this.video.addEventListener('ended', () => {
      const next = this.#parts.find(({ offset }) => offset > this.#at + TOLERANCE);
      if (next) this.#play(next.offset);
    });
    this.video.addEventListener('error', () => {
      if (this.video.currentSrc) this.#say(t('viewer.cannot_play_recording'), 'bad');
    });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const step = STEPS[event.key];
    const end = event.key === 'Home' ? this.#parts[0] : event.key === 'End' ? this.#parts.at(-1) : undefined;
    if (step) this.#play(Math.max(0, Math.min(DAY - 1, this.#at + step)));
    else if (end) this.#play(end.offset);
    else return;
    event.preventDefault();
  }

  /**
   * Shows the recording of a path, or the list for null.
   *
   * @param {string | null} path
   * @param {Api.Wall} wall
   */
  async open(path, wall) {
    this.element.hidden = false;
    this.list.hidden = path !== null;
    this.player.hidden = path === null;
    this.#say('');
    if (!wall.mediamtx) return this.#say(t('viewer.reason_no_mediamtx'));
    if (path === null) return this.#showList();
    if (path === this.#path) return;
    this.#path = path;
    this.title.textContent = path;
    this.title.focus({ preventScroll: true });
    await this.#attempt(async () => {
      const { recordings } = await api.call('api/v1/recordings');
      const last = recordings.find((known) => known.path === path)?.last;
      await this.#openDay(dayOf(last ? new Date(last) : new Date()));
    });
  }

  close() {
    if (this.element.hidden) return;
    this.element.hidden = true;
    this.#path = null;
    this.#stop();
  }

  #stop() {
    this.#playedFrom = null;
    this.video.removeAttribute('src');
    this.video.load();
  }

  #showList() {
    this.#path = null;
    this.#stop();
    return this.#attempt(async () => {
      const { recordings } = await api.call('api/v1/recordings');
      if (!recordings.length) this.#say(t('viewer.no_recordings'));
      const cards = recordings.map(({ path, segments, last }) => {
        const facts = t('viewer.recorded', { segments, last: last ? dateTime(last) : '–' });
        const texts = h('span', { class: 'stack-tight' }, h('strong', {}, path), h('span', { class: 'dim' }, facts));
        const href = `#/recordings/${api.encoded(path)}`;
        return h('a', { class: 'card recording', href }, icon('film', 28), texts);
      });
      fill(this.list, cards);
    });
  }

  /**
   * Shows the error of a request, unless another one was started since.
   *
   * @param {() => Promise<void>} work
   */
  async #attempt(work) {
    const own = ++this.#requests;
    try {
      await work();
    } catch (error) {
      if (own === this.#requests) this.#say(errorText(error), 'bad');
    }
  }

  /**
   * @param {string} text
   * @param {'' | 'bad'} [kind]
   */
  #say(text, kind = '') {
    fill(this.status, text && h('p', { class: ['notice', kind] }, icon(kind === 'bad' ? 'alert' : 'info'), text));
  }

  async #loadRanges() {
    const path = api.encoded(this.#path ?? '');
    this.#ranges = (await api.call(`api/v1/recordings/${path}?${this.#limits}`)).ranges;
    this.#rangesAt = performance.now();
  }

  /** Renews the addresses of parts whose tokens expire. */
  async #renew() {
    if (performance.now() - this.#rangesAt < FRESH_MS) return;
    await this.#attempt(() => this.#loadRanges());
  }

  /**
   * Saves a part of which the row was drawn a while ago.
   *
   * @param {MouseEvent} event
   * @param {string} start
   */
  async #download(event, start) {
    if (performance.now() - this.#rangesAt < FRESH_MS) return;
    event.preventDefault();
    await this.#renew();
    const range = this.#ranges.find((one) => one.start === start);
    if (range) h('a', { href: range.download_url, download: '' }).click();
  }

  /** @param {number} days */
  #stepDay(days) {
    const date = new Date(`${this.#day}T12:00:00`);
    date.setDate(date.getDate() + days);
    return this.#openDay(dayOf(date));
  }

  /** @param {string} day */
  #openDay(day) {
    this.#day = day;
    this.dayField.value = day;
    this.#stop();
    this.#say('');
    return this.#attempt(async () => {
      const path = api.encoded(this.#path ?? '');
      const query = new URLSearchParams({ day, offset: offsetOf(day) });
      const timeline = await api.call(`api/v1/recordings/${path}/timeline?${query}`);
      this.#limits = new URLSearchParams({ start: timeline.from, end: timeline.to });
      await this.#loadRanges();
      this.#parts = timeline.parts;
      this.#midnight = Date.parse(timeline.from);
      this.sum.textContent = t('viewer.recorded_sum', { duration: durationText(timeline.recorded) });
      this.#drawTimeline();
      this.#drawTable();
      this.#mark(this.#parts[0]?.offset ?? 0);
      if (!this.#parts.length) this.#say(t('viewer.nothing_that_day'));
    });
  }

  #drawTimeline() {
    const parts = this.#parts.map(({ offset, duration }) => {
      const part = h('span', { class: 'timeline-part' });
      part.style.left = percent(offset);
      part.style.width = percent(duration);
      return part;
    });
    fill(this.line, parts, this.now, this.pointer);
  }

  #drawTable() {
    this.table.hidden = !this.#ranges.length;
    const column = (/** @type {Dom.Child} */ text) => h('th', { scope: 'col' }, text);
    const actions = h('span', { class: 'visually-hidden' }, t('viewer.actions'));
    const head = h('tr', {}, column(t('viewer.begin')), column(t('viewer.length')), column(actions));
    const rows = this.#ranges.map((range) => this.#row(range));
    fill(this.table, h('table', {}, h('thead', {}, head), h('tbody', {}, rows)));
  }

  /** @param {Api.Range} range */
  #row(range) {
    const time = timeOfDay(range.start);
    const play = h(
      'button',
      {
        type: 'button',
        class: 'small',
        'aria-label': t('viewer.play_from', { time }),
        onclick: () => this.#play(this.#secondOf(range)),
      },
      icon('play', 16),
      t('viewer.play'),
    );
    const download = h(
      'a',
      {
        class: 'button small',
        href: range.download_url,
        download: '',
        onclick: (/** @type {MouseEvent} */ event) => this.#download(event, range.start),
        'aria-label': t('viewer.download_from', { time }),
      },
      icon('download', 16),
      t('viewer.download'),
    );
    const actions = h('div', { class: 'actions' }, play, download);
    return h(
      'tr',
      {},
      h('td', { class: 'number' }, time),
      h('td', {}, durationText(range.duration)),
      h('td', {}, actions),
    );
  }

  /**
   * Where a range begins, in seconds of the day.
   *
   * @param {Api.Range} range
   */
  #secondOf({ start }) {
    return Math.max(0, (Date.parse(start) - this.#midnight) / 1000);
  }

  /**
   * Moves the mark on the timeline.
   *
   * @param {number} seconds
   */
  #mark(seconds) {
    this.#at = Math.min(seconds, DAY);
    this.now.hidden = !this.#parts.length;
    this.now.style.left = percent(this.#at);
    this.line.setAttribute('aria-valuenow', String(Math.round(this.#at)));
    this.line.setAttribute('aria-valuetext', clock(this.#at));
  }

  /**
   * Plays from a second of the day, or from the next recorded one.
   *
   * @param {number} seconds
   */
  async #play(seconds) {
    await this.#renew();
    const part = this.#parts.find(({ offset, duration }) => offset + duration > seconds + TOLERANCE);
    if (!part) return;
    const at = Math.max(seconds, part.offset);
    const range = this.#ranges.find((known) => {
      const begin = this.#secondOf(known);
      return begin <= at + TOLERANCE && begin + known.duration > at;
    });
    if (!range) return;
    // Rounding to milliseconds must not lead to a time before the range.
    const begin = Date.parse(range.start);
    const start = Math.max(this.#midnight + at * 1000, begin);
    const url = new URL(range.url);
    url.searchParams.set('start', start - begin <= 10 ? range.start : new Date(start).toISOString());
    url.searchParams.set('duration', (range.duration - (start - begin) / 1000).toFixed(3));
    this.#playedFrom = at;
    this.#mark(at);
    this.video.src = url.href;
    this.video.play().catch(() => {});
  }
}
