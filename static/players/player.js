// @ts-check
// What all players have in common. A player plays one protocol into one element, once: a new attempt needs a new
// player.
//
//   const player = new WhepPlayer(video, url, { token: () => 'eyJ…' });
//   player.addEventListener('state', ({ detail }) => …);   // 'connecting', 'waiting', 'playing', 'ended'
//   player.addEventListener('error', ({ detail }) => …);   // a PlayerError; the player has then ended
//   await player.start();                                  // rejects with a PlayerError if there is no first frame
//   await player.stats();                                  // PlayerStats
//   player.stop();

/** The limit for the first frame. MediaMTX gives up on a source after ten seconds (sourceOnDemandStartTimeout). */
export const FIRST_FRAME_MS = 12_000;

/**
 * Why nothing plays. 'insecure' is an http: address in an https: page, 'network' means that media does not arrive,
 * 'unsupported' that this browser lacks the protocol.
 *
 * @typedef {'unauthorised' | 'no_publisher' | 'codec' | 'unreachable' | 'insecure' | 'timeout' | 'network' | 'ended' |
 *   'unsupported' | 'server'} Reason
 */

/** @typedef {'new' | 'connecting' | 'waiting' | 'playing' | 'ended'} PlayerState */

/**
 * What a player measures; a value that it does not know is absent or null.
 *
 * @typedef {object} PlayerStats
 * @property {string} protocol
 * @property {number} [width]
 * @property {number} [height]
 * @property {number | null} [fps]
 * @property {number | null} [kbps]
 * @property {number | null} [latencyMs]
 * @property {number | null} [ageMs]
 * @property {string} [codec]
 * @property {number} [lost] packets
 */

/**
 * @typedef {object} PlayerOptions
 * @property {() => string | null} [token]
 * @property {string} [base]
 * @property {boolean} [isSilent]
 * @property {boolean} [isSoundOnly] there is no video
 * @property {RTCIceServer[]} [iceServers]
 */

/** An error with its reason; `message` is the text of the server or of the browser. */
export class PlayerError extends Error {
  /**
   * @param {Reason} reason
   * @param {string} [message]
   */
  constructor(reason, message = reason) {
    super(message);
    this.reason = reason;
  }
}

/**
 * The error for an answer of MediaMTX or of the sidecar whose status is not 2xx.
 *
 * @param {Response} response
 */
async function refusal(response) {
  const text = await response.text().catch(() => '');
  let detail = text;
  try {
    const body = JSON.parse(text);
    detail = String(body.error ?? body.detail ?? text);
  } catch {
    // The body is plain text.
  }
  const message = detail.slice(0, 300) || `${response.status} ${response.statusText}`;
  return new PlayerError(reasonOf(response.status, message), message);
}

/**
 * @param {number} status
 * @param {string} message
 * @returns {Reason}
 */
function reasonOf(status, message) {
  if (status === 401 || status === 403) return 'unauthorised';
  if (status === 404 || /timed out/i.test(message)) return 'no_publisher';
  return /codec|B-frames|no supported|unsupported/i.test(message) ? 'codec' : 'server';
}

/**
 * Like fetch, with the token. Errors are PlayerErrors, except for an abort.
 *
 * @param {string} url
 * @param {string | null} token
 * @param {RequestInit} [options]
 */
