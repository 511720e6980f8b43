// @ts-check
// MJPEG from the sidecar, into a <canvas>: works in every network. It is read by fetch and not by an <img>: the token
// is then in a header, an error has a reason, and the page can measure.

import { Player, PlayerError, Rate, fetchMedia } from './player.js';

/** How often the server repeats an unchanged picture, so that silence is a sign. */
const REPEAT_MS = 1000;

/** Silence after which the connection counts as lost. */
const SILENT_MS = 15_000;

/** Part heads of the server have some hundred bytes. */
const LONGEST_HEAD = 16_384;

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */
/** @typedef {ReadableStreamDefaultReader<Bytes>} Reader */

/** @extends {Player<HTMLCanvasElement>} */
export class MjpegPlayer extends Player {
  protocol = 'MJPEG';
  /** @type {CanvasRenderingContext2D | null} */
  #context = null;
  /** @type {Bytes | null} */
  #waiting = null; // the newest picture that is not drawn yet
  #isDrawing = false;
  #bytes = 0;
  #frames = 0;
  #pictures = 0; // frames that are no placeholder
  #rates = { bytes: new Rate(), frames: new Rate() };
  /** @type {number | null} */
  #age = null;
  #timer = 0;
  #drawn = () => {};
  #isWaiting = false;
  /** @type {AbortController | null} */
  #connection = null;

  async open() {
    this.#context = this.element.getContext('2d', { alpha: false });
    const { signal } = this.ending;
    signal.addEventListener('abort', () => this.#connection?.abort());
    const reader = await this.#connect();
    await new Promise((done) => {
      this.#drawn = () => done(null);
      this.#read(reader);
    });
    document.addEventListener('visibilitychange', () => this.#turn(), { signal });
    this.#turn();
  }

  async #connect() {
    const connection = new AbortController();
    this.#connection = connection;
    const url = new URL(this.url);
    url.searchParams.set('advance_headers', '0');
    url.searchParams.set('interval', String(REPEAT_MS));
    const { body } = await fetchMedia(url.href, this.token(), { signal: connection.signal });
    if (!body) throw new PlayerError('ended');
    return body.getReader();
  }

  /** A hidden page releases its connection: a browser has six to a server by HTTP/1.1, for all tabs together. */
  async #turn() {
    if (document.hidden) {
      clearTimeout(this.#timer);
      this.#connection?.abort();
      this.#connection = null;
    } else if (!this.#connection) {
      try {
        this.#read(await this.#connect());
      } catch (error) {
        if (error instanceof PlayerError) this.fail(error.reason, error.message);
      }
    }
  }

  /** @param {Reader} reader */
  async #read(reader) {
    const connection = this.#connection;
    const parts = new Parts(reader);
    try {
      for (;;) {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.fail('network', 'silence'), SILENT_MS);
        const head = await parts.head();
        if (head === null) break;
        const body = await parts.body(Number(head.get('content-length')));
        this.#bytes += body.length;
        this.#frames += 1;
        const taken = Number(head.get('x-timestamp'));
        this.#age = taken ? Date.now() - taken * 1000 : null;
        const isPlaceholder = head.has('x-mtx-placeholder');
        if (!isPlaceholder) this.#pictures += 1;
        this.#isWaiting = isPlaceholder;
        if (this.state !== 'connecting') this.become(isPlaceholder ? 'waiting' : 'playing');
        this.#waiting = body;
        this.#draw();
      }
      if (connection === this.#connection) this.fail('ended');
    } catch (error) {
      if (connection === this.#connection) this.fail('network', /** @type {Error} */ (error).message);
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  /** Draws the newest picture. Pictures that arrive while another one is decoded are skipped. */
  async #draw() {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    try {
      while (this.#waiting && !this.hasEnded) {
        const body = this.#waiting;
        this.#waiting = null;
        const picture = await createImageBitmap(new Blob([body], { type: 'image/jpeg' }));
        const { width, height } = picture;
        const canvas = this.element;
        if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
        this.#context?.drawImage(picture, 0, 0);
        picture.close();
        this.#drawn();
      }
    } catch {
      // This picture is damaged; the next one can be intact.
    } finally {
      this.#isDrawing = false;
    }
  }

  close() {
    clearTimeout(this.#timer);
  }

  get isWaiting() {
    return this.#isWaiting;
  }

  progress() {
    return this.#pictures;
  }

  /**
   * @returns {Promise<import('./player.js').PlayerStats>}
   */
  async stats() {
    const { width, height } = this.element;
    const fps = this.#rates.frames.take(this.#frames);
    const kbps = this.#rates.bytes.kbps(this.#bytes);
    // The age is right as far as both clocks agree.
    return { protocol: this.protocol, width, height, fps, kbps, ageMs: this.#age, codec: 'JPEG' };
  }
}

/** multipart/x-mixed-replace with a Content-Length in each part, as our server sends it. */
class Parts {
  /** @type {Bytes} */
  #data = new Uint8Array(0);
  #reader;

  /** @param {Reader} reader */
  constructor(reader) {
    this.#reader = reader;
  }

  async #more() {
    const { value, done } = await this.#reader.read();
    if (done) return false;
    const joined = new Uint8Array(this.#data.length + value.length);
    joined.set(this.#data);
    joined.set(value, this.#data.length);
    this.#data = joined;
    return true;
  }

  /** The headers of the next part, with lower-case names; null at the end. */
  async head() {
    let searched = 0;
    let end;
    while ((end = endOfHead(this.#data, searched)) < 0) {
      if (this.#data.length > LONGEST_HEAD) throw new Error('a part head has no end');
      searched = Math.max(0, this.#data.length - 3);
      if (!(await this.#more())) return null;
    }
    const lines = new TextDecoder().decode(this.#data.subarray(0, end)).split('\r\n');
    this.#data = this.#data.subarray(end + 4);
    const headers = new Map();
    for (const line of lines) {
      const colon = line.indexOf(':');
      if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    return headers;
  }

  /** @param {number} length */
  async body(length) {
    if (!(length > 0)) throw new Error('a part has no length');
    if (this.#data.length >= length) {
      const body = this.#data.slice(0, length);
      this.#data = this.#data.subarray(length);
      return body;
    }
    // One buffer of the right size, so that chunks are copied once.
    const body = new Uint8Array(length);
    body.set(this.#data);
    let filled = this.#data.length;
    this.#data = new Uint8Array(0);
    while (filled < length) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error('a part is incomplete');
      const chunk = value.subarray(0, length - filled);
      body.set(chunk, filled);
      filled += chunk.length;
      this.#data = value.subarray(chunk.length);
    }
    return body;
  }
}

/**
 * @param {Uint8Array} data
 * @param {number} from
 */
function endOfHead(data, from) {
  for (let i = from; i + 3 < data.length; i++) {
    if (data[i] === 13 && data[i + 1] === 10 && data[i + 2] === 13 && data[i + 3] === 10) return i;
  }
  return -1;
}
