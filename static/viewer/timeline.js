// @ts-check
// A day as a line that can be zoomed: rows of recorded parts, a mark where it plays, and a chosen range.

import { h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { DAY, clock } from './times.js';

/** The shortest time that fills the line, in seconds. */
const SHORTEST = 60;

/** How much one step of the wheel, of a key or of a button zooms. */
const STEP = 1.6;

/** Distances between times below the line, in seconds. */
const DISTANCES = [5, 10, 30, 60, 300, 600, 1800, 3600, 10_800];

/** The least room of a time below the line, in pixels. */
const TICK_WIDTH = 76;

/** A pointer that has moved by this many pixels drags, and does not click. */
const DRAG = 5;

/**
 * How far a key moves, in seconds.
 *
 * @type {Record<string, number>}
 */
const STEPS = { ArrowLeft: -30, ArrowRight: 30, ArrowDown: -600, ArrowUp: 600, PageDown: -3600, PageUp: 3600 };

/** @typedef {Api.Timeline['parts'][number]} Part */
/** @typedef {{ from: number, to: number }} Span seconds of the day */

export class Timeline {
  /** @type {Span} what the line shows */
  #view = { from: 0, to: DAY };
  /** @type {{ name: string, parts: Part[] }[]} */
  #rows = [];
  /** @type {Span | null} */
  #chosen = null;
  #at = 0;
  #onPlay;
  #onChoose;
  #onView;
  /** @type {Map<number, { x: number, start: number, part: string }>} */
  #pointers = new Map();

  /**
   * `view` is told which part of the day the line shows; `strip` is shown above the rows.
   *
   * @param {{ play: (seconds: number) => void, choose: (span: Span) => void, view: (span: Span) => void }} on
   * @param {HTMLElement} strip
   */
  constructor({ play, choose, view }, strip) {
    this.#onPlay = play;
    this.#onChoose = choose;
    this.#onView = view;
    this.now = h('span', { class: 'timeline-now', hidden: true });
    this.pointer = h('output', { class: 'timeline-pointer', hidden: true });
    const handle = (/** @type {string} */ part) => h('span', { class: 'timeline-handle', dataset: { part } });
    this.range = h('span', { class: 'timeline-range', hidden: true }, handle('from'), handle('to'));
    this.lines = h('div', { class: 'timeline-lines' });
    this.line = h(
      'div',
      {
        class: 'timeline',
        role: 'slider',
        tabIndex: 0,
        'aria-label': t('viewer.timeline'),
        'aria-valuemin': 0,
        'aria-valuemax': DAY,
      },
      strip,
      this.lines,
      this.range,
      this.now,
      this.pointer,
    );
    this.hours = h('div', { class: 'timeline-hours', 'aria-hidden': 'true' });
    /** @type {(shape: Icon, text: string, onclick: () => void) => HTMLElement} */
    const tool = (shape, text, onclick) =>
      h('button', { type: 'button', class: 'icon-button', title: text, 'aria-label': text, onclick }, icon(shape, 18));
    this.tools = h(
      'div',
      { class: 'row timeline-tools' },
      tool('minus', t('viewer.zoom_out'), () => this.zoom(1 / STEP)),
      tool('plus', t('viewer.zoom_in'), () => this.zoom(STEP)),
      tool('fullscreen', t('viewer.whole_day'), () => this.show({ from: 0, to: DAY })),
    );
    this.element = h('div', { class: 'timeline-box' }, this.line, this.hours);
    this.#listen();
  }

  #listen() {
    this.line.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
    this.line.addEventListener('pointerdown', (event) => this.#down(event));
    this.line.addEventListener('pointermove', (event) => this.#move(event));
    this.line.addEventListener('pointerup', (event) => this.#up(event));
    this.line.addEventListener('pointercancel', ({ pointerId }) => this.#pointers.delete(pointerId));
    this.line.addEventListener('pointerleave', () => {
      this.pointer.hidden = true;
    });
    this.line.addEventListener('keydown', (event) => this.#key(event));
    new ResizeObserver(() => this.#drawTicks()).observe(this.line);
  }

  /**
   * Shows rows of recorded parts, and as much of the day as has some.
   *
   * @param {{ name: string, parts: Part[] }[]} rows
   */
  set(rows) {
    this.#rows = rows;
    this.lines.classList.toggle('has-names', rows.length > 1);
    const all = rows.flatMap(({ parts }) => parts);
    const from = Math.min(...all.map(({ offset }) => offset));
    const to = Math.max(...all.map(({ offset, duration }) => offset + duration));
    const margin = Math.max(30, (to - from) / 20);
    this.show(all.length ? { from: from - margin, to: to + margin } : { from: 0, to: DAY });
  }

  /**
   * The part of the day that the line shows.
   *
   * @param {Span} span
   */
  show({ from, to }) {
    const length = Math.max(SHORTEST, Math.min(DAY, to - from));
    const begin = Math.max(0, Math.min(DAY - length, (from + to - length) / 2));
    this.#view = { from: begin, to: begin + length };
    this.#draw();
  }

  /**
   * Zooms around a second of the day, which stays where it is; around the mark without one, if it is in sight.
   *
   * @param {number} factor
   * @param {number} [around]
   */
  zoom(factor, around) {
    const { from, to } = this.#view;
    const isSeen = this.#at >= from && this.#at <= to && !this.now.hidden;
    const middle = around ?? (isSeen ? this.#at : (from + to) / 2);
    const length = Math.max(SHORTEST, Math.min(DAY, (to - from) / factor));
    const begin = middle - ((middle - from) / (to - from)) * length;
    this.show({ from: begin, to: begin + length });
  }

  /**
   * Moves the mark. A mark that leaves the line moves the line.
   *
   * @param {number} seconds
   */
  mark(seconds) {
    this.#at = Math.max(0, Math.min(seconds, DAY));
    const { from, to } = this.#view;
    if (this.#at > to && this.#at < to + (to - from)) this.show({ from: this.#at, to: this.#at + to - from });
    this.#drawMark();
    this.line.setAttribute('aria-valuenow', String(Math.round(this.#at)));
    this.line.setAttribute('aria-valuetext', clock(this.#at));
  }

  get at() {
    return this.#at;
  }

  /**
   * Shows a chosen range, or none.
   *
   * @param {Span | null} span
   */
  choose(span) {
    this.#chosen = span;
    this.#drawChosen();
  }

  #draw() {
    const rows = this.#rows.map(({ name, parts }) => {
      const seen = parts.filter(({ offset, duration }) => this.#isSeen(offset, offset + duration));
      const bars = seen.map(({ offset, duration }) => {
        const bar = h('span', { class: 'timeline-part' });
        this.#place(bar, offset, offset + duration);
        return bar;
      });
      return h('div', { class: 'timeline-row' }, bars, this.#rows.length > 1 && h('span', {}, name));
    });
    this.lines.replaceChildren(...rows);
    this.#onView(this.#view);
    this.#drawTicks();
    this.#drawMark();
    this.#drawChosen();
  }

  #drawTicks() {
    const { from, to } = this.#view;
    const most = Math.max(2, this.line.clientWidth / TICK_WIDTH);
    const distance = DISTANCES.find((seconds) => (to - from) / seconds <= most) ?? DAY;
    const first = Math.ceil(from / distance) * distance;
    const ticks = Array.from({ length: Math.floor((to - first) / distance) + 1 }, (_, i) => first + i * distance);
    const texts = ticks.map((seconds) => {
      const tick = h('span', {}, distance < 60 ? clock(seconds) : clock(seconds).slice(0, 5));
      tick.style.left = this.#percent(seconds);
      return tick;
    });
    this.hours.replaceChildren(...texts);
  }

  #drawMark() {
    this.now.hidden = !this.#rows.some(({ parts }) => parts.length) || !this.#isSeen(this.#at, this.#at);
    this.now.style.left = this.#percent(this.#at);
  }

  #drawChosen() {
    const span = this.#chosen;
    this.range.hidden = !span || !this.#isSeen(span.from, span.to);
    if (span) this.#place(this.range, span.from, span.to);
  }

  /**
   * @param {HTMLElement} element
   * @param {number} from
   * @param {number} to
   */
  #place(element, from, to) {
    const { from: left, to: right } = this.#view;
    const [begin, end] = [Math.max(from, left), Math.min(to, right)];
    element.style.left = this.#percent(begin);
    element.style.width = `${((end - begin) / (right - left)) * 100}%`;
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  #isSeen(from, to) {
    return to >= this.#view.from && from <= this.#view.to;
  }

  /** @param {number} seconds */
  #percent(seconds) {
    const { from, to } = this.#view;
    return `${((seconds - from) / (to - from)) * 100}%`;
  }

  /** @param {{ clientX: number }} event */
  #secondAt({ clientX }) {
    const { left, width } = this.line.getBoundingClientRect();
    const { from, to } = this.#view;
    return Math.max(0, Math.min(DAY - 1, from + ((clientX - left) / width) * (to - from)));
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.#pan(event.deltaX);
    else this.zoom(STEP ** (-event.deltaY / 100), this.#secondAt(event));
  }

  /** @param {number} pixels */
  #pan(pixels) {
    const { from, to } = this.#view;
    const seconds = (pixels / this.line.clientWidth) * (to - from);
    this.show({ from: from + seconds, to: to + seconds });
  }

  /** @param {PointerEvent} event */
  #down(event) {
    const part = (event.target instanceof HTMLElement && event.target.dataset.part) || '';
    this.#pointers.set(event.pointerId, { x: event.clientX, start: event.clientX, part });
    this.line.setPointerCapture(event.pointerId);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const seconds = this.#secondAt(event);
    this.pointer.hidden = false;
    this.pointer.textContent = clock(seconds);
    this.pointer.style.left = this.#percent(seconds);
    const pointer = this.#pointers.get(event.pointerId);
    if (!pointer) return;
    const moved = event.clientX - pointer.x;
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    const isDrag = Math.abs(event.clientX - pointer.start) > DRAG;
    if (other) {
      const before = Math.abs(pointer.x - other.x);
      const after = Math.abs(event.clientX - other.x);
      this.zoom(Math.max(1, after) / Math.max(1, before), this.#secondAt({ clientX: (event.clientX + other.x) / 2 }));
    } else if (pointer.part && this.#chosen) this.#moveEnd(pointer.part, seconds);
    else if (isDrag) this.#pan(-moved);
    // A pointer that pinches or drags does not play.
    if (isDrag || other) pointer.start = Infinity;
    pointer.x = event.clientX;
  }

  /** @param {PointerEvent} event */
  #up(event) {
    const pointer = this.#pointers.get(event.pointerId);
    this.#pointers.delete(event.pointerId);
    if (pointer && !pointer.part && Math.abs(event.clientX - pointer.start) <= DRAG) {
      this.#onPlay(this.#secondAt(event));
    }
  }

  /**
   * @param {string} part
   * @param {number} seconds
   */
  #moveEnd(part, seconds) {
    if (!this.#chosen) return;
    const { from, to } = this.#chosen;
    const whole = Math.round(seconds);
    this.#onChoose(part === 'from' ? { from: Math.min(whole, to - 1), to } : { from, to: Math.max(whole, from + 1) });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const parts = this.#rows[0]?.parts ?? [];
    const step = STEPS[event.key];
    const end = event.key === 'Home' ? parts[0] : event.key === 'End' ? parts.at(-1) : undefined;
    if (step) this.#onPlay(Math.max(0, Math.min(DAY - 1, this.#at + step)));
    else if (end) this.#onPlay(end.offset);
    else if (event.key === '+' || event.key === '-') this.zoom(event.key === '+' ? STEP : 1 / STEP);
    else if (event.key === '0') this.show({ from: 0, to: DAY });
    else return;
    event.preventDefault();
  }
}
