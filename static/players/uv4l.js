// @ts-check
// WebRTC, to watch a UV4L camera without MediaMTX: the camera offers, over the sidecar's /uv4l/NAME. The media come from the
// camera directly.

import { Inbound } from './inbound.js';
import { Player, firstFrame } from './player.js';

/** The sub-protocol, beside that of the token. */
const PROTOCOL = 'mtx.uv4l';

/** The code with which the sidecar closes when all calls of the camera are taken, and when a permission is lost. */
const AGAIN = 1013;
const POLICY = 1008;

/** @extends {Player<HTMLVideoElement>} */
export class Uv4lPlayer extends Player {
  protocol = 'WebRTC';
  /** @type {RTCPeerConnection | null} */
  #peer = null;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {RTCIceCandidateInit[]} */
  #early = [];
  #told = '';
  #inbound = new Inbound();

  /**
   * `options.iceServers` are those of /api/v1/wall.
   *
   * @param {HTMLVideoElement} element
   * @param {string} url the address of the signalling, http: or https:
   * @param {import('./player.js').PlayerOptions} [options]
   */
  constructor(element, url, options = {}) {
    super(element, url, options);
    this.iceServers = options.iceServers ?? [];
  }

  async open() {
    const stream = new MediaStream();
    const frame = firstFrame(this.element, this.ending.signal);
    const peer = new RTCPeerConnection({ iceServers: this.iceServers });
    this.#peer = peer;
    peer.addEventListener('track', ({ track }) => {
      stream.addTrack(track);
      this.element.srcObject ??= stream;
    });
    peer.addEventListener('icecandidate', ({ candidate }) => {
      if (!candidate?.candidate) return;
      const { sdpMid, sdpMLineIndex } = candidate;
      this.#send('addIceCandidate', { sdpMid, sdpMLineIndex, candidate: candidate.candidate });
    });
    peer.addEventListener('connectionstatechange', () => {
      if (peer.connectionState === 'failed') this.fail('network', `ICE ${peer.iceConnectionState}`);
    });
    const url = new URL(this.url);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.searchParams.set('data', 'plain');
    const token = this.token();
    const socket = new WebSocket(url, token ? [PROTOCOL, `bearer.${token}`] : [PROTOCOL]);
    this.#socket = socket;
    socket.addEventListener('open', () => {
      const options = { force_hw_vcodec: true, vformat: 60, trickle_ice: true };
      socket.send(JSON.stringify({ what: 'call', options }));
    });
    // One after the other: a candidate must not overtake the offer.
    let before = Promise.resolve();
    socket.addEventListener('message', ({ data }) => {
      before = before.then(() => this.#take(JSON.parse(data))).catch((error) => this.fail('server', error.message));
    });
    socket.addEventListener('close', ({ code, reason }) => this.#closed(code, reason));
    await frame;
  }

  /** @param {{ what: string, data?: any }} message */
  async #take({ what, data }) {
    const peer = this.#peer;
    if (!peer || this.hasEnded) return;
    if (what === 'offer') {
      await peer.setRemoteDescription(data);
      await peer.setLocalDescription(await peer.createAnswer());
      this.#send('answer', peer.localDescription);
      await this.#add(this.#early.splice(0));
    } else if (what === 'iceCandidate' && data) {
      await this.#add([data]);
    } else if (what === 'iceCandidates') {
      await this.#add(data ?? []);
    } else if (what === 'message') {
      this.#told = String(data);
    }
  }

  /** @param {RTCIceCandidateInit[]} candidates */
  async #add(candidates) {
    const peer = this.#peer;
    if (!peer?.remoteDescription) {
      this.#early.push(...candidates);
      return;
    }
    // A candidate of a section that was rejected is refused, and not needed.
    for (const candidate of candidates) await peer.addIceCandidate(candidate).catch(() => {});
  }

  /**
   * @param {string} what
   * @param {any} [data]
   */
  #send(what, data) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ what, data }));
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #closed(code, reason) {
    const message = this.#told || reason;
    if (this.hasEnded) return;
    if (code === AGAIN || message) this.fail(code === POLICY && !this.#told ? 'unauthorised' : 'server', message);
    else this.fail(this.#socket && this.state === 'connecting' ? 'unreachable' : 'ended', `WebSocket ${code}`);
  }

  close() {
    this.#send('hangup');
    this.#socket?.close(1000);
    this.#peer?.close();
    this.element.srcObject = null;
  }

  get hasSound() {
    const stream = this.element.srcObject;
    return stream instanceof MediaStream && stream.getAudioTracks().length > 0;
  }

  /**
   * @returns {Promise<import('./player.js').PlayerStats>}
   */
  async stats() {
    const reports = this.#peer ? [...(await this.#peer.getStats()).values()] : [];
    return this.#inbound.stats(this.protocol, reports);
  }
}
