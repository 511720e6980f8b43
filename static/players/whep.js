// WebRTC, to watch: WHEP (draft-ietf-wish-whep) as MediaMTX has it. The quickest: some tenths of a second behind.

import { Rate } from './player.js';
import { withStereo } from './sdp.js';
import { WebRtcSession, codecOf, roundTrip } from './session.js';

export class WhepPlayer extends WebRtcSession {
  protocol = 'WebRTC';
  #bytes = new Rate();
  #waited = { delay: 0, count: 0 };

  async open() {
    const stream = new MediaStream();
    const picture = this.firstPicture();
    await this.negotiate((peer) => {
      peer.addTransceiver('video', { direction: 'recvonly' });
      peer.addTransceiver('audio', { direction: 'recvonly' });
      peer.addEventListener('track', ({ track }) => {
        stream.addTrack(track);
        this.element.srcObject ??= stream;
      });
    }, withStereo);
    await picture;
  }

  close() {
    super.close();
    this.element.srcObject = null;
  }

  /** Whether there is something to hear. */
  get hasSound() {
    return (this.element.srcObject?.getAudioTracks().length ?? 0) > 0;
  }

  async stats() {
    const reports = await this.reports();
    const video = reports.find((report) => report.type === 'inbound-rtp' && report.kind === 'video');
    const audio = reports.find((report) => report.type === 'inbound-rtp' && report.kind === 'audio');
    const rate = this.#bytes.take((video?.bytesReceived ?? 0) + (audio?.bytesReceived ?? 0));
    const { jitterBufferDelay: delay = 0, jitterBufferEmittedCount: count = 0 } = video ?? {};
    const held =
      count > this.#waited.count ? ((delay - this.#waited.delay) / (count - this.#waited.count)) * 1000 : null;
    this.#waited = { delay, count };
    const trip = roundTrip(reports);
    return {
      protocol: this.protocol,
      width: video?.frameWidth,
      height: video?.frameHeight,
      fps: video?.framesPerSecond,
      kbps: rate === null ? null : (rate * 8) / 1000,
      // On the way and in the buffer; what the camera and MediaMTX take comes on top.
      latencyMs: held === null && trip === null ? null : (held ?? 0) + (trip ?? 0) / 2,
      codec: [codecOf(reports, video), audio?.bytesReceived ? codecOf(reports, audio) : null]
        .filter(Boolean)
        .join(' + '),
      lost: video?.packetsLost,
    };
  }
}
