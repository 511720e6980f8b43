// One publication: a source that is sent to a path of MediaMTX, again and again until it is stopped.

import { encoded, token } from '../lib/api.js';
import { WhipPublisher } from '../players/whip.js';

const LONGEST_PAUSE_MS = 15_000;
const AFTER_PATH_MS = 800;

export class Publication extends EventTarget {
  /** 'connecting', 'live', 'failing' or 'ended'; `problem` says why it is failing. */
  state = 'connecting';
  problem = '';
  #publisher = null;
  #pause = 1000;
  #timer = null;

  /** `makePath()` makes the path, if MediaMTX has none of that name; null where that is not wanted. */
  constructor({ path, source, kbps, addresses, makePath }) {
    super();
    Object.assign(this, { path, source, kbps, makePath, base: addresses.webrtc });
    // Somebody ends the sharing of a screen in the browser's own bar, or pulls a plug.
    source.stream.getTracks().forEach((track) => track.addEventListener('ended', () => this.stop()));
  }

  /** Begins, and tells `state` from then on. */
  async start() {
    if (this.state === 'ended') return;
    this.#become(this.state === 'failing' ? 'failing' : 'connecting');
    const url = `${this.base}/${encoded(this.path)}/whip`;
    const publisher = new WhipPublisher(this.source.stream, url, { token, base: this.base, maxKbps: this.kbps });
    this.#publisher = publisher;
    publisher.addEventListener('error', ({ detail }) => this.#fail(detail));
    try {
      await publisher.start();
      if (this.state === 'ended') return publisher.stop();
      this.#pause = 1000;
      this.problem = '';
      this.#become('live');
    } catch (error) {
      this.#fail(error);
    }
  }

  async #fail(error) {
    if (this.state === 'ended') return;
    // MediaMTX takes publishers to paths that it knows only; the words are internal/conf's.
    if (this.makePath && /is not configured/.test(error.message)) {
      const make = this.makePath;
      this.makePath = null;
      try {
        await make();
        // Kept at once, and at MediaMTX a moment later.
        this.#timer = setTimeout(() => this.start(), AFTER_PATH_MS);
        return;
      } catch (refusal) {
        error = refusal;
      }
    }
    this.problem = error.message;
    this.#become('failing', true);
    this.#timer = setTimeout(() => this.start(), this.#pause);
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
  }

  /** What is sent: size, rate, codec. */
  stats() {
    return this.#publisher?.state === 'playing' ? this.#publisher.stats() : Promise.resolve({});
  }

  stop() {
    if (this.state === 'ended') return;
    clearTimeout(this.#timer);
    this.#become('ended');
    this.#publisher?.stop();
    this.source.close();
  }

  #become(state, anew = false) {
    const changed = this.state !== state || anew || state === 'connecting';
    this.state = state;
    if (changed) this.dispatchEvent(new Event('state'));
  }
}
