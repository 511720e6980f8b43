// @ts-check
// Tries the sources of a stream in their order (WebRTC, MSE, HLS, MJPEG) and stays with the first that plays. While another one
// than the first plays, it looks for the first in the background, and changes over when that plays. After an interruption it
// starts again from the first, with growing pauses.

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

/** How often the player is asked for its progress, and after which time without a new picture it has stalled. */
const LOOK_MS = 500;
const STALLED_MS = 3000;

/**
 * How often WebRTC is tried again while another source plays: soon after a server was away, and seldom where the network blocks it,
 * because each attempt is a session at MediaMTX.
 */
const UPGRADE_MS = { first: 5000, longest: 60_000 };

/** The reasons that can pass by themselves. */
const PASSING = ['unreachable', 'network', 'timeout', 'ended', 'server', 'no_publisher'];

/** @typedef {'whep' | 'uv4l' | 'mse' | 'hls' | 'mjpeg'} SourceKind */
/**
 * @typedef {{ kind: SourceKind, url: string, base?: string, iceServers?: RTCIceServer[], isSoundOnly?: boolean }} Source
 */
/** @typedef {'connecting' | 'waiting' | 'playing' | 'pausing' | 'failed' | 'stopped'} ChainState */
/** @typedef {{ kind: SourceKind, error: PlayerError }} Failure */
/** @typedef {import('./hls.js').HlsPlayer} HlsPlayer */
/** @typedef {import('./uv4l.js').Uv4lPlayer} Uv4lPlayer */
/** @typedef {HlsPlayer | MjpegPlayer | MsePlayer | Uv4lPlayer | WhepPlayer} AnyPlayer */
/**
 * @typedef {object} ChainOptions
 * @property {HTMLVideoElement} video
 * @property {HTMLCanvasElement} canvas
 * @property {Source[]} sources
 * @property {() => string | null} token
 * @property {boolean} [isSilent]
 */

/** Plays into `video` or `canvas`, as the protocol needs it, and hides the other one. Dispatches 'change'. */
export class Chain extends EventTarget {
  /** @type {ChainState} */
  state = 'connecting';
  /** Whether the player plays and has shown no new picture for some seconds. */
  isStalled = false;
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
  /** When the last new picture was seen, in milliseconds since the epoch; 0 before the first. */
  seenAt = 0;
  #options;
  /** @type {AnyPlayer | null} */
  #current = null; // also while it connects
  /** @type {WhepPlayer | null} */
  #candidate = null; // in the background
  #attempt = 0;
  #upgrades = 0;
  #upgradeTimer = 0;
  #progress = -1;
  #lookTimer = 0;
  #wasAway = false;
  #timer = 0;
  #stopped = false;
  /** @type {(error: PlayerError) => void} */
  #ended = () => {};

  /** @param {ChainOptions} options */
  constructor(options) {
    super();
    this.#options = options;
  }

  start() {
    this.#lookTimer = setInterval(() => this.#look(), LOOK_MS);
    document.addEventListener('visibilitychange', this.#onVisible);
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
      this.#upgrades = 0;
      this.#upgradeLater();
      const error = await this.#untilEnd();
      this.#endUpgrade();
      if (this.#stopped) return;
      if (performance.now() - began > STABLE_MS) this.#attempt = 0;
      const kind = this.#kindOf(this.#current) ?? source.kind;
      this.failures.push({ kind, error });
      break;
    }
    this.#startLater();
  }

  /** @param {AnyPlayer | null} player */
  #kindOf(player) {
    return this.#options.sources.find(({ url }) => url === player?.url)?.kind;
  }

  /** @param {Source} source */
  async #play({ kind, url, ...more }) {
    const { video, canvas, token, isSilent } = this.#options;
    const options = { token, isSilent, ...more };
    const player =
      kind === 'mjpeg' ? new MjpegPlayer(canvas, url, options) : new (await playerOf(kind))(video, url, options);
    if (this.#stopped) return;
    this.#current = player;
    this.#followState(player);
    await player.start();
    this.#take(player);
  }

  /** @param {AnyPlayer} player */
  #followState(player) {
    player.addEventListener('state', () => {
      const { state } = player;
      if (this.player === player && (state === 'playing' || state === 'waiting')) this.#become(state);
    });
    player.addEventListener('error', (event) => {
      if (this.#current === player) this.#ended(/** @type {CustomEvent} */ (event).detail);
    });
  }

