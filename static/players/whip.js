// @ts-check
// WebRTC, to publish: WHIP (RFC 9725). `new WhipPublisher(mediaStream, url, { token, base })`, and start().

import { Rate } from './player.js';
import { WebRtcSession, codecsOf, reportOf, roundTrip } from './session.js';

/** H.264 first: every reader of MediaMTX plays it, also by HLS and RTSP. For sound, WebRTC has Opus. */
const PREFERRED = 'video/H264';

/** @extends {WebRtcSession<null>} */
export class WhipPublisher extends WebRtcSession {
  protocol = 'WebRTC';
  #bytes = new Rate();

  /**
   * `maxKbps` limits the bit rate of the video.
   *
   * @param {MediaStream} stream
   * @param {string} url
   * @param {import('./player.js').PlayerOptions & { maxKbps?: number }} [options]
   */
  constructor(stream, url, options = {}) {
    super(null, url, options);
    this.stream = stream;
    this.maxKbps = options.maxKbps;
  }

  async open() {
    let connected = () => {};
    const connection = new Promise((done) => {
      connected = () => done(null);
    });
    await this.negotiate((peer) => {
      for (const track of this.stream.getTracks()) this.#add(peer, track);
      peer.addEventListener('connectionstatechange', () => peer.connectionState === 'connected' && connected());
    });
    await connection;
  }

  /**
   * @param {RTCPeerConnection} peer
   * @param {MediaStreamTrack} track
   */
  #add(peer, track) {
    /** @type {RTCRtpTransceiverInit} */
    const init = { direction: 'sendonly', streams: [this.stream] };
    if (track.kind === 'video' && this.maxKbps) init.sendEncodings = [{ maxBitrate: this.maxKbps * 1000 }];
    const transceiver = peer.addTransceiver(track, init);
    if (track.kind === 'video') preferH264(transceiver);
  }

  /**
   * @returns {Promise<import('./player.js').PlayerStats>}
   */
  async stats() {
    const reports = await this.reports();
    const [video, audio] = [reportOf(reports, 'outbound-rtp', 'video'), reportOf(reports, 'outbound-rtp', 'audio')];
    return {
      protocol: this.protocol,
      width: video?.frameWidth,
      height: video?.frameHeight,
      fps: video?.framesPerSecond,
      kbps: this.#bytes.kbps((video?.bytesSent ?? 0) + (audio?.bytesSent ?? 0)),
      latencyMs: roundTrip(reports),
      codec: codecsOf(reports, [video, audio]),
    };
  }
}

/** @param {RTCRtpTransceiver} transceiver */
function preferH264(transceiver) {
  const codecs = RTCRtpSender.getCapabilities?.('video')?.codecs;
  if (!codecs || !transceiver.setCodecPreferences) return;
  const rank = (/** @type {RTCRtpCodec} */ codec) => (codec.mimeType === PREFERRED ? 0 : 1);
  transceiver.setCodecPreferences(codecs.toSorted((a, b) => rank(a) - rank(b)));
}
