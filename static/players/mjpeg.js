// MJPEG from the sidecar itself, into a <canvas>: works wherever pages do. Read by fetch and not by <img>, because that way the
// token is in a header, what goes wrong has a reason, and there is something to measure.

import { Player, Rate, fetchMedia } from './player.js';

/** Our server repeats an unchanged picture every five seconds, if nothing else is set. */
const SILENT_MS = 30_000;

export class MjpegPlayer extends Player {
  protocol = 'MJPEG';
  #context = null;
  #waiting = null;
  #isDrawing = false;
  #bytes = 0;
  #frames = 0;
  #rates = { bytes: new Rate(), frames: new Rate() };
  #age = null;
  #timer;

  async open() {
    const url = new URL(this.url);
    url.searchParams.set('advance_headers', '0');
    const response = await fetchMedia(url.href, this.token(), { signal: this.ending.signal });
    this.#context = this.element.getContext('2d', { alpha: false });
    await new Promise((done) => {
      this.#drawn = done;
      this.#read(response.body.getReader());
    });
  }

  #drawn = () => {};

  async #read(reader) {
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
        if (this.state !== 'connecting') this.become(head.has('x-mtx-placeholder') ? 'waiting' : 'playing');
        this.#waiting = body;
        this.#draw();
      }
      this.fail('ended');
    } catch (error) {
      if (!this.hasEnded) this.fail('network', error.message);
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  /** Draws the latest; what came while another was being decoded is left out. */
  async #draw() {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    try {
      while (this.#waiting && !this.hasEnded) {
        const body = this.#waiting;
        this.#waiting = null;
        const picture = await createImageBitmap(new Blob([body], { type: 'image/jpeg' }));
        const canvas = this.element;
        if (canvas.width !== picture.width || canvas.height !== picture.height) {
          Object.assign(canvas, { width: picture.width, height: picture.height });
        }
        this.#context.drawImage(picture, 0, 0);
        picture.close();
        this.#drawn();
      }
    } catch {
      // A damaged picture; the next one may be whole.
    } finally {
      this.#isDrawing = false;
    }
  }

  close() {
    clearTimeout(this.#timer);
  }

  async stats() {
    const rate = this.#rates.bytes.take(this.#bytes);
    return {
      protocol: this.protocol,
      width: this.element.width,
      height: this.element.height,
      fps: this.#rates.frames.take(this.#frames),
      kbps: rate === null ? null : (rate * 8) / 1000,
      // Since it was taken, as far as both clocks agree.
      ageMs: this.#age,
      codec: 'JPEG',
    };
  }
}

/** multipart/x-mixed-replace with a Content-Length for each part, as our server sends it. */
class Parts {
  #data = new Uint8Array(0);

  constructor(reader) {
    this.reader = reader;
  }

  async #more() {
    const { value, done } = await this.reader.read();
    if (done) return false;
    const joined = new Uint8Array(this.#data.length + value.length);
    joined.set(this.#data);
    joined.set(value, this.#data.length);
    this.#data = joined;
    return true;
  }

  /** The headers of the next part, with small letters; null at the end. */
  async head() {
    let looked = 0;
    let end;
    while ((end = endOfHead(this.#data, looked)) < 0) {
      if (this.#data.length > 16_384) throw new Error('a head without an end');
      looked = Math.max(0, this.#data.length - 3);
      if (!(await this.#more())) return null;
    }
    const lines = new TextDecoder().decode(this.#data.subarray(0, end)).split('\r\n');
    this.#data = this.#data.subarray(end + 4);
    return new Map(
      lines
        .filter((line) => line.includes(':'))
        .map((line) => {
          const colon = line.indexOf(':');
          return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
        }),
    );
  }

  async body(length) {
    if (!(length > 0)) throw new Error('a part without its length');
    if (this.#data.length < length) {
      // One buffer of the right size, instead of joining again with every piece.
      const body = new Uint8Array(length);
      body.set(this.#data);
      let filled = this.#data.length;
      this.#data = new Uint8Array(0);
      while (filled < length) {
        const { value, done } = await this.reader.read();
        if (done) throw new Error('a part that breaks off');
        const taken = value.subarray(0, length - filled);
        body.set(taken, filled);
        filled += taken.length;
        this.#data = value.subarray(taken.length);
      }
      return body;
    }
    const body = this.#data.slice(0, length);
    this.#data = this.#data.subarray(length);
    return body;
  }
}

function endOfHead(data, from) {
  for (let i = from; i + 3 < data.length; i++) {
    if (data[i] === 13 && data[i + 1] === 10 && data[i + 2] === 13 && data[i + 3] === 10) return i;
  }
  return -1;
}
