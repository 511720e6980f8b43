// @ts-check
// What a WebRTC session with incoming media measures.

import { Rate } from './player.js';
import { codecsOf, reportOf, roundTrip } from './session.js';

export class Inbound {
  #bytes = new Rate();
  #buffered = { delay: 0, count: 0 };

  /**
   * @param {string} protocol
   * @param {any[]} reports
   * @returns {import('./player.js').PlayerStats}
   */
  stats(protocol, reports) {
    const [video, audio] = [reportOf(reports, 'inbound-rtp', 'video'), reportOf(reports, 'inbound-rtp', 'audio')];
    const { jitterBufferDelay: delay = 0, jitterBufferEmittedCount: count = 0 } = video ?? {};
    const emitted = count - this.#buffered.count;
    const buffer = emitted > 0 ? ((delay - this.#buffered.delay) / emitted) * 1000 : null;
    this.#buffered = { delay, count };
    const trip = roundTrip(reports);
    return {
      protocol,
      width: video?.frameWidth,
      height: video?.frameHeight,
      fps: video?.framesPerSecond,
      kbps: this.#bytes.kbps((video?.bytesReceived ?? 0) + (audio?.bytesReceived ?? 0)),
      // The network and the jitter buffer; the delay in the camera and in MediaMTX is not known.
      latencyMs: buffer === null && trip === null ? null : (buffer ?? 0) + (trip ?? 0) / 2,
      codec: codecsOf(reports, audio?.bytesReceived ? [video, audio] : [video]),
      lost: video?.packetsLost,
    };
  }
}
