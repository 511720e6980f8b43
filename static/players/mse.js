// @ts-check
// Video and sound from the sidecar, by WebSocket, into a MediaSource: for networks that block WebRTC. Some hundredths of a second
// behind, because the player plays all that it has and does not collect a reserve. An iPhone has a ManagedMediaSource only.

import { Player, PlayerError, Rate, fetchMedia, firstFrame } from './player.js';

/** Our WebSocket protocol, which must be offered beside a token. */
const PROTOCOL = 'mtx.jpeg';

/** The server repeats a still at least each second. */
const SILENT_MS = 15_000;

/** Bytes that wait while the browser takes earlier ones. */
const MOST_WAITING = 16 << 20;

/**
 * Seconds behind the newest frame from which on the player is a little faster: `SLOW`, and up to `SLOWEST` after frames came too late.
 * Less for a video whose frames follow each other so `FAST`, in seconds, that it has some of them in reserve then: `NEAR`. But not
 * with sound: Chromium stands still for seconds when it has none to play. More for a video with so few frames that it would have
 * less than `FRAMES` of them. From `FAR` on the player jumps; with sound, where a jump can be heard, from `FARTHEST`.
 */
const SLOW = 0.25;
const NEAR = 0.12;
const FAST = 0.042;
const FRAMES = 2;
const SLOWEST = 1;
const FAR = 1.5;
const FARTHEST = 3;

/** After this time without a wait the player comes nearer again. If that was too near, it stays for twice as long the next time. */
const CALM_MS = { first: 60_000, longest: 1_800_000 };

/** Seconds of video in which a wait says nothing of the network: the player begins with what is there. */
const BEGIN = 2;

/** Seconds of the past that stay in the buffer, and when the rest is removed. */
const KEPT = 5;
const FULL = 15;

/** The codecs that the sidecar passes on; of each a profile that every browser with the codec plays. */
const VIDEO = ['avc1.640029', 'hvc1.1.6.L153.B0'];
const SOUND = ['mp4a.40.2', 'opus'];

/** @typedef {MediaSource & { streaming?: boolean }} Source */

/** @returns {(new () => Source) & { isTypeSupported(type: string): boolean } | undefined} */
const mediaSource = () => window.MediaSource ?? /** @type {any} */ (window).ManagedMediaSource;

/** Plays `…/stream/NAME.mp4`, by the WebSocket beside it. @extends {Player<HTMLVideoElement>} */
export class MsePlayer extends Player {
  protocol = 'MSE';
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {SourceBuffer | null} */
  #buffer = null;
  /** @type {ArrayBuffer[]} */
  #waiting = [];
  #objectUrl = '';
  #mediaType = '';
  #bytes = 0;
  /** How many messages the browser has been given at last. */
  #pieces = 0;
  #rates = { bytes: new Rate(), frames: new Rate() };
  #timer = 0;
  /** Seconds between frames; 0 while it is not known. */
  #interval = 0;
  #end = 0;
  /** The time of the frame that was shown last, in seconds of the video. */
  #shown = 0;
  /** Doubled by each wait. */
  #caution = 1;
  #calmSince = 0;
  #calm = CALM_MS.first;
  #hasComeNearer = false;
  #isWaiting = false;

  async open() {
    const { element, ending } = this;
    const Source = mediaSource();
    if (!Source || !('WebSocket' in window)) throw new PlayerError('unsupported');
    // A WebSocket that is refused gives a script no reason. This starts nothing at the server.
    await fetchMedia(this.url, this.token(), { method: 'HEAD', signal: ending.signal });
    if (this.hasEnded) return;
    const source = new Source();
    const opened = new Promise((done) => source.addEventListener('sourceopen', done, { once: true }));
    const failed = () => {
      const { code = 0, message } = element.error ?? {};
      this.fail(code === MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED ? 'codec' : 'network', message);
    };
    element.addEventListener('error', failed, { signal: ending.signal });
    element.addEventListener('waiting', () => this.#fallBehind(), { signal: ending.signal });
    this.#watch();
    // Safari attaches a ManagedMediaSource only to an element that cannot play at another device.
    element.disableRemotePlayback = true;
    this.#objectUrl = URL.createObjectURL(source);
    const frame = firstFrame(element, ending.signal);
    element.src = this.#objectUrl;
    await opened;
    if (this.hasEnded) return;
    this.#connect(source);
    await frame;
  }

  /** @param {Source} source */
  #connect(source) {
    const url = new URL(this.url);
    url.pathname = url.pathname.replace(/\/stream\/(.+)\.mp4$/, '/ws/$1');
    url.searchParams.set('video', '1');
    const codecs = this.isSilent ? VIDEO : [...VIDEO, ...SOUND];
    const played = codecs.filter((codec) => mediaSource()?.isTypeSupported(`video/mp4; codecs="${codec}"`));
    url.searchParams.set('codecs', played.join(','));
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const token = this.token();
    const socket = new WebSocket(url, token ? [PROTOCOL, `bearer.${token}`] : [PROTOCOL]);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#listen();
    socket.addEventListener('message', ({ data }) => {
      if (this.hasEnded) return;
      this.#listen();
      if (typeof data === 'string') this.#notice(source, data);
      else this.#take(data);
    });
    socket.addEventListener('close', ({ code, reason }) => this.fail(code === 1006 ? 'network' : 'ended', reason));
  }

