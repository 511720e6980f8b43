// @ts-check
// The events of the server. A browser has six connections to a server by HTTP/1.1, for all tabs together, and the stream of
// events never ends: so a page holds one only while it is visible, and one page at a time holds it for all visible pages
// of the same user.

import { ApiError, refusal, request, session, user } from './api.js';

/** The page that holds the stream says so this often, and is missed after three times as long. */
const SIGN_MS = 1000;
const MISSED_MS = 3 * SIGN_MS;

/** How long a new page waits for the sign of another one before it opens the stream itself. */
const ASK_MS = 300;

/**
 * The server sends something at least this often, and a silent connection is a lost one: a cable that is pulled out is told by
 * nothing else.
 */
const KEEPALIVE_S = 2;
const SILENT_MS = 4500;

/** Longest pause between two attempts: a page shows changes again soon after a restart of the server. */
const LONGEST_PAUSE_S = 4;

/**
 * @typedef {object} Listener
 * @property {readonly Api.EventKind[]} kinds
 * @property {(event: Api.Event) => void} onEvent
 * @property {() => void} [onGap]
 * @property {(isConnected: boolean, isRefused: boolean) => void} [onConnection]
 */

/**
 * What pages tell each other. `sign`: the sender holds the stream and has read up to the event `last`. `ask`: the sender
 * looks for the page that does. `gone`: the sender holds it no longer. `event`: an event, as it was received.
 *
 * @typedef {{ type: 'sign' | 'ask' | 'gone' | 'event', from: string, last: string, isConnected?: boolean | null,
 *   isRefused?: boolean, event?: string, data?: string }} Message
 */

/** @type {Set<Listener>} */
const listeners = new Set();

/**
 * Listens to events of these kinds (all kinds for an empty list), until the returned function is called. After an
 * interruption, and after a time in which the page was hidden, the events continue after the last one. `since` is the id of
 * an event: those after it come first, on a connection of this listener's own. `seen` is the id of the latest event that the
 * listener's list contains: if the shared connection does not begin there, there is a gap. `onGap` is called when events
 * since then were missed, `onConnection` when the stream is connected or disconnected, and whether a server that answers has
 * refused it.
 *
 * @param {readonly Api.EventKind[]} kinds
 * @param {(event: Api.Event) => void} onEvent
 * @param {{ since?: number, seen?: number, onGap?: () => void, onConnection?: Listener['onConnection'] }} [options]
 */
export function listen(kinds, onEvent, { since, seen, onGap, onConnection } = {}) {
  const listener = { kinds, onEvent, onGap, onConnection };
  if (since !== undefined) return listenAlone(listener, String(since));
  listeners.add(listener);
  share.start(listener, seen === undefined ? '' : String(seen));
  return () => {
    listeners.delete(listener);
    if (!listeners.size) share.stop();
  };
}

/**
 * A stream for one listener, which needs events from before it began. It is released while the page is hidden.
 *
 * @param {Listener} listener
 * @param {string} since
 */
function listenAlone(listener, since) {
  const ending = new AbortController();
  let last = since;
  /** @type {Stream | null} */
  let stream = null;
  const turn = () => {
    if (document.hidden) {
      stream?.stop();
      stream = null;
    } else {
      stream ??= new Stream({
        kinds: listener.kinds,
        last,
        onEvent: (event, data, id) => {
          last = id || last;
          tell(listener, event, data);
        },
        onConnection: (isConnected, isRefused) => listener.onConnection?.(isConnected, isRefused),
      });
    }
  };
  document.addEventListener('visibilitychange', turn, { signal: ending.signal });
  turn();
  return () => {
    ending.abort();
    stream?.stop();
  };
}

/**
 * @param {Listener} listener
 * @param {string} event
 * @param {string} data
 */
function tell(listener, event, data) {
  if (event === 'gap') return listener.onGap?.();
  const { kinds, onEvent } = listener;
  if (!kinds.length || kinds.includes(/** @type {Api.EventKind} */ (event))) onEvent(JSON.parse(data));
}

/** One connection, and its attempts. */
class Stream {
  #ending = new AbortController();
  #options;

  /**
   * @param {{ kinds: readonly Api.EventKind[], last: string, onEvent: (event: string, data: string, id: string) => void,
   *   onConnection: (isConnected: boolean, isRefused: boolean) => void }} options
   */
  constructor(options) {
    this.#options = options;
    this.#run(options.last);
  }

  /** @param {string} last */
  async #run(last) {
    const { kinds, onEvent, onConnection } = this.#options;
    const { signal } = this.#ending;
    const query = new URLSearchParams({ keepalive: String(KEEPALIVE_S) });
    if (kinds.length) query.set('types', kinds.join(','));
    if (last) query.set('since', last);
    for (let pause = 1; !signal.aborted; pause = Math.min(pause * 2, LONGEST_PAUSE_S)) {
      const attempt = new AbortController();
      let isRefused = false;
      try {
        const options = { signal: AbortSignal.any([signal, attempt.signal]) };
        const response = await within(SILENT_MS, request(`api/v1/events?${query}`, options));
        if (!response.ok) throw await refusal(response);
        onConnection(true, false);
        pause = 1;
        for await (const { id, event, data } of serverSentEvents(response, SILENT_MS)) {
          if (signal.aborted) return;
          if (id) query.set('since', id);
          onEvent(event, data, id);
        }
      } catch (error) {
        // The loop connects again.
        isRefused = error instanceof ApiError && error.status > 0;
        attempt.abort();
      }
      if (signal.aborted) return;
      onConnection(false, isRefused);
      const delay = pause * 1000 * (0.75 + Math.random() / 2);
      await new Promise((done) => setTimeout(done, delay));
    }
  }

  stop() {
    this.#ending.abort();
  }
}

