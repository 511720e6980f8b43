// A WebRTC session with MediaMTX, as reader or publisher: offer, answer, trickled candidates, and its end.

import { Player, fetchMedia } from './player.js';
import { fragment, iceServers, sessionUrl } from './sdp.js';

export class WebRtcSession extends Player {
  #location = null;
  #offer = '';
  #candidates = [];

  /** `base` is what addresses of MediaMTX begin with (`webrtc` of /api/v1/addresses). */
  constructor(element, url, options = {}) {
    super(element, url, options);
    this.base = options.base ?? '';
  }

  /** Negotiates; `prepare(peer)` adds the tracks, `changed(sdp)` may change the offer. */
  async negotiate(prepare, changed = (sdp) => sdp) {
    const { signal } = this.ending;
    const options = await fetchMedia(this.url, this.token(), { method: 'OPTIONS', signal });
    const peer = new RTCPeerConnection({ iceServers: iceServers(options.headers.get('Link')) });
    this.peer = peer;
    peer.addEventListener('icecandidate', ({ candidate }) => candidate?.candidate && this.#trickle(candidate));
    peer.addEventListener('connectionstatechange', () => {
      if (['failed', 'closed'].includes(peer.connectionState)) this.fail('network', `ICE ${peer.iceConnectionState}`);
    });
    prepare(peer);
    const offer = await peer.createOffer();
    offer.sdp = changed(offer.sdp);
    this.#offer = offer.sdp;
    await peer.setLocalDescription(offer);
    const response = await fetchMedia(this.url, this.token(), {
      method: 'POST',
      body: offer.sdp,
      headers: { 'Content-Type': 'application/sdp' },
      signal,
    });
    this.#location = sessionUrl(response.headers.get('Location'), this.url, this.base);
    const sdp = await response.text();
    if (this.hasEnded) return this.#leave();
    await peer.setRemoteDescription({ type: 'answer', sdp });
    this.#send(this.#candidates.splice(0));
  }

  #trickle(candidate) {
    if (this.#location) this.#send([candidate]);
    else this.#candidates.push(candidate);
  }

  #send(candidates) {
    if (!candidates.length || this.hasEnded) return;
    const body = fragment(this.#offer, candidates);
    // Without it the session may still come about, by candidates of the other side.
    fetchMedia(this.#location, null, {
      method: 'PATCH',
      body,
      headers: { 'Content-Type': 'application/trickle-ice-sdpfrag' },
    }).catch(() => {});
  }

  async #leave() {
    const location = this.#location;
    this.#location = null;
    // `keepalive`, so that it is sent when the page is being left, too.
    await fetch(location, { method: 'DELETE', keepalive: true }).catch(() => {});
  }

  async close() {
    // In this order: a connection that closes ends the session, and there would be nothing to delete.
    if (this.#location) await this.#leave();
    this.peer?.close();
  }

  /** The reports of getStats() as a list. */
  async reports() {
    if (!this.peer) return [];
    return [...(await this.peer.getStats()).values()];
  }
}

/** The round trip of the connection in use, in milliseconds. */
export function roundTrip(reports) {
  const pair = reports.find(
    (report) => report.type === 'candidate-pair' && report.nominated && report.state === 'succeeded',
  );
  return pair?.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1000;
}

/** The codec of a stream's report, such as `H264`. */
export const codecOf = (reports, report) => reports.find(({ id }) => id === report?.codecId)?.mimeType?.split('/')[1];
