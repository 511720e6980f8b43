// @ts-check
// A WebRTC session with MediaMTX, as reader or publisher: offer, answer, trickled candidates, and its end.

import { Player, PlayerError, fetchMedia } from './player.js';
import { fragment, iceServers, sessionUrl } from './sdp.js';

/** How often arriving media are looked at, and after which silence the server is asked for the session. */
const WATCH_MS = 500;
const SILENT_MS = 2500;

/** The limit for the server's answer to that. */
const CHECK_MS = 2000;

/**
 * @template {HTMLVideoElement | null} E
 * @extends {Player<E>}
 */
export class WebRtcSession extends Player {
  /** @type {RTCPeerConnection | null} */
  peer = null;
  /** @type {string | null} */
  #location = null;
  #offer = '';
  /** @type {RTCIceCandidate[]} */
  #candidates = [];

  /**
   * `options.base` is the prefix of MediaMTX's addresses (`webrtc` of /api/v1/addresses).
   *
   * @param {E} element
   * @param {string} url
   * @param {import('./player.js').PlayerOptions} [options]
   */
  constructor(element, url, options = {}) {
    super(element, url, options);
    this.base = options.base ?? '';
  }

  /**
   * Negotiates. `prepare` adds the tracks, `offer` and `answer` change these descriptions.
   *
   * @param {(peer: RTCPeerConnection) => void} prepare
   * @param {{ offer?: (sdp: string) => string, answer?: (sdp: string) => string }} [changes]
   */
  async negotiate(prepare, { offer = (sdp) => sdp, answer = (sdp) => sdp } = {}) {
    const { signal } = this.ending;
    const options = await fetchMedia(this.url, this.token(), { method: 'OPTIONS', signal });
    const peer = new RTCPeerConnection({ iceServers: iceServers(options.headers.get('Link')) });
    this.peer = peer;
    peer.addEventListener('icecandidate', ({ candidate }) => candidate?.candidate && this.#trickle(candidate));
    peer.addEventListener('connectionstatechange', () => {
      const { connectionState } = peer;
      if (['failed', 'closed'].includes(connectionState)) this.fail('network', `ICE ${peer.iceConnectionState}`);
      else if (connectionState === 'disconnected') this.check();
    });
    prepare(peer);
    this.#offer = offer((await peer.createOffer()).sdp ?? '');
    await peer.setLocalDescription({ type: 'offer', sdp: this.#offer });
    const headers = { 'Content-Type': 'application/sdp' };
    const response = await fetchMedia(this.url, this.token(), { method: 'POST', body: this.#offer, headers, signal });
    const location = response.headers.get('Location');
    if (!location) throw new PlayerError('server', 'the answer has no Location header');
    this.#location = sessionUrl(location, this.url, this.base);
    const sdp = await response.text();
    if (this.hasEnded) return this.#leave();
    await peer.setRemoteDescription({ type: 'answer', sdp: answer(sdp) });
    this.#send(this.#candidates.splice(0));
    this.#watch();
  }

  /**
   * Watches the media that arrive. A server that was restarted knows nothing of this session, and the browser notices
   * that after some fifteen seconds only.
   */
  #watch() {
    let [packets, since] = [0, performance.now()];
    const timer = setInterval(async () => {
      // What is sent is confirmed by the server's reports.
      const signs = (await this.reports()).filter(
        ({ type }) => type === 'inbound-rtp' || type === 'remote-inbound-rtp',
      );
      const count = signs.reduce((sum, { packetsReceived, timestamp }) => sum + (packetsReceived ?? timestamp), 0);
      const now = performance.now();
      if (count !== packets || !signs.length) [packets, since] = [count, now];
      if (now - since < SILENT_MS) return;
      since = now;
      this.check();
    }, WATCH_MS);
    this.ending.signal.addEventListener('abort', () => clearInterval(timer));
  }

  /** Ends the player if the server does not know the session. A session without media can be right: a slow stream. */
  async check() {
    const location = this.#location;
    if (!location || this.hasEnded) return;
    const headers = { 'Content-Type': 'application/trickle-ice-sdpfrag' };
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), CHECK_MS);
    const request = { method: 'PATCH', body: fragment(this.#offer, []), headers, signal: limit.signal };
    try {
      await fetchMedia(location, null, request);
    } catch (error) {
      const isGone = error instanceof PlayerError && ['no_publisher', 'unreachable'].includes(error.reason);
      if (isGone) this.fail('network', error.message);
    } finally {
      clearTimeout(timer);
    }
  }

  /** @param {RTCIceCandidate} candidate */
  #trickle(candidate) {
    if (this.#location) this.#send([candidate]);
    else this.#candidates.push(candidate);
  }

  /** @param {RTCIceCandidate[]} candidates */
  #send(candidates) {
    if (!this.#location || !candidates.length || this.hasEnded) return;
    const body = fragment(this.#offer, candidates);
    const headers = { 'Content-Type': 'application/trickle-ice-sdpfrag' };
    // Without these, the candidates of the other side can still connect.
    fetchMedia(this.#location, null, { method: 'PATCH', body, headers }).catch(() => {});
  }

  async #leave() {
    const location = this.#location;
    this.#location = null;
    // With `keepalive` the request is sent although the user leaves the page.
    if (location) await fetch(location, { method: 'DELETE', keepalive: true }).catch(() => {});
  }

  async close() {
    // In this order: closing the connection ends the session, and MediaMTX would answer the DELETE with 404.
    await this.#leave();
    this.peer?.close();
  }

  /**
   * The reports of getStats() as a list.
   *
   * @returns {Promise<any[]>}
   */
  async reports() {
    return this.peer ? [...(await this.peer.getStats()).values()] : [];
  }
}

/**
 * The round trip time of the connection in use, in milliseconds.
 *
 * @param {any[]} reports
 * @returns {number | null}
 */
export function roundTrip(reports) {
  const pair = reports.find(
    ({ type, nominated, state }) => type === 'candidate-pair' && nominated && state === 'succeeded',
  );
  return pair?.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1000;
}

/**
 * The report of this type about 'video' or 'audio'.
 *
 * @param {any[]} reports
 * @param {'inbound-rtp' | 'outbound-rtp'} type
 * @param {'video' | 'audio'} kind
 */
export const reportOf = (reports, type, kind) => reports.find((one) => one.type === type && one.kind === kind);

/**
 * The codecs of these reports, such as `H264 + opus`.
 *
 * @param {any[]} reports
 * @param {any[]} streams
 */
export function codecsOf(reports, streams) {
  const codecs = streams.map((stream) => reports.find(({ id }) => id === stream?.codecId)?.mimeType?.split('/')[1]);
  return codecs.filter(Boolean).join(' + ');
}
