// @ts-check
// Pictures of tiles: requested only while the tile is visible, few at a time, and sent only if the picture is new.

import { ApiError, encoded, refusal, request } from '../lib/api.js';

/** Browsers keep six connections to a server; the others are for requests of the user. */
const CONCURRENT = 3;

/** The pause after a picture that could not be loaded, and after a request that the server did not answer. */
const AFTER_FAILURE_MS = 30_000;
const AWAY_MS = 2000;

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
    this.#isStopped = false;
    this.#intervalMs = intervalMs;
    this.#width = width;
    if (!this.#timer && !this.#isLoading) this.#load();
  }

  stop() {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#timer = 0;
  }

  /** Loads soon, although the last picture could not be loaded: its reason is over. */
  retry() {
    this.#failedAt = -Infinity;
    if (!this.#timer) return;
    clearTimeout(this.#timer);
    this.#load();
  }

  async #load() {
    this.#timer = 0;
    const hasJustFailed = performance.now() - this.#failedAt < AFTER_FAILURE_MS;
    if (this.#isStopped || document.hidden || hasJustFailed) return this.#loadLater();
    this.#isLoading = true;
    let isAway = false;
    await inTurn(async () => {
      if (this.#isStopped) return;
      try {
        await this.#fetch();
      } catch (error) {
        isAway = error instanceof ApiError && error.status === 0;
        if (!isAway) this.#failedAt = performance.now();
        this.#image.dispatchEvent(new CustomEvent('failed', { detail: error }));
      }
    });
    this.#isLoading = false;
    this.#loadLater(isAway ? Math.min(AWAY_MS, this.#intervalMs) : this.#intervalMs);
  }

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

  #loadLater(pause = this.#intervalMs) {
    if (!this.#isStopped) this.#timer = setTimeout(() => this.#load(), pause);
  }
}
