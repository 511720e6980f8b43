// @ts-check
// Pictures of tiles: requested only while the tile is visible, few at a time, and sent only if the picture is new.

import { ApiError, encoded, refusal, request } from '../lib/api.js';

/** Browsers keep six connections to a server; the others are for requests of the user. */
const CONCURRENT = 3;

/** The pause after a picture that could not be loaded, and the longest one after a request that the server did not answer. */
const AFTER_FAILURE_MS = 30_000;
const AWAY_MS = 2000;

/**
 * What is due while the page is hidden, and is loaded when it is visible again.
 *
 * @type {Set<() => void>}
 */
const due = new Set();
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  for (const load of [...due]) load();
});

let running = 0;
/** @type {(() => void)[]} */
const queue = [];

/** @param {() => Promise<void>} work */
async function inTurn(work) {
  if (running >= CONCURRENT) {
    await new Promise((start) => {
      queue.push(() => start(null));
    });
  }
  running += 1;
  try {
    await work();
  } finally {
    running -= 1;
    queue.shift()?.();
  }
}

/**
 * Keeps an <img> at the latest picture of a stream. Dispatches on it `shown` for each new picture, `kept` if the server has no
 * newer one, `failed` (its detail is the error) if it gives none.
 */
export class Thumbnail {
  #image;
  #name;
  #intervalMs = 0;
  #width = 0;
  /** @type {string | null} */
  #tag = null;
  #timer = 0;
  #isLoading = false;
  /** Whether the server has a newer picture than the one that is loading. */
  #isOutdated = false;
  #isStopped = true;
  #failedAt = -Infinity;

  /**
   * @param {HTMLImageElement} image
   * @param {string} name
   */
  constructor(image, name) {
    this.#image = image;
    this.#name = name;
  }

  /**
   * Starts, or changes the interval and the width in pixels from the next picture on.
   *
   * @param {number} intervalMs
   * @param {number} width
   */
  start(intervalMs, width) {
    const isBegun = !this.#isStopped;
    this.#isStopped = false;
    this.#intervalMs = intervalMs;
    this.#width = width;
    if (!isBegun && !this.#isLoading) this.#load();
  }

  stop() {
    this.#isStopped = true;
    this.#clear();
  }

  /** Loads at once if it is started: there is a newer picture, or the reason is over why there was none. */
  reload() {
    this.#failedAt = -Infinity;
    if (this.#isLoading) this.#isOutdated = true;
    else if (!this.#isStopped) this.#load();
  }

  #clear() {
    clearTimeout(this.#timer);
    due.delete(this.#load);
  }

  #load = async () => {
    this.#clear();
    const pause = this.#failedAt + AFTER_FAILURE_MS - performance.now();
    if (pause > 0) return this.#loadLater(pause);
    if (document.hidden) return due.add(this.#load);
    this.#isLoading = true;
    this.#isOutdated = false;
    // If it is stopped before its turn comes, and started again meanwhile.
    let next = 0;
    await inTurn(async () => {
      if (this.#isStopped) return;
      try {
        await this.#fetch();
        next = this.#intervalMs;
      } catch (error) {
        next = this.#failed(error);
      }
    });
    this.#isLoading = false;
    if (!this.#isStopped) this.#loadLater(this.#isOutdated ? 0 : next);
  };

  /** @returns {Promise<unknown>} */
  async #fetch() {
    /** @type {Record<string, string>} */
    const headers = this.#tag ? { 'If-None-Match': this.#tag } : {};
    const response = await request(`snapshot/${encoded(this.#name)}.jpg?w=${this.#width}`, { headers });
    if (response.status === 304) return this.#image.dispatchEvent(new Event('kept'));
    if (!response.ok) throw await refusal(response);
    // A picture that says that there is none yet.
    if (response.headers.has('X-Mtx-Placeholder')) return;
    const tag = response.headers.get('ETag');
    const url = URL.createObjectURL(await response.blob());
    const previous = this.#image.src;
    this.#image.src = url;
    await this.#image.decode();
    if (previous.startsWith('blob:')) URL.revokeObjectURL(previous);
    this.#tag = tag;
    return this.#image.dispatchEvent(new Event('shown'));
  }

  /**
   * Reports why there is no picture.
   *
   * @param {unknown} error
   * @returns {number} the pause in milliseconds
   */
  #failed(error) {
    this.#image.dispatchEvent(new CustomEvent('failed', { detail: error }));
    // A TypeError: the connection has ended within the picture.
    const isAway = error instanceof TypeError || (error instanceof ApiError && error.status === 0);
    if (isAway) return Math.min(AWAY_MS, this.#intervalMs);
    // A start within this pause does not ask again.
    if (!this.#isOutdated) this.#failedAt = performance.now();
    return AFTER_FAILURE_MS;
  }

  /** @param {number} pause in milliseconds */
  #loadLater(pause) {
    this.#timer = setTimeout(this.#load, pause);
  }
}