  #listen() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.fail('network', 'silence'), SILENT_MS);
  }

  /**
   * @param {Source} source
   * @param {string} text
   */
  #notice(source, text) {
    const { type, value, state, note } = JSON.parse(text);
    if (type === 'error') this.fail(/the client does not play/.test(value) ? 'codec' : 'server', value);
    else if (type === 'state') {
      this.#isWaiting = state !== 'live' && state !== 'lingering';
      if (this.state === 'playing' || this.state === 'waiting') this.become(this.#isWaiting ? 'waiting' : 'playing');
    } else if (type === 'mse') {
      if (!mediaSource()?.isTypeSupported(value)) return this.fail('codec', value);
      this.#mediaType = value;
      this.note = note ?? '';
      const buffer = source.addSourceBuffer(value);
      buffer.addEventListener('updateend', () => this.#work());
      this.#buffer = buffer;
    }
  }

  /** @param {ArrayBuffer} data */
  #take(data) {
    this.#bytes += data.byteLength;
    this.#waiting.push(data);
    const bytes = this.#waiting.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (bytes > MOST_WAITING) this.fail('network', 'the browser does not keep up');
    else this.#work();
  }

  /** Gives the browser what waits, or removes what is old. Both end with 'updateend'. */
  #work() {
    const buffer = this.#buffer;
    if (!buffer || buffer.updating || this.hasEnded) return;
    this.#follow();
    try {
      if (this.#waiting.length) {
        this.#measure(buffer);
        this.#pieces = this.#waiting.length;
        buffer.appendBuffer(new Uint8Array(joined(this.#waiting.splice(0))));
      } else if (buffer.buffered.length) {
        const now = this.element.currentTime;
        if (now - buffer.buffered.start(0) > FULL) buffer.remove(0, now - KEPT);
      }
    } catch (error) {
      this.fail('server', /** @type {Error} */ (error).message);
    }
  }

  /** Keeps the time of the frame that is shown. */
  #watch() {
    this.element.requestVideoFrameCallback?.((_, { mediaTime }) => {
      this.#shown = mediaTime;
      if (!this.hasEnded) this.#watch();
    });
  }

  /** Seconds of video in the buffer after this time of it. */
  #after(/** @type {number} */ time) {
    const { buffered } = this.element;
    return buffered.length ? buffered.end(buffered.length - 1) - time : 0;
  }

  /**
   * Seconds of video that are not shown yet. The clock alone does not tell: once Chromium (156) had no frame of a video without sound in
   * reserve, it can show each one as soon as it comes, and let its clock stand until then, so that the clock falls behind what is shown.
   */
  get #ahead() {
    return this.#after(Math.max(this.element.currentTime, this.#shown));
  }

  /**
   * Measures the time between frames, each of which is a message.
   *
   * @param {SourceBuffer} buffer
   */
  #measure({ buffered }) {
    const end = buffered.length ? buffered.end(buffered.length - 1) : 0;
    const interval = (end - this.#end) / this.#pieces;
    if (this.#end > 0 && interval > 0 && interval < 1) {
      this.#interval += (interval - this.#interval) / (this.#interval ? 8 : 1);
    }
    this.#end = end;
  }

  /** Seconds behind the newest frame from which on the player is faster. */
  get #slow() {
    const isNear = this.#interval > 0 && this.#interval <= FAST && !this.hasSound;
    return Math.min(SLOWEST, Math.max((isNear ? NEAR : SLOW) * this.#caution, FRAMES * this.#interval));
  }

  /** Seconds behind the newest frame from which on the player jumps. */
  get #far() {
    // The interval of frames that are a second or more apart is not known (0), and each of them would be followed by a jump.
    return this.hasSound || !this.#interval ? FARTHEST : Math.max(FAR, (FRAMES + 1) * this.#interval);
  }

  /** Frames came later than they were needed, and the next ones may, too. */
  #fallBehind() {
    const { played } = this.element;
    if (!played.length || played.end(played.length - 1) - played.start(0) < BEGIN) return;
    if (this.#hasComeNearer) this.#calm = Math.min(2 * this.#calm, CALM_MS.longest);
    this.#hasComeNearer = false;
    if (this.#slow < SLOWEST) this.#caution *= 2;
    this.#calmSince = performance.now();
  }

  /** Stays at the newest frame. */
  #follow() {
    const { element } = this;
    const ahead = this.#ahead;
    if (this.#caution > 1 && performance.now() - this.#calmSince > this.#calm) {
      this.#caution /= 2;
      this.#calmSince = performance.now();
      this.#hasComeNearer = true;
    }
    const behind = this.#after(element.currentTime);
    if (behind > FARTHEST || ahead > this.#far) element.currentTime += behind - this.#slow / 2;
    // Faster until half of that is gained: a rate that changes with every frame can be heard.
    const rate = ahead > (element.playbackRate > 1 ? this.#slow / 2 : this.#slow) ? 1.1 : 1;
    if (element.playbackRate !== rate) element.playbackRate = rate;
  }

  close() {
    clearTimeout(this.#timer);
    this.#socket?.close(1000);
    this.element.playbackRate = 1;
    this.element.removeAttribute('src');
    this.element.load();
    URL.revokeObjectURL(this.#objectUrl);
  }

  get isWaiting() {
    return this.#isWaiting;
  }

  get hasSound() {
    return /mp4a|opus/.test(this.#mediaType);
  }

  /**
   * @returns {Promise<import('./player.js').PlayerStats>}
   */
  async stats() {
    const { videoWidth: width, videoHeight: height } = this.element;
    return {
      protocol: this.protocol,
      width,
      height,
      fps: this.#rates.frames.take(this.element.getVideoPlaybackQuality?.().totalVideoFrames ?? 0),
      kbps: this.#rates.bytes.kbps(this.#bytes),
      latencyMs: this.#ahead * 1000,
      codec: /codecs="(.+)"/.exec(this.#mediaType)?.[1],
    };
  }
}

/** @param {ArrayBuffer[]} parts */
function joined(parts) {
  if (parts.length === 1) return parts[0];
  const all = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(new Uint8Array(part), at);
    at += part.byteLength;
  }
  return all.buffer;
}
