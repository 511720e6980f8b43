// @ts-check
// WebRTC, to watch: WHEP (draft-ietf-wish-whep) as MediaMTX implements it. The protocol with the lowest latency.

import { Inbound } from './inbound.js';
import { firstFrame } from './player.js';
import { withStereo } from './sdp.js';
import { WebRtcSession } from './session.js';

/** @extends {WebRtcSession<HTMLVideoElement>} */
export class WhepPlayer extends WebRtcSession {
  protocol = 'WebRTC';
  #inbound = new Inbound();

  async open() {
    const stream = new MediaStream();
    const frame = firstFrame(this.element, this.ending.signal);
    await this.negotiate(
      (peer) => {
        if (!this.isSoundOnly) peer.addTransceiver('video', { direction: 'recvonly' });
        peer.addTransceiver('audio', { direction: 'recvonly' });
        peer.addEventListener('track', ({ track }) => {
          stream.addTrack(track);
          this.element.srcObject ??= stream;
        });
      },
      { offer: withStereo },
    );
    await frame;
  }

  /**
   * Goes on in another element, without a new session. What that element has played must have ended.
   *
   * @param {HTMLVideoElement} element
   */
  moveTo(element) {
    element.srcObject = this.element.srcObject;
    this.element.srcObject = null;
    this.element = element;
    element.play().catch(() => {});
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
    return this.#inbound.stats(this.protocol, await this.reports());
  }
}
