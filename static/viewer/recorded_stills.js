// @ts-check
// Pictures of a recording along its timeline: a film strip of the first path. A browser takes them out of the recording itself, by
// playing nothing but their first frame, so that they need no more than the permission `playback`.

import { h } from '../lib/dom.js';

/** The least width of a picture, in pixels, and most pictures of the strip. */
const WIDTH = 92;
const MOST = 14;

/** The height of a picture that is kept, in pixels: twice that of the strip, for screens with more pixels. */
const HEIGHT = 108;

/** Most pictures that are kept: with 80 KB each, ten megabytes. */
const KEPT = 120;

/** How long the line must rest before pictures are loaded. */
const REST_MS = 250;

/** How long a picture can take. */
const PATIENCE_MS = 15_000;

/** A path whose pictures fail this often in turn has none: the browser cannot play its codec. */
const MOST_FAILURES = 3;

/** The time between two pictures, in seconds. */
const STEPS = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600];

/** @typedef {import('./recorded_path.js').RecordedPath} RecordedPath */
/** @typedef {import('./timeline.js').Span} Span */

export class Stills {
  /** @type {RecordedPath | null} */
  #path = null;
  /** @type {Span} */
  #view = { from: 0, to: 1 };
  /** @type {Map<string, HTMLCanvasElement | null>} by path and time, the latest last; null where there is none */
  #known = new Map();
  #isSeen = false;
  #isWorking = false;
  #failures = 0;
  #timer = 0;
  /** Ends the wait for a picture. */
  #giveUp = () => {};

  constructor() {
    this.element = h('div', { class: 'timeline-stills', 'aria-hidden': 'true', hidden: true });
    this.video = h('video', { muted: true, playsInline: true, preload: 'auto' });
    const seen = new IntersectionObserver((entries) => {
      this.#isSeen = entries.at(-1)?.isIntersecting ?? false;
      this.#rest();
    });
    seen.observe(this.element);
    new ResizeObserver(() => this.show(this.#view)).observe(this.element);
    document.addEventListener('visibilitychange', () => this.#rest());
  }

  /**
   * Shows the pictures of a path on the day that it has loaded; those of another day are given up.
   *
   * @param {RecordedPath} path
   */
  set(path) {
    this.stop();
    this.#path = path;
    this.#failures = 0;
    this.element.hidden = !path.parts.length;
  }

  /** Ends all requests. */
  stop() {
    this.#path = null;
    this.#known.clear();
    clearTimeout(this.#timer);
    this.element.replaceChildren();
    this.#unload();
  }

  /**
   * Shows the pictures of a part of the day: those that are known at once, the others when the line rests.
   *
   * @param {Span} view
   */
  show(view) {
    this.#view = view;
    if (!this.#path) return;
    const { from, to } = view;
    const percent = (/** @type {number} */ seconds) => `${(seconds / (to - from)) * 100}%`;
    const placed = this.#places().flatMap(({ at, end, key }) => {
      const still = this.#known.get(key);
      if (!still) return [];
      still.style.left = percent(at - from);
      still.style.width = percent(end - at);
      return [still];
    });
    this.element.replaceChildren(...placed);
    this.#rest();
  }

  /** Where the strip has pictures, and of which times. */
  #places() {
    const path = this.#path;
    const width = this.element.clientWidth;
    if (!path || !width) return [];
    const { from, to } = this.#view;
    const most = Math.max(1, Math.min(MOST, Math.floor(width / WIDTH)));
    const length = STEPS.find((step) => (to - from) / step <= most) ?? to - from;
    const first = Math.floor(from / length);
    const slots = Array.from({ length: Math.ceil(to / length) - first }, (_, i) => (first + i) * length);
    return slots.flatMap((slot) => {
      const at = path.next(slot);
      if (at === null || at >= slot + length) return [];
      // The picture of a slot reaches as far as something is recorded.
      const ends = path.parts.filter(({ offset }) => offset < slot + length).map((part) => part.offset + part.duration);
      return [{ at, end: Math.min(slot + length, Math.max(...ends)), key: `${path.name} ${at.toFixed(1)}` }];
    });
  }

  #rest() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#work(), REST_MS);
  }

  /** Loads pictures one by one, as long as some are missing and the strip is seen. */
  async #work() {
    if (this.#isWorking) return;
    this.#isWorking = true;
    const path = this.#path;
    const missing = () => this.#places().find(({ key }) => !this.#known.has(key));
    for (let next = missing(); next && this.#mayGoOn(path); next = missing()) {
      const still = await this.#load(next.at).catch(() => null);
      if (this.#path !== path) break;
      this.#failures = still ? 0 : this.#failures + 1;
      this.#keep(next.key, still);
      this.show(this.#view);
    }
    if (this.#failures >= MOST_FAILURES) this.element.hidden = true;
    this.#unload();
    this.#isWorking = false;
    // Another path was opened in the meantime.
    if (this.#path !== path) this.#rest();
  }

  /** @param {RecordedPath | null} path */
  #mayGoOn(path) {
    return path && path === this.#path && this.#isSeen && !document.hidden && this.#failures < MOST_FAILURES;
  }

  /**
   * @param {string} key
   * @param {HTMLCanvasElement | null} still
   */
  #keep(key, still) {
    this.#known.set(key, still);
    const [oldest] = this.#known.keys();
    if (this.#known.size > KEPT) this.#known.delete(oldest);
  }

  /**
   * The first frame from a second of the day on. The canvas is only shown, never read: it has the picture of another origin.
   *
   * @param {number} at
   */
  async #load(at) {
    const { video } = this;
    const url = await this.#path?.momentAt(at);
    if (!url || !this.#path) return null;
    const limit = AbortSignal.timeout(PATIENCE_MS);
    await new Promise((done, fail) => {
      video.onloadeddata = done;
      video.onerror = limit.onabort = this.#giveUp = fail;
      video.src = url;
    });
    if (!video.videoWidth) return null;
    const width = Math.round((HEIGHT * video.videoWidth) / video.videoHeight);
    const canvas = h('canvas', { width, height: HEIGHT });
    canvas.getContext('2d')?.drawImage(video, 0, 0, width, HEIGHT);
    return canvas;
  }

  /** Ends the request of the video, and the wait for it. */
  #unload() {
    if (!this.video.hasAttribute('src')) return;
    this.#giveUp();
    this.video.removeAttribute('src');
    this.video.load();
  }
}
