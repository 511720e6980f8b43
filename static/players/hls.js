// HLS, where WebRTC does not come through: some seconds behind, over plain HTTP. Safari plays it by itself; others by hls.js
// (static/vendor/hls.js, Apache-2.0), which is loaded when it is needed and not before.

import { Player, PlayerError, fetchMedia } from './player.js';

export class HlsPlayer extends Player {
  protocol = 'HLS';
  #hls = null;
  #bytes = 0;
  #since = performance.now();
  #frames = { count: 0, at: 0 };

  async open() {
    // Who may not, and what is not there, is said by the playlist; hls.js would ask again and again.
    const { signal } = this.ending;
    await fetchMedia(this.url, this.token(), { signal });
    const hasSource = 'MediaSource' in window || 'ManagedMediaSource' in window;
    if (!hasSource) return this.#native();
    const { default: Hls } = await import('../vendor/hls.js/hls.min.js');
    if (!Hls.isSupported()) return this.#native();
    if (this.hasEnded) return;
    const hls = new Hls({
      // A worker would be made of a blob, which our policy for scripts forbids; fragments of MP4 need none.
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
    let mended = 0;
    hls.on(Hls.Events.ERROR, (_, { fatal, type, details, response }) => {
      if (!fatal) return;
      if (details === 'manifestIncompatibleCodecsError' || /codec/i.test(details)) this.fail('codec', details);
      else if (type === Hls.ErrorTypes.MEDIA_ERROR && mended++ < 2) hls.recoverMediaError();
      else this.fail(response?.code === 404 ? 'nobody' : response?.code === 401 ? 'unauthorised' : 'network', details);
    });
    hls.on(Hls.Events.FRAG_LOADED, (_, { frag, part }) => {
      this.#bytes += (part ?? frag).stats.loaded;
    });
    const picture = this.firstPicture();
    hls.attachMedia(this.element);
    hls.loadSource(this.url);
    await picture;
  }

  async #native() {
    if (!this.element.canPlayType('application/vnd.apple.mpegurl')) throw new PlayerError('unsupported');
    const url = new URL(this.url);
    const token = this.token();
    if (token) url.searchParams.set('token', token);
    this.element.addEventListener('error', () => this.fail('network', this.element.error?.message), {
      signal: this.ending.signal,
    });
    const picture = this.firstPicture();
    this.element.src = url.href;
    await picture;
  }

  close() {
    this.#hls?.destroy();
    this.element.removeAttribute('src');
    this.element.load();
  }

  /** Whether there is something to hear. */
  get hasSound() {
    // Safari does not tell.
    return this.#hls ? Boolean(this.#hls.levels?.[0]?.audioCodec || this.#hls.audioTracks?.length) : true;
  }

  async stats() {
    const { videoWidth: width, videoHeight: height } = this.element;
    const now = performance.now();
    const count = this.element.getVideoPlaybackQuality?.().totalVideoFrames ?? 0;
    const fps = this.#frames.at ? ((count - this.#frames.count) * 1000) / (now - this.#frames.at) : null;
    this.#frames = { count, at: now };
    // Segments come in one piece: an average over the last ones says more than the last second.
    const kbps = this.#bytes ? (this.#bytes * 8) / (now - this.#since) : null;
    if (now - this.#since > 20_000) {
      this.#bytes /= 2;
      this.#since = now - (now - this.#since) / 2;
    }
    const level = this.#hls?.levels?.[Math.max(0, this.#hls.currentLevel)];
    return {
      protocol: this.protocol,
      width,
      height,
      fps,
      kbps,
      latencyMs: this.#hls ? this.#hls.latency * 1000 : null,
      codec: [level?.videoCodec, level?.audioCodec].filter(Boolean).join(' + '),
    };
  }
}
