// Pictures of tiles: asked for only while the tile is seen, few at a time, and again only if there is a new one.

import { encoded, request } from '../lib/api.js';

/** Browsers keep six connections to a server; some are for what people do. */
const AT_A_TIME = 3;

/** So long one that could not be had is left in peace. */
const AFTER_FAILURE_MS = 30_000;

let running = 0;
const waiting = [];

async function inTurn(work) {
  if (running >= AT_A_TIME)
    await new Promise((go) => {
      waiting.push(go);
    });
  running += 1;
  try {
    await work();
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

/** Keeps an <img> at a stream's latest picture. */
export class Thumbnail {
  #tag = null;
  #timer = null;
  #isLoading = false;
  #ended = false;
  #failedAt = -Infinity;

  constructor(image, name) {
    this.image = image;
    this.name = name;
  }

  /** Begins; `everyMs` and `width` (pixels) can be other ones the next time. */
  start(everyMs, width) {
    this.#ended = false;
    this.everyMs = everyMs;
    this.width = width;
    if (this.#timer === null && !this.#isLoading) this.#load();
  }

  stop() {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#timer = null;
  }

  async #load() {
    this.#timer = null;
    if (this.#ended || document.hidden || performance.now() - this.#failedAt < AFTER_FAILURE_MS) return this.#again();
    this.#isLoading = true;
    await inTurn(async () => {
      if (this.#ended) return;
      try {
        await this.#fetch();
      } catch {
        this.#failedAt = performance.now();
      }
    });
    this.#isLoading = false;
    this.#again();
  }

  async #fetch() {
    const headers = this.#tag ? { 'If-None-Match': this.#tag } : {};
    const response = await request(`snapshot/${encoded(this.name)}.jpg?w=${this.width}`, { headers });
    if (response.status === 304) return;
    if (!response.ok) throw new Error(response.statusText);
    const tag = response.headers.get('ETag');
    const url = URL.createObjectURL(await response.blob());
    const old = this.image.src;
    this.image.src = url;
    await this.image.decode();
    if (old.startsWith('blob:')) URL.revokeObjectURL(old);
    this.#tag = tag;
    this.image.dispatchEvent(new Event('shown'));
  }

  #again() {
    if (!this.#ended) this.#timer = setTimeout(() => this.#load(), this.everyMs);
  }
}
