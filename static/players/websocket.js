// @ts-check
// Shows a stream's pictures, received by WebSocket, in a <canvas> or an <img>.
//
//   import { WebSocketPlayer } from '/players/websocket.js';
//   const player = new WebSocketPlayer(document.querySelector('canvas'), 'Front/Door', {
//     query: { w: 640, fps: 10 },          // the parameters of pictures in docs/api.md
//     token: async () => accessToken,      // a function, called for each connection, or a text; optional
//   });
//   player.addEventListener('state', ({ detail }) => console.log(detail.state, detail.reason));
//   player.start();                        // and player.stop()
//
// The player acknowledges each picture that it shows, so that a slow network or a slow machine gets fewer pictures and
// not older ones. A hidden page acknowledges nothing and gets nothing. After a disconnection the player connects again
// after 1 s, 2 s, 4 s … 30 s.
//
// Events: `state` { state, reason }, `picture` { seq, width, height, bytes }, `dropped` { frames }, `connected`,
// `disconnected` { code, reason, again } (`again`: milliseconds until the next attempt; not dispatched after stop()).

const PROTOCOL = 'mtx.jpeg';
const WINDOW = 2;
const LONGEST_PAUSE_MS = 30_000;

// This file is below /static/VERSION/players/ for pages of the sidecar, and below /players/ for other pages.
const isVersioned = /\/static\/[^/]+\/players\/[^/]+$/.test(new URL(import.meta.url).pathname);
const ROOT = new URL(isVersioned ? '../../../' : '../', import.meta.url);

/** @param {string} name */
const encoded = (name) => name.split('/').map(encodeURIComponent).join('/');

/** @typedef {string | null | undefined} Token */

/**
 * @typedef {object} WebSocketOptions
 * @property {Record<string, string | number>} [query]
 * @property {Token | (() => Token | Promise<Token>)} [token]
 * @property {string | URL} [base] the address that `ws/…` is below (default: the sidecar that serves this file)
 */

/** @typedef {{ socket: WebSocket, blob: Blob, seq: number }} Picture */

export class WebSocketPlayer extends EventTarget {
  #target;
  #name;
  #options;
  /** @type {WebSocket | null} */
  #socket = null;
  #isStarted = false;
  #failures = 0;
  #timer = 0;
  #seq = 0; // pictures received on this connection
  #acknowledged = 0; // the last picture that was acknowledged
  #isDrawing = false;
  /** @type {Picture | null} */
  #waiting = null; // the newest picture that is not drawn yet
  /** @type {string | null} */
  #url = null; // of the picture in an <img>

  /**
   * @param {HTMLCanvasElement | HTMLImageElement} target
   * @param {string} name
   * @param {WebSocketOptions} [options]
   */
  constructor(target, name, options = {}) {
    super();
    this.#target = target;
    this.#name = name;
    this.#options = options;
  }

  /** Connects, and connects again after each disconnection, until stop(). */
  start() {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#failures = 0;
    document.addEventListener('visibilitychange', this.#whenVisible);
    this.#connect();
  }

  /** Disconnects. The last picture stays. */
  stop() {
    this.#isStarted = false;
    clearTimeout(this.#timer);
    document.removeEventListener('visibilitychange', this.#whenVisible);
    this.#socket?.close(1000);
    this.#socket = null;
  }

  async #connect() {
    const { query = {}, token, base = ROOT } = this.#options;
    const url = new URL(`ws/${encoded(this.#name)}`, base);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    for (const [key, value] of Object.entries({ ...query, window: WINDOW })) url.searchParams.set(key, String(value));
    let bearer;
    try {
      bearer = typeof token === 'function' ? await token() : token;
    } catch {
      return this.#connectLater(1006, 'the token function failed');
    }
    if (!this.#isStarted || this.#socket) return;
    const socket = new WebSocket(url, bearer ? [PROTOCOL, `bearer.${bearer}`] : [PROTOCOL]);
    socket.binaryType = 'blob';
    this.#socket = socket;
    this.#seq = 0;
    this.#acknowledged = 0;
    this.#waiting = null;
    socket.addEventListener('open', () => this.#dispatch('connected'));
    socket.addEventListener('message', ({ data }) => {
      if (socket !== this.#socket) return;
      if (typeof data === 'string') this.#notice(data);
      else this.#receive(socket, data);
    });
    socket.addEventListener('close', ({ code, reason }) => {
      if (socket !== this.#socket) return;
      this.#socket = null;
      this.#connectLater(code, reason);
    });
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #connectLater(code, reason) {
    if (!this.#isStarted) return;
    const pause = Math.min(1000 * 2 ** this.#failures, LONGEST_PAUSE_MS);
    this.#failures += 1;
    // Up to a fifth longer, so that all pages of a video wall do not connect at the same instant.
    const again = pause * (1 + Math.random() / 5);
    this.#dispatch('disconnected', { code, reason, again });
    this.#timer = setTimeout(() => this.#connect(), again);
  }

  /** @param {string} text */
  #notice(text) {
    const { type, ...detail } = JSON.parse(text);
    if (type === 'state' || type === 'dropped') this.#dispatch(type, detail);
  }

  /**
   * @param {WebSocket} socket
   * @param {Blob} blob
   */
  #receive(socket, blob) {
    this.#failures = 0;
    this.#seq += 1;
    this.#waiting = { socket, blob, seq: this.#seq };
    if (!this.#isDrawing) this.#draw();
  }

  /** Draws the newest picture, until all are drawn. */
  async #draw() {
    this.#isDrawing = true;
    while (this.#waiting) {
      const { socket, blob, seq } = this.#waiting;
      this.#waiting = null;
      try {
        const size = await this.#show(blob);
        this.#dispatch('picture', { seq, ...size, bytes: blob.size });
      } catch {
        // The browser cannot decode this picture: the one before it stays, and the next one is requested.
      }
      this.#acknowledge(socket, seq);
    }
    this.#isDrawing = false;
  }

  /** @param {Blob} blob */
  async #show(blob) {
    const target = this.#target;
    if (target instanceof HTMLCanvasElement) {
      const bitmap = await createImageBitmap(blob);
      const { width, height } = bitmap;
      if (target.width !== width || target.height !== height) Object.assign(target, { width, height });
      target.getContext('2d')?.drawImage(bitmap, 0, 0);
      bitmap.close();
      return { width, height };
    }
    const previous = this.#url;
    this.#url = URL.createObjectURL(blob);
    target.src = this.#url;
    try {
      await target.decode();
    } finally {
      if (previous) URL.revokeObjectURL(previous);
    }
    return { width: target.naturalWidth, height: target.naturalHeight };
  }

  /**
   * @param {WebSocket} socket
   * @param {number} seq
   */
  #acknowledge(socket, seq) {
    if (socket !== this.#socket) return;
    this.#acknowledged = seq;
    if (!document.hidden && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ ack: seq }));
  }

  #whenVisible = () => {
    if (this.#socket && this.#acknowledged) this.#acknowledge(this.#socket, this.#acknowledged);
  };

  /**
   * @param {string} type
   * @param {object} [detail]
   */
  #dispatch(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
