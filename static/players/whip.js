// @ts-check
// WebRTC, to publish: WHIP (RFC 9725). `new WhipPublisher(mediaStream, url, { token, base })`, and start().

import { Rate } from './player.js';
import { WebRtcSession, codecsOf, reportOf, roundTrip } from './session.js';

/** H.264 first: every reader of MediaMTX plays it, also by HLS and RTSP. For sound, WebRTC has Opus. */
const PREFERRED = 'video/H264';

/**
 * What a browser sends at first, in kbit/s: its own estimate begins at 300, at which the first frame of a large picture takes
 * seconds or is dropped. The words are of libwebrtc; other browsers ignore them.
 */
const START_KBPS = 2500;

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
    const prepare = (/** @type {RTCPeerConnection} */ peer) => {
      for (const track of this.stream.getTracks()) this.#add(peer, track);
      peer.addEventListener('connectionstatechange', () => peer.connectionState === 'connected' && connected());
    };
    const start = Math.min(START_KBPS, this.maxKbps ?? START_KBPS);
    await this.negotiate(prepare, { answer: (sdp) => withStartRate(sdp, start) });
    for (const sender of this.peer?.getSenders() ?? []) keepResolution(sender);
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

/**
 * An answer that tells the browser with which bit rate to begin.
 *
 * @param {string} sdp
 * @param {number} kbps
 */
function withStartRate(sdp, kbps) {
  const [head, ...media] = sdp.split(/^(?=m=)/m);
  const changed = media.map((part) =>
    part.startsWith('m=video')
      ? part.replace(/^(a=fmtp:\d+ (?!apt=).*?)\r?$/gm, `$1;x-google-start-bitrate=${kbps}\r`)
      : part,
  );
  return [head, ...changed].join('');
}

/**
 * Tells the browser to drop frames and not pixels of what must be sharp.
 *
 * @param {RTCRtpSender} sender
 */
function keepResolution(sender) {
  if (sender.track?.contentHint !== 'detail') return;
  // A member of RTCRtpSendParameters in Chromium; of the W3C's mst-content-hint.
  const parameters = Object.assign(sender.getParameters(), { degradationPreference: 'maintain-resolution' });
  sender.setParameters(parameters).catch(() => {});
}

/** @param {RTCRtpTransceiver} transceiver */
function preferH264(transceiver) {
  const codecs = RTCRtpSender.getCapabilities?.('video')?.codecs;
  if (!codecs || !transceiver.setCodecPreferences) return;
  const rank = (/** @type {RTCRtpCodec} */ codec) => (codec.mimeType === PREFERRED ? 0 : 1);
  transceiver.setCodecPreferences(codecs.toSorted((a, b) => rank(a) - rank(b)));
}
