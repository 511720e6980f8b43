// @ts-check
// One publication: a source that is sent to a path of MediaMTX, with new attempts until it is stopped.

import { call, encoded, token } from '../lib/api.js';
import { errorText, t } from '../lib/i18n.js';
import { PlayerError } from '../players/player.js';
import { WhipPublisher } from '../players/whip.js';

const LONGEST_PAUSE_MS = 15_000;

/** How long the sidecar takes to add a new path at MediaMTX. */
const AFTER_PATH_MS = 800;

/** How often the sidecar is asked whether MediaMTX has the path, and when the attempt has failed. */
const CONFIRM_MS = 500;
const UNCONFIRMED_MS = 12_000;

/**
 * @typedef {object} PublicationOptions
 * @property {string} path
 * @property {import('./sources.js').Source} source
 * @property {number} [kbps]
 * @property {Api.Addresses} addresses
 * @property {(() => Promise<unknown>) | null} makePath makes the path if MediaMTX does not have it
 */

/** Dispatches 'state' when `state` or `problem` changes. */
export class Publication extends EventTarget {
  /** @type {'connecting' | 'live' | 'failing' | 'ended'} */
  state = 'connecting';
  /** Why the publication is failing. */
  problem = '';
  #options;
  /** @type {WhipPublisher | null} */
  #publisher = null;
  #pause = 1000;
  #timer = 0;

  /** @param {PublicationOptions} options */
  constructor(options) {
    super();
    this.#options = options;
    // The user ends the sharing of a screen in the browser's own bar, or unplugs a device.
    for (const track of options.source.stream.getTracks()) track.addEventListener('ended', () => this.stop());
  }

  async start() {
    if (this.state === 'ended') return;
    if (this.state !== 'failing') this.#become('connecting');
    const { path, source, kbps, addresses } = this.#options;
    const url = `${addresses.webrtc}/${encoded(path)}/whip`;
    const publisher = new WhipPublisher(source.stream, url, { token, base: addresses.webrtc, maxKbps: kbps });
    this.#publisher = publisher;
    publisher.addEventListener('error', (event) => {
      if (this.#publisher === publisher) this.#fail(/** @type {CustomEvent} */ (event).detail);
    });
    source.begin?.();
    try {
      await publisher.start();
      await this.#confirmed(publisher);
      if (this.#publisher !== publisher) return publisher.stop();
      this.#pause = 1000;
      this.problem = '';
      this.#become('live');
    } catch (error) {
      this.#fail(error);
    }
  }

  /**
   * Waits until MediaMTX has the path: a session that is connected can have no frames yet, and then ends.
   *
   * @param {WhipPublisher} publisher
   */
  async #confirmed(publisher) {
    const { path } = this.#options;
    const began = performance.now();
    while (this.#publisher === publisher && !publisher.hasEnded) {
      if (await isAvailable(path)) return;
      await publisher.check();
      if (performance.now() - began > UNCONFIRMED_MS) {
        publisher.stop();
        throw new PlayerError('timeout', t('console.publish_unconfirmed'));
      }
      await new Promise((done) => setTimeout(done, CONFIRM_MS));
    }
    if (publisher.hasEnded) throw new PlayerError('ended', t('console.publish_unconfirmed'));
  }

  /** @param {unknown} error */
  async #fail(error) {
    if (this.state === 'ended') return;
    this.#publisher = null;
    let problem = errorText(error);
    const { makePath } = this.#options;
    // MediaMTX accepts publishers only on paths that it knows; this is the text of its internal/conf.
    if (makePath && /is not configured/.test(problem)) {
      this.#options.makePath = null;
      try {
        await makePath();
        this.#startAfter(AFTER_PATH_MS);
        return;
      } catch (refusal) {
        problem = errorText(refusal);
      }
    }
    this.problem = problem;
    this.#become('failing');
    this.#startAfter(this.#pause);
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
  }

  /** @param {number} ms */
  #startAfter(ms) {
    this.#timer = setTimeout(() => this.start(), ms);
  }

  /**
   * What is sent: size, rate, codec.
   *
   * @returns {Promise<Partial<import('../players/player.js').PlayerStats>>}
   */
  async stats() {
    const publisher = this.#publisher;
    return publisher?.state === 'playing' ? publisher.stats() : {};
  }

  stop() {
    if (this.state === 'ended') return;
    clearTimeout(this.#timer);
    this.#become('ended');
    this.#publisher?.stop();
    this.#publisher = null;
    this.#options.source.close();
  }

  /** @param {Publication['state']} state */
  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event('state'));
  }
}

/**
 * Whether MediaMTX has a publisher on the path.
 *
 * @param {string} path
 */
async function isAvailable(path) {
  const { items } = await call('api/v1/wall');
  const known = items.find((item) => item.path?.name === path)?.path;
  if (known) return known.available;
  // The user can be permitted to publish and not to watch.
  const kept = await call(`api/v1/paths/${encoded(path)}`).catch(() => null);
  return /** @type {{ available?: boolean } | undefined} */ (kept?.actual)?.available === true;
}
