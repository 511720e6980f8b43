// @ts-check
// Tries the sources of a stream in their order (WebRTC, MSE, HLS, MJPEG) and stays with the first that plays. After an
// interruption it starts again from the first, with growing pauses.

import { HlsPlayer } from './hls.js';
import { MjpegPlayer } from './mjpeg.js';
import { MsePlayer } from './mse.js';
import { PlayerError } from './player.js';
import { WhepPlayer } from './whep.js';

const FIRST_PAUSE_MS = 500;

/**
 * The longest pauses. A server that does not answer may be starting again, and its viewers are back some seconds later:
 * MediaMTX answers two seconds late while it cannot ask for permissions, and the next source is tried after that.
 */
const LONGEST_PAUSE_MS = { away: 1500, other: 30_000 };

/** The reasons that a server which is away gives. */
const AWAY = ['unreachable', 'network'];

/** After playing for this long, pauses are short again. */
const STABLE_MS = 10_000;

/** @typedef {'whep' | 'mse' | 'hls' | 'mjpeg'} SourceKind */
/** @typedef {{ kind: SourceKind, url: string, base?: string }} Source */
/** @typedef {'connecting' | 'waiting' | 'playing' | 'pausing' | 'failed' | 'stopped'} ChainState */
/** @typedef {{ kind: SourceKind, error: PlayerError }} Failure */
/** @typedef {HlsPlayer | MjpegPlayer | MsePlayer | WhepPlayer} AnyPlayer */
/**
 * @typedef {object} ChainOptions
 * @property {HTMLVideoElement} video
 * @property {HTMLCanvasElement} canvas
 * @property {Source[]} sources
 * @property {() => string | null} token
 */

/** Plays into `video` or `canvas`, as the protocol needs it, and hides the other one. Dispatches 'change'. */
export class Chain extends EventTarget {
  /** @type {ChainState} */
  state = 'connecting';
  /**
   * The player that plays.
   *
   * @type {AnyPlayer | null}
   */
  player = null;
  /**
   * The sources that failed since the last start.
   *
   * @type {Failure[]}
   */
  failures = [];
  /**
   * When the next start is, in milliseconds since the epoch.
   *
   * @type {number | null}
   */
  retryAt = null;
  #options;
  /** @type {AnyPlayer | null} */
  #current = null; // also while it connects
  #attempt = 0;
  #wasAway = false;
  #timer = 0;
  #stopped = false;

  /** @param {ChainOptions} options */
  constructor(options) {
    super();
    this.#options = options;
  }

  start() {
    this.#run();
    return this;
  }

  async #run() {
    this.failures = [];
    this.#become('connecting');
    for (const source of this.#options.sources) {
      const began = performance.now();
      try {
        await this.#play(source);
      } catch (error) {
        if (this.#stopped) return;
        this.failures.push({ kind: source.kind, error: /** @type {PlayerError} */ (error) });
        this.#become('connecting');
        continue;
      }
      if (this.#stopped) return;
      const error = await this.#untilEnd();
      if (this.#stopped) return;
      if (performance.now() - began > STABLE_MS) this.#attempt = 0;
      this.failures.push({ kind: source.kind, error });
      break;
    }
    this.#startLater();
  }

  /** @param {Source} source */
  async #play({ kind, url, base }) {
    const { video, canvas, token } = this.#options;
    const options = { token, base };
    const player =
      kind === 'mjpeg'
        ? new MjpegPlayer(canvas, url, options)
        : new { whep: WhepPlayer, mse: MsePlayer, hls: HlsPlayer }[kind](video, url, options);
    this.#current = player;
    player.addEventListener('state', () => {
      const { state } = player;
      if (this.player === player && (state === 'playing' || state === 'waiting')) this.#become(state);
    });
    await player.start();
    this.player = player;
    video.hidden = player.element !== video;
    canvas.hidden = player.element !== canvas;
    this.#become('playing');
  }

  /**
   * The error with which the player ends.
   *
   * @returns {Promise<PlayerError>}
   */
  #untilEnd() {
    return new Promise((done) => {
      const { player } = this;
      if (!player || player.hasEnded) return done(new PlayerError('ended'));
      player.addEventListener('error', (event) => done(/** @type {CustomEvent} */ (event).detail), { once: true });
    });
  }

  /** Starts again after a pause. */
  #startLater() {
    this.player = null;
    const isAway = this.failures.some(({ error }) => AWAY.includes(error.reason));
    // A server that answers again may need a moment until it has the path.
    if (this.#wasAway && !isAway) this.#attempt = 0;
    this.#wasAway = isAway;
    const longest = isAway ? LONGEST_PAUSE_MS.away : LONGEST_PAUSE_MS.other;
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** this.#attempt++, longest) * (0.8 + Math.random() * 0.4);
    this.retryAt = Date.now() + pause;
    if (!this.#options.sources.length) return this.#become('failed');
    this.#timer = setTimeout(() => this.#run(), pause);
    this.#become('pausing');
  }

  /** Ends a pause. */
  retry() {
    if (this.state !== 'pausing') return;
    clearTimeout(this.#timer);
    this.#attempt = 0;
    this.#run();
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#current?.stop();
    this.player = null;
    this.#become('stopped');
  }

  /** @param {ChainState} state */
  #become(state) {
    this.state = state;
    if (state !== 'pausing') this.retryAt = null;
    this.dispatchEvent(new Event('change'));
  }
}
