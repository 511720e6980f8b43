// @ts-check
// WebRTC, to watch: WHEP (draft-ietf-wish-whep) as MediaMTX implements it. The protocol with the lowest latency.

import { Rate, firstFrame } from './player.js';
import { withStereo } from './sdp.js';
import { WebRtcSession, codecsOf, reportOf, roundTrip } from './session.js';

/** @extends {WebRtcSession<HTMLVideoElement>} */
export class WhepPlayer extends WebRtcSession {
  protocol = 'WebRTC';
  #bytes = new Rate();
  #buffered = { delay: 0, count: 0 };

  async open() {
    const stream = new MediaStream();
    const frame = firstFrame(this.element, this.ending.signal);
    await this.negotiate((peer) => {
      peer.addTransceiver('video', { direction: 'recvonly' });
      peer.addTransceiver('audio', { direction: 'recvonly' });
      peer.addEventListener('track', ({ track }) => {
        stream.addTrack(track);
        this.element.srcObject ??= stream;
      });
    }, withStereo);
    await frame;
  }

  async close() {
    const closed = super.close();
    this.element.srcObject = null;
    await closed;
  }

  get hasSound() {
    const stream = this.element.srcObject;
    return stream instanceof MediaStream && stream.getAudioTracks().length > 0;
  }

  /**
   * @returns {Promise<import('./player.js').PlayerStats>}
   */
  async stats() {
    const reports = await this.reports();
    const [video, audio] = [reportOf(reports, 'inbound-rtp', 'video'), reportOf(reports, 'inbound-rtp', 'audio')];
    const { jitterBufferDelay: delay = 0, jitterBufferEmittedCount: count = 0 } = video ?? {};
    const emitted = count - this.#buffered.count;
    const buffer = emitted > 0 ? ((delay - this.#buffered.delay) / emitted) * 1000 : null;
    this.#buffered = { delay, count };
    const trip = roundTrip(reports);
    return {
      protocol: this.protocol,
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