export async function fetchMedia(url, token, options = {}) {
  if (location.protocol === 'https:' && url.startsWith('http:')) throw new PlayerError('insecure', url);
  const headers = new Headers(options.headers);
  if (token) headers.set('Authorization', `Bearer ${token}`);
  let response;
  try {
    response = await fetch(url, { ...options, headers, credentials: 'omit', cache: 'no-store' });
  } catch (error) {
    const { name, message } = /** @type {Error} */ (error);
    throw name === 'AbortError' ? error : new PlayerError('unreachable', message);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

/** The change of a counter per second, between calls. */
export class Rate {
  /** @type {number | null} */
  #count = null;
  #at = 0;

  /**
   * Takes the present count; gives null the first time.
   *
   * @param {number} count
   */
  take(count) {
    const now = performance.now();
    const rate =
      this.#count === null || now - this.#at < 100 ? null : ((count - this.#count) * 1000) / (now - this.#at);
    if (rate !== null || this.#count === null) {
      this.#count = count;
      this.#at = now;
    }
    return rate;
  }

  /**
   * The same for a count of bytes, in kbit/s.
   *
   * @param {number} bytes
   */
  kbps(bytes) {
    const rate = this.take(bytes);
    return rate === null ? null : (rate * 8) / 1000;
  }
}

/**
 * @template {HTMLVideoElement | HTMLCanvasElement | null} E
 */
export class Player extends EventTarget {
  /** The name of the protocol. */
  protocol = '';
  /** @type {PlayerState} */
  state = 'new';
  /** Why there is no sound, if the stream has some. */
  note = '';
  ending = new AbortController();
  /** @type {PlayerError | null} */
  #failure = null;

  /**
   * `element` shows the video. `token` is a function, because tokens are renewed. `isSilent` if sound is of no use.
   *
   * @param {E} element
   * @param {string} url
   * @param {PlayerOptions} [options]
   */
  constructor(element, url, { token = () => null, isSilent = false, isSoundOnly = false } = {}) {
    super();
    this.element = element;
    this.url = url;
    this.token = token;
    this.isSilent = isSilent;
    this.isSoundOnly = isSoundOnly;
  }

  get hasEnded() {
    return this.ending.signal.aborted;
  }

  /** Whether the server sends a picture that only says that there is none yet. */
  get isWaiting() {
    return false;
  }

  /** Whether there is sound. */
  get hasSound() {
    return false;
  }

  /**
   * Begins to play; fulfilled with the first frame. A protocol implements this.
   *
   * @returns {Promise<void>}
   */
  async open() {
    throw new PlayerError('unsupported');
  }

  /**
   * Releases the resources of `open`. A protocol implements this.
   *
   * @returns {Promise<void> | void}
   */
  close() {}

  /** Plays; fulfilled with the first frame. */
  async start() {
    this.become('connecting');
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new PlayerError('timeout')), FIRST_FRAME_MS);
      this.ending.signal.addEventListener('abort', () => reject(new PlayerError('ended')));
    });
    late.catch(() => {});
    try {
      await Promise.race([this.open(), late]);
      if (this.hasEnded) throw new PlayerError('ended');
      this.become(this.isWaiting ? 'waiting' : 'playing');
    } catch (thrown) {
      this.stop();
      const error = this.#failure ?? thrown;
      throw error instanceof PlayerError ? error : new PlayerError('server', /** @type {Error} */ (error).message);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the player. It can be called at any time, and more than once. */
  stop() {
    if (this.hasEnded) return;
    this.ending.abort();
    this.close();
    this.become('ended');
  }

  /**
   * What the player measures at this moment.
   *
   * @returns {Promise<PlayerStats>}
   */
  async stats() {
    return { protocol: this.protocol };
  }

  /**
   * A number that changes with every new picture, so that a picture that stands still can be told from one that moves.
   * Sound without a picture counts by its time.
   *
   * @returns {number}
   */
  progress() {
    const { element } = this;
    if (!(element instanceof HTMLVideoElement)) return 0;
    const frames = element.videoWidth ? element.getVideoPlaybackQuality?.().totalVideoFrames : 0;
    // Firefox counts no frames of WebRTC.
    return frames || element.currentTime;
  }

  /** @param {PlayerState} state */
  become(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent('state', { detail: state }));
  }

  /**
   * Ends the player with an error. Before the first frame, start() alone reports it.
   *
   * @param {Reason} reason
   * @param {string} [message]
   */
  fail(reason, message) {
    if (this.hasEnded) return;
    const before = this.state;
    this.#failure = new PlayerError(reason, message);
    this.stop();
    if (before === 'playing' || before === 'waiting') {
      this.dispatchEvent(new CustomEvent('error', { detail: this.#failure }));
    }
  }
}

/**
 * Starts a <video>; fulfilled with its first frame.
 *
 * @param {HTMLVideoElement} video
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export function firstFrame(video, signal) {
  return new Promise((done) => {
    for (const event of ['loadeddata', 'playing']) video.addEventListener(event, () => done(), { once: true, signal });
    video.play().catch(() => {
      // Without a gesture of the user, browsers play muted videos only.
      video.muted = true;
      video.play().catch(() => {});
    });
  });
}
