// Tries ways to play, one after the other, and stays with the first that works: WebRTC, HLS, MJPEG. When that breaks off, it is
// tried again, later each time; when it does not come back, the next way has its turn.

import { HlsPlayer } from './hls.js';
import { MjpegPlayer } from './mjpeg.js';
import { WhepPlayer } from './whep.js';
import { PlayerError } from './player.js';

const CLASSES = { whep: WhepPlayer, hls: HlsPlayer, mjpeg: MjpegPlayer };
const LONGEST_PAUSE_MS = 30_000;

/** What has played for so long begins anew with short pauses. */
const STAYS_PLAYING_MS = 10_000;

/**
 * Plays into `video` or `canvas`, whichever the way needs; the other is hidden. `ways` is a list of { kind, url, base }.
 *
 * Events: 'change' whenever something is new to tell: `state` ('connecting', 'waiting', 'playing', 'pausing', 'failed',
 * 'stopped'), `player` (the one that plays), `failures` (a list of { kind, error } of the ways before it), `retryAt`.
 */
export class Chain extends EventTarget {
  state = 'connecting';
  player = null;
  failures = [];
  retryAt = null;
  #attempt = 0;
  #timer;
  #stopped = false;

  constructor({ video, canvas, ways, token }) {
    super();
    Object.assign(this, { video, canvas, ways, token });
  }

  start() {
    this.#run();
    return this;
  }

  async #run() {
    this.failures = [];
    this.#tell('connecting');
    for (const way of this.ways) {
      const began = performance.now();
      try {
        await this.#play(way);
        if (this.#stopped) return;
      } catch (error) {
        if (this.#stopped) return;
        this.failures.push({ kind: way.kind, error });
        this.#tell('connecting');
        continue;
      }
      const ended = await this.#untilEnd();
      if (this.#stopped) return;
      if (performance.now() - began > STAYS_PLAYING_MS) this.#attempt = 0;
      this.failures.push({ kind: way.kind, error: ended });
      return this.#later();
    }
    this.#later();
  }

  async #play({ kind, url, base }) {
    const element = kind === 'mjpeg' ? this.canvas : this.video;
    const player = new CLASSES[kind](element, url, { token: this.token, base });
    this.#now = player;
    player.addEventListener('state', ({ detail }) => {
      if (this.player === player && (detail === 'playing' || detail === 'waiting')) this.#tell(detail);
    });
    await player.start();
    this.player = player;
    this.video.hidden = element !== this.video;
    this.canvas.hidden = element !== this.canvas;
    this.#tell('playing');
  }

  #now = null;

  #untilEnd() {
    return new Promise((done) => {
      const { player } = this;
      if (player.hasEnded) done(new PlayerError('ended'));
      player.addEventListener('error', ({ detail }) => done(detail), { once: true });
    });
  }

  /** All over again, in a while. */
  #later() {
    this.player = null;
    const pause = Math.min(1000 * 2 ** this.#attempt++, LONGEST_PAUSE_MS) * (0.8 + Math.random() * 0.4);
    this.retryAt = Date.now() + pause;
    this.#tell(this.ways.length ? 'pausing' : 'failed');
    if (this.ways.length) this.#timer = setTimeout(() => this.#run(), pause);
  }

  /** Tries at once what would be tried later. */
  retry() {
    if (this.state !== 'pausing') return;
    clearTimeout(this.#timer);
    this.#attempt = 0;
    this.#run();
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#now?.stop();
    this.player = null;
    this.#tell('stopped');
  }

  #tell(state) {
    this.state = state;
    if (state !== 'pausing') this.retryAt = null;
    this.dispatchEvent(new Event('change'));
  }
}
