// What all players have in common. One class plays one protocol into one element, once: a new attempt is a new player.
//
//   const player = new WhepPlayer(video, url, { token: () => 'eyJ…' });
//   player.addEventListener('state', ({ detail }) => …);   // 'connecting', 'waiting', 'playing', 'ended'
//   player.addEventListener('error', ({ detail }) => …);   // a PlayerError, after it had been playing; it has ended then
//   await player.start();                                  // rejected with a PlayerError if there is no first picture
//   await player.stats();                                  // { protocol, width, height, fps, kbps, latencyMs, codec, … }, what is known of it
//   player.stop();

/** So long a source may take to give its first picture; MediaMTX gives up on sources after ten seconds. */
export const FIRST_PICTURE_MS = 12_000;

/**
 * Why nothing is played. `reason` is 'unauthorised', 'nobody' (publishes), 'codec', 'unreachable', 'insecure' (an http: address
 * in an https: page), 'timeout', 'network' (media does not come through), 'ended', 'unsupported' (by this browser) or 'server';
 * `message` is what was said.
 */
export class PlayerError extends Error {
  constructor(reason, message = reason) {
    super(message);
    this.reason = reason;
  }
}

/** The reason for an answer of MediaMTX or ours that is none of 2xx. */
export async function refusal(response) {
  const text = await response.text().catch(() => '');
  let said = text;
  try {
    const document = JSON.parse(text);
    said = document.error ?? document.detail ?? text;
  } catch {
    // Plain text.
  }
  said = String(said).slice(0, 300) || `${response.status} ${response.statusText}`;
  if (response.status === 401 || response.status === 403) return new PlayerError('unauthorised', said);
  if (response.status === 404) return new PlayerError('nobody', said);
  if (/codec|B-frames|no supported|unsupported/i.test(said)) return new PlayerError('codec', said);
  if (/timed out/i.test(said)) return new PlayerError('nobody', said);
  return new PlayerError('server', said);
}

/** Like fetch, with the token; errors are PlayerErrors, except for an abort. */
export async function fetchMedia(url, token, options = {}) {
  if (location.protocol === 'https:' && url.startsWith('http:')) throw new PlayerError('insecure', url);
  const headers = new Headers(options.headers);
  if (token) headers.set('Authorization', `Bearer ${token}`);
  let response;
  try {
    response = await fetch(url, { ...options, headers, credentials: 'omit', cache: 'no-store' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new PlayerError('unreachable', error.message);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

/** A count's change for each second, between calls. */
export class Rate {
  #count = null;
  #at = 0;

  /** Takes the count as it is now; null the first time. */
  take(count) {
    const now = performance.now();
    const rate =
      this.#count === null || now - this.#at < 100 ? null : ((count - this.#count) * 1000) / (now - this.#at);
    if (rate !== null || this.#count === null) {
      this.#count = count;
      this.#at = now;
    }
    return rate;
  }
}

export class Player extends EventTarget {
  /** The word for the protocol. */
  protocol = '';
  state = 'new';
  #failure = null;

  /** `token` is a function, because tokens are renewed. `element` is what is played into. */
  constructor(element, url, { token = () => null } = {}) {
    super();
    this.element = element;
    this.url = url;
    this.token = token;
    this.ending = new AbortController();
  }

  get hasEnded() {
    return this.ending.signal.aborted;
  }

  /** Plays; fulfilled with the first picture. */
  async start() {
    this.become('connecting');
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new PlayerError('timeout')), FIRST_PICTURE_MS);
      this.ending.signal.addEventListener('abort', () => reject(new PlayerError('ended')));
    });
    late.catch(() => {});
    try {
      await Promise.race([this.open(), late]);
      if (this.hasEnded) throw new PlayerError('ended');
      this.become('playing');
    } catch (raced) {
      this.stop();
      const error = this.#failure ?? raced;
      throw error instanceof PlayerError ? error : new PlayerError('server', error.message);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends it. Can be called at any time, and more than once. */
  stop() {
    if (this.hasEnded) return;
    this.ending.abort();
    this.close();
    this.become('ended');
  }

  /** What is measured. */
  async stats() {
    return { protocol: this.protocol };
  }

  become(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent('state', { detail: state }));
  }

  /** Ends by itself. What fails before the first picture is told by start() alone. */
  fail(reason, message) {
    if (this.hasEnded) return;
    const was = this.state;
    this.#failure = new PlayerError(reason, message);
    this.stop();
    if (was === 'playing' || was === 'waiting') {
      this.dispatchEvent(new CustomEvent('error', { detail: this.#failure }));
    }
  }

  /** The first picture of a <video>. */
  firstPicture() {
    return new Promise((done) => {
      const { signal } = this.ending;
      for (const event of ['loadeddata', 'playing'])
        this.element.addEventListener(event, () => done(), { once: true, signal });
      this.element.play().catch(() => {
        // Without a gesture only what is muted may play; with sound it waits for one.
        this.element.muted = true;
        this.element.play().catch(() => {});
      });
    });
  }
}