/** The stream that all visible pages of one user share. */
class Share {
  #id = crypto.getRandomValues(new Uint32Array(2)).join('-');
  /** @type {BroadcastChannel | null} */
  #channel = null;
  /** @type {Stream | null} */
  #stream = null;
  #last = '';
  /** @type {boolean | null} null before the first attempt has ended: its failure is told, too */
  #isConnected = null;
  #isRefused = false;
  #timer = 0;
  #signs = 0;

  constructor() {
    document.addEventListener('visibilitychange', () => (document.hidden ? this.#release() : this.#join()));
    addEventListener('pagehide', () => this.#release());
    addEventListener('pageshow', () => this.#join());
    // Another user has other events, and their ids say nothing of what this one has seen.
    session.addEventListener('change', () => {
      this.#release();
      this.#join();
    });
  }

  /**
   * @param {Listener} listener
   * @param {string} seen
   */
  start({ onGap, onConnection }, seen) {
    // The connection is opened some time after the list was made: it begins where the list ended.
    if (!this.#last) this.#last = seen;
    else if (seen && seen !== this.#last) onGap?.();
    if (!this.#channel) this.#join();
    // A listener that comes later than the connection.
    else if (this.#isConnected) onConnection?.(true, false);
  }

  stop() {
    this.#release();
    this.#last = '';
  }

  #join() {
    if (this.#channel || document.hidden || !listeners.size) return;
    this.#channel = new BroadcastChannel(`mtx-sidecar events ${user() ?? ''}`);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#say('ask');
    this.#leadAfter(ASK_MS);
  }

  #release() {
    clearTimeout(this.#timer);
    clearInterval(this.#signs);
    if (this.#stream) {
      this.#stream.stop();
      this.#stream = null;
      this.#say('gone');
    }
    this.#channel?.close();
    this.#channel = null;
  }

  /** @param {number} ms */
  #leadAfter(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lead(), ms * (1 + Math.random() / 2));
  }

  #lead() {
    if (!this.#channel) return;
    this.#stream = new Stream({
      kinds: [],
      last: this.#last,
      onEvent: (event, data, id) => {
        this.#last = id || this.#last;
        this.#say('event', { event, data });
        this.#tell(event, data);
      },
      onConnection: (isConnected, isRefused) => {
        this.#connected(isConnected, isRefused);
        this.#say('sign');
      },
    });
    this.#say('sign');
    this.#signs = setInterval(() => this.#say('sign'), SIGN_MS);
  }

  /**
   * @param {Message['type']} type
   * @param {Partial<Message>} [more]
   */
  #say(type, more) {
    const state = { isConnected: this.#isConnected, isRefused: this.#isRefused };
    this.#channel?.postMessage({ type, from: this.#id, last: this.#last, ...state, ...more });
  }

  /** @param {Message} message */
  #hear({ type, from, last, isConnected = null, isRefused = false, event = '', data = '' }) {
    if (this.#stream) {
      // Two pages began at the same moment: the one with the smaller id stays.
      if (type === 'sign' && from < this.#id) this.#follow();
      else if (type !== 'event') return this.#say('sign');
      else return;
    }
    if (type === 'ask') return;
    if (type === 'gone') return this.#leadAfter(ASK_MS / 3);
    // A page that was hidden, and another one that went on reading: what is between was missed.
    if (type === 'sign' && this.#last && last && last !== this.#last) this.#tell('gap', '');
    this.#last = last || this.#last;
    if (type === 'event') this.#tell(event, data);
    if (isConnected !== null) this.#connected(isConnected, isRefused);
    this.#leadAfter(MISSED_MS);
  }

  /** Leaves the stream to another page. */
  #follow() {
    clearInterval(this.#signs);
    this.#stream?.stop();
    this.#stream = null;
  }

  /**
   * @param {boolean} isConnected
   * @param {boolean} isRefused
   */
  #connected(isConnected, isRefused) {
    if (this.#isConnected === isConnected && this.#isRefused === isRefused) return;
    this.#isConnected = isConnected;
    this.#isRefused = isRefused;
    for (const { onConnection } of listeners) onConnection?.(isConnected, isRefused);
  }

  /**
   * @param {string} event
   * @param {string} data
   */
  #tell(event, data) {
    for (const listener of [...listeners]) tell(listener, event, data);
  }
}

const share = new Share();

/**
 * What a promise gives, or an error if it takes too long.
 *
 * @template T
 * @param {number} ms
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function within(ms, promise) {
  if (ms === Infinity) return promise;
  return new Promise((done, fail) => {
    const timer = setTimeout(() => fail(new Error('silence')), ms);
    promise.then(done, fail).finally(() => clearTimeout(timer));
  });
}

/**
 * Server-sent events (HTML Living Standard, section 9.2.6), as far as our server sends them.
 *
 * `silentMs` is the longest time without data; none for a response that can be silent.
 *
 * @param {Response} response
 * @param {number} [silentMs]
 */
export async function* serverSentEvents(response, silentMs = Infinity) {
  if (!response.body) return;
  // Safari cannot iterate over a stream.
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    const read = () => within(silentMs, reader.read());
    for (let next = await read(); !next.done; next = await read()) {
      const blocks = (rest + next.value).split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const event = { id: '', event: '', data: '', ...Object.fromEntries(fieldsOf(block)) };
        if (event.data) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * The lines of an event as pairs of name and value. Lines that begin with a colon are comments.
 *
 * @param {string} block
 * @returns {[string, string][]}
 */
function fieldsOf(block) {
  const lines = block.split('\n').filter((line) => line.indexOf(':') > 0);
  return lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trimStart()];
  });
}
