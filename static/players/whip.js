// WebRTC, to publish: WHIP (RFC 9725). `new WhipPublisher(mediaStream, url, { token, base })`, and start().

import { Rate } from './player.js';
import { WebRtcSession, codecOf, roundTrip } from './session.js';

/** H.264 first: every reader of MediaMTX plays it, in HLS and RTSP, too. Opus is what WebRTC has for sound. */
const FIRST = 'video/H264';

export class WhipPublisher extends WebRtcSession {
  protocol = 'WebRTC';
  #bytes = new Rate();

  /** `maxKbps` bounds the video. */
  constructor(stream, url, options = {}) {
    super(null, url, options);
    this.stream = stream;
    this.maxKbps = options.maxKbps;
  }

  async open() {
    const connected = new Promise((done) => {
      this.connected = done;
    });
    await this.negotiate((peer) => {
      for (const track of this.stream.getTracks()) {
        const init = { direction: 'sendonly', streams: [this.stream] };
        if (track.kind === 'video' && this.maxKbps) init.sendEncodings = [{ maxBitrate: this.maxKbps * 1000 }];
        const transceiver = peer.addTransceiver(track, init);
        if (track.kind === 'video') prefer(transceiver);
      }
      peer.addEventListener('connectionstatechange', () => peer.connectionState === 'connected' && this.connected());
    });
    await connected;
  }

  /** Puts another track of the same kind in its place; readers see no interruption. */
  async replaceTrack(track) {
    const sender = this.peer?.getSenders().find((known) => known.track?.kind === track.kind);
    await sender?.replaceTrack(track);
  }

  async stats() {
    const reports = await this.reports();
    const of = (kind) => reports.find((report) => report.type === 'outbound-rtp' && report.kind === kind);
    const [video, audio] = [of('video'), of('audio')];
    const rate = this.#bytes.take((video?.bytesSent ?? 0) + (audio?.bytesSent ?? 0));
    return {
      protocol: this.protocol,
      width: video?.frameWidth,
      height: video?.frameHeight,
      fps: video?.framesPerSecond,
      kbps: rate === null ? null : (rate * 8) / 1000,
      latencyMs: roundTrip(reports),
      codec: [codecOf(reports, video), codecOf(reports, audio)].filter(Boolean).join(' + '),
    };
  }
}

function prefer(transceiver) {
  const codecs = RTCRtpSender.getCapabilities?.('video')?.codecs;
  if (!codecs || !transceiver.setCodecPreferences) return;
  const rank = (codec) => (codec.mimeType === FIRST ? 0 : 1);
  transceiver.setCodecPreferences(codecs.toSorted((a, b) => rank(a) - rank(b)));
}
