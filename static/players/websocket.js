// Shows a stream's pictures, received by WebSocket, in a <canvas> or an <img>.
//
//   import { WebSocketPlayer } from '/players/websocket.js';
//   const player = new WebSocketPlayer(document.querySelector('canvas'), 'Front/Door', {
//     query: { w: 640, fps: 10 },          // what docs/api.md has for pictures
//     token: async () => accessToken,      // asked for at each connection; or a string; or nothing
//   });
//   player.addEventListener('state', ({ detail }) => console.log(detail.state, detail.reason));
//   player.start();                        // and player.stop()
//
// A picture is acknowledged when it is shown, so that a slow network or a slow machine gets fewer pictures and not older ones. A page
// that nobody sees acknowledges nothing, and is sent nothing. A connection that ends is made again, after 1 s, 2 s, 4 s … 30 s.
//
// Events: `state` { state, reason }, `picture` { seq, width, height, bytes }, `dropped` { frames }, `connected`,
// `disconnected` { code, reason, again } (milliseconds until the next attempt; none after stop()).

const PROTOCOL = 'mtx.jpeg';
const WINDOW = 2;
const LONGEST_PAUSE_MS = 30_000;

// Below /static/VERSION/players/ for pages of the sidecar itself, /players/ for others'.
const ROOT = new URL(
  /\/static\/[^/]+\/players\/[^/]+$/.test(new URL(import.meta.url).pathname) ? '../../../' : '../',
  import.meta.url,
);

const encoded = (name) => name.split('/').map(encodeURIComponent).join('/');

export class WebSocketPlayer extends EventTarget {
  #target;
  #name;
  #options;
  #socket = null;
  #wanted = false;
  #failures = 0;
  #timer;
  #seq = 0; // pictures received on this connection
  #shown = 0; // the last one acknowledged
  #drawing = null; // the picture being decoded
  #waiting = null; // the newest one behind it
  #url = null; // of the picture an <img> shows

  /** `target`: a canvas or an img. `options`: query, token, and base, the address that `ws/…` is below (default: the page's root). */
  constructor(target, name, options = {}) {
    super();
    this.#target = target;
    this.#name = name;
    this.#options = options;
  }

  /** Connects, and again whenever the connection ends, until stop(). */
  start() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#failures = 0;
    document.addEventListener('visibilitychange', this.#whenVisible);
    this.#connect();
  }

  /** Disconnects. The last picture stays. */
  stop() {
    this.#wanted = false;
    clearTimeout(this.#timer);
    document.removeEventListener('visibilitychange', this.#whenVisible);
    this.#socket?.close(1000);
    this.#socket = null;
  }

  async #connect() {
    const { query = {}, token, base = ROOT } = this.#options;
    const url = new URL(`ws/${encoded(this.#name)}`, base);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.search = new URLSearchParams({ ...query, window: WINDOW });
    let shown;
    try {
      shown = typeof token === 'function' ? await token() : token;
    } catch {
      this.#again(1006, 'there is no token');
      return;
    }
    if (!this.#wanted || this.#socket) return;
    const socket = new WebSocket(url, shown ? [PROTOCOL, `bearer.${shown}`] : [PROTOCOL]);
    socket.binaryType = 'blob';
    this.#socket = socket;
    this.#seq = 0;
    this.#shown = 0;
    this.#waiting = null;
    socket.addEventListener('open', () => this.#tell('connected'));
    socket.addEventListener('message', ({ data }) => {
      if (socket !== this.#socket) return;
      if (typeof data === 'string') this.#notice(data);
      else this.#receive(socket, data);
    });
    socket.addEventListener('close', ({ code, reason }) => {
      if (socket !== this.#socket) return;
      this.#socket = null;
      this.#again(code, reason);
    });
  }

  #again(code, reason) {
    if (!this.#wanted) return;
    const pause = Math.min(1000 * 2 ** this.#failures, LONGEST_PAUSE_MS);
    this.#failures += 1;
    // Up to a fifth more, so that all pages of a wall do not come in the same instant.
    const again = pause * (1 + Math.random() / 5);
    this.#tell('disconnected', { code, reason, again });
    this.#timer = setTimeout(() => this.#connect(), again);
  }

  #notice(text) {
    const { type, ...detail } = JSON.parse(text);
    if (type === 'state' || type === 'dropped') this.#tell(type, detail);
  }

  #receive(socket, blob) {
    this.#failures = 0;
    this.#seq += 1;
    this.#waiting = { socket, blob, seq: this.#seq };
    if (!this.#drawing) this.#draw();
  }

  /** Draws the newest picture there is, until there is none that was not drawn. */
  async #draw() {
    while (this.#waiting) {
      this.#drawing = this.#waiting;
      this.#waiting = null;
      const { socket, blob, seq } = this.#drawing;
      try {
        const size = await this.#show(blob);
        this.#tell('picture', { seq, ...size, bytes: blob.size });
      } catch {
        // One that cannot be decoded: the one before it stays, and the next one is asked for.
      }
      this.#acknowledge(socket, seq);
    }
    this.#drawing = null;
  }

  async #show(blob) {
    const target = this.#target;
    if (target instanceof HTMLCanvasElement) {
      const bitmap = await createImageBitmap(blob);
      const { width, height } = bitmap;
      if (target.width !== width || target.height !== height) Object.assign(target, { width, height });
      target.getContext('2d').drawImage(bitmap, 0, 0);
      bitmap.close();
      return { width, height };
    }
    const before = this.#url;
    this.#url = URL.createObjectURL(blob);
    target.src = this.#url;
    try {
      await target.decode();
    } finally {
      if (before) URL.revokeObjectURL(before);
    }
    return { width: target.naturalWidth, height: target.naturalHeight };
  }

  #acknowledge(socket, seq) {
    if (socket !== this.#socket) return;
    this.#shown = seq;
    if (!document.hidden && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ ack: seq }));
  }

  #whenVisible = () => {
    if (this.#socket && this.#shown) this.#acknowledge(this.#socket, this.#shown);
  };

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
