// @ts-check
// HLS, for networks that block WebRTC: some seconds behind, over plain HTTP. Safari plays it natively; other browsers
// use hls.js (static/vendor/hls.js, Apache-2.0), which is loaded only when HLS plays.

import { Player, PlayerError, fetchMedia, firstFrame } from './player.js';

const HLS_JS = new URL('../vendor/hls.js/hls.min.js', import.meta.url).href;

/** Over how long the bit rate is averaged: segments arrive as a whole. */
const RATE_MS = 20_000;

/** @extends {Player<HTMLVideoElement>} */
export class HlsPlayer extends Player {
  protocol = 'HLS';
  /** @type {import('hls.js').default | null} */
  #hls = null;
  #bytes = 0;
  #since = performance.now();
  #frames = { count: 0, at: 0 };

  async open() {
    // The playlist says whether the path is there and permitted; hls.js would only ask again and again.
    const { signal } = this.ending;
    await fetchMedia(this.url, this.token(), { signal });
    if (!('MediaSource' in window || 'ManagedMediaSource' in window)) return this.#playNatively();
    /** @type {typeof import('hls.js')} */
    const { default: Hls } = await import(HLS_JS);
    if (!Hls.isSupported()) return this.#playNatively();
    if (this.hasEnded) return;
    const hls = new Hls({
      // A worker is made of a blob, which our content security policy forbids. Fragments of MP4 need no worker.
      enableWorker: false,
      lowLatencyMode: true,
      maxLiveSyncPlaybackRate: 1.5,
      backBufferLength: 30,
      xhrSetup: (request) => {
        const token = this.token();
        if (token) request.setRequestHeader('Authorization', `Bearer ${token}`);
      },
    });
    this.#hls = hls;
    let recoveries = 0;
    hls.on(Hls.Events.ERROR, (_, { fatal, type, details, response }) => {
      if (!fatal) return;
      if (/codec/i.test(details)) this.fail('codec', details);
      else if (type === Hls.ErrorTypes.MEDIA_ERROR && recoveries++ < 2) hls.recoverMediaError();
      else this.fail(reasonOf(response?.code), details);
    });
    hls.on(Hls.Events.FRAG_LOADED, (_, { frag, part }) => {
      this.#bytes += (part ?? frag).stats.loaded;
    });
    const frame = firstFrame(this.element, signal);
    hls.attachMedia(this.element);
    hls.loadSource(this.url);
    await frame;
  }

  async #playNatively() {
    const { element } = this;
    const { signal } = this.ending;
    if (!element.canPlayType('application/vnd.apple.mpegurl')) throw new PlayerError('unsupported');
    const url = new URL(this.url);
    const token = this.token();
    if (token) url.searchParams.set('token', token);
    element.addEventListener('error', () => this.fail('network', element.error?.message), { signal });
    const frame = firstFrame(element, signal);
    element.src = url.href;
    await frame;
  }

  close() {
    this.#hls?.destroy();
    this.element.removeAttribute('src');
    this.element.load();
  }

  get hasSound() {
    // Safari does not tell.
    return this.#hls ? Boolean(this.#hls.levels?.[0]?.audioCodec || this.#hls.audioTracks?.length) : true;
  }

  /**
   * @returns {Promise<import('./player.js').PlayerStats>}
   */
  async stats() {
    const { videoWidth: width, videoHeight: height } = this.element;
    const now = performance.now();
    const count = this.element.getVideoPlaybackQuality?.().totalVideoFrames ?? 0;
    const fps = this.#frames.at ? ((count - this.#frames.count) * 1000) / (now - this.#frames.at) : null;
    this.#frames = { count, at: now };
    const kbps = this.#bytes ? (this.#bytes * 8) / (now - this.#since) : null;
    if (now - this.#since > RATE_MS) {
      this.#bytes /= 2;
      this.#since = now - (now - this.#since) / 2;
    }
    const level = this.#hls?.levels?.[Math.max(0, this.#hls.currentLevel)];
    const codec = [level?.videoCodec, level?.audioCodec].filter(Boolean).join(' + ');
    return {
      protocol: this.protocol,
      width,
      height,
      fps,
      kbps,
      latencyMs: this.#hls ? this.#hls.latency * 1000 : null,
      codec,
    };
  }
}

/** @param {number | undefined} status */
function reasonOf(status) {
  if (status === 404) return 'no_publisher';
  return status === 401 ? 'unauthorised' : 'network';
}