  /**
   * Shows a player that has its first picture.
   *
   * @param {AnyPlayer} player
   */
  #take(player) {
    const { video, canvas } = this.#options;
    this.player = player;
    video.hidden = player.element !== video;
    canvas.hidden = player.element !== canvas;
    this.#sawPicture(player.progress());
    this.#become(player.state === 'waiting' ? 'waiting' : 'playing');
  }

  /**
   * The error with which the player ends.
   *
   * @returns {Promise<PlayerError>}
   */
  #untilEnd() {
    return new Promise((done) => {
      this.#ended = done;
      if (!this.player || this.player.hasEnded) done(new PlayerError('ended'));
    });
  }

  /** Looks whether there is a new picture. A hidden page draws none. */
  #look() {
    const { player } = this;
    if (!player) return;
    const progress = player.progress();
    if (progress !== this.#progress || document.hidden) return this.#sawPicture(progress);
    if (this.isStalled || Date.now() - this.seenAt < STALLED_MS) return;
    this.isStalled = true;
    this.dispatchEvent(new Event('change'));
  }

  /** @param {number} progress */
  #sawPicture(progress) {
    this.#progress = progress;
    this.seenAt = Date.now();
    if (!this.isStalled) return;
    this.isStalled = false;
    this.dispatchEvent(new Event('change'));
  }

  /** A page that is shown again waits for the next picture from now on. */
  #onVisible = () => {
    if (!document.hidden && this.player) this.#sawPicture(this.player.progress());
  };

  /** The source that is better than the one that plays, if what has prevented it can be over. */
  #better() {
    const [first] = this.#options.sources;
    if (first?.kind !== 'whep' || this.player instanceof WhepPlayer) return null;
    const failure = this.failures.find(({ kind }) => kind === 'whep');
    return failure && PASSING.includes(failure.error.reason) ? first : null;
  }

  #upgradeLater() {
    if (!this.#better()) return;
    const pause = Math.min(UPGRADE_MS.first * 2 ** this.#upgrades++, UPGRADE_MS.longest);
    this.#upgradeTimer = setTimeout(() => this.#upgrade(), pause);
  }

  /** Plays the better source in the background, and changes over with its first picture. */
  async #upgrade() {
    clearTimeout(this.#upgradeTimer);
    const source = this.#better();
    if (!source || this.#candidate) return;
    if (document.hidden) return this.#upgradeLater();
    const { video, token, isSilent } = this.#options;
    const { url, base, isSoundOnly } = source;
    const hidden = document.createElement('video');
    Object.assign(hidden, { muted: true, playsInline: true });
    const candidate = new WhepPlayer(hidden, url, { token, base, isSilent, isSoundOnly });
    this.#candidate = candidate;
    try {
      await candidate.start();
    } catch (error) {
      if (this.#candidate !== candidate) return;
      this.#candidate = null;
      const failure = this.failures.find(({ kind }) => kind === 'whep');
      if (failure) failure.error = /** @type {PlayerError} */ (error);
      return this.#upgradeLater();
    }
    if (this.#candidate !== candidate) return candidate.stop();
    this.#candidate = null;
    const previous = this.#current;
    this.#current = candidate;
    this.#followState(candidate);
    previous?.stop();
    candidate.moveTo(video);
    this.failures = [];
    this.#take(candidate);
  }

  #endUpgrade() {
    clearTimeout(this.#upgradeTimer);
    const candidate = this.#candidate;
    this.#candidate = null;
    candidate?.stop();
  }

  /** Starts again after a pause. */
  #startLater() {
    this.player = null;
    this.isStalled = false;
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

  /** Ends a pause; while a lesser source plays, tries the better one at once. */
  retry() {
    if (this.player) {
      this.#upgrades = 0;
      this.#upgrade();
    }
    if (this.state !== 'pausing') return;
    clearTimeout(this.#timer);
    this.#attempt = 0;
    this.#run();
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearInterval(this.#lookTimer);
    document.removeEventListener('visibilitychange', this.#onVisible);
    this.#endUpgrade();
    this.#current?.stop();
    this.#ended(new PlayerError('ended'));
    this.player = null;
    this.isStalled = false;
    this.#become('stopped');
  }

  /** @param {ChainState} state */
  #become(state) {
    this.state = state;
    if (state !== 'pausing') this.retryAt = null;
    this.dispatchEvent(new Event('change'));
  }
}

/**
 * The class of a player. Those that few pages need are loaded when they play.
 *
 * @param {Exclude<SourceKind, 'mjpeg'>} kind
 */
async function playerOf(kind) {
  if (kind === 'whep') return WhepPlayer;
  if (kind === 'mse') return MsePlayer;
  return kind === 'hls' ? (await import('./hls.js')).HlsPlayer : (await import('./uv4l.js')).Uv4lPlayer;
}
