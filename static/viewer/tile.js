// @ts-check
// A tile of the wall. While it is visible it shows pictures or video; while it is not, it requests nothing.

import * as api from '../lib/api.js';
import { h } from '../lib/dom.js';
import { errorText, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { Chain } from '../players/chain.js';
import { hasStills, isAvailable, isSoundOnly, reasonText, sourcesOf } from './playback.js';
import { failureText, showStatus, titleOf } from './status.js';
import { Thumbnail } from './thumbnails.js';

/** How often a picture is renewed in the overview, and in the live layouts for a stream without video. */
const OVERVIEW_MS = 5000;
const LIVE_MS = 1000;

/** How many tiles play video at the same time. */
const MOST_PLAYING = 16;
let playing = 0;

export class Tile {
  /** Whether the tile is inside the window. */
  isInside = false;
  /** @type {Chain | null} */
  #chain = null;
  #isVisible = false;
  /** @type {Api.WallItem | null} */
  #item = null;
  /** @type {Api.Wall | null} */
  #wall = null;
  #layout = 'auto';
  #isAway = false;
  #failed = false;
  /** Why the server has given no still. */
  #refusal = '';

  /**
   * @param {string} name
   * @param {() => void} onFavourite called by its star
   */
  constructor(name, onFavourite) {
    this.image = h('img', { alt: '', decoding: 'async' });
    this.video = h('video', { hidden: true, muted: true, playsInline: true, disableRemotePlayback: true });
    this.canvas = h('canvas', { hidden: true });
    this.message = h('span', { class: 'tile-told' });
    this.badge = h('span', { class: 'badge' });
    this.protocol = h('span', { class: 'tile-way' });
    this.label = h('span', { class: 'truncate' }, name);
    const open = h(
      'a',
      { class: 'tile-open', href: `#/watch/${api.encoded(name)}` },
      h('span', { class: 'visually-hidden' }, t('viewer.watch', { name })),
    );
    const handle = h(
      'button',
      {
        type: 'button',
        class: 'tile-handle',
        'aria-label': t('viewer.move', { name }),
        'aria-describedby': 'arrange-hint',
      },
      icon('move', 32),
    );
    const label = t('viewer.favourite', { name });
    const star = { class: 'icon-button tile-star', 'aria-label': label, 'aria-pressed': 'false', onclick: onFavourite };
    this.star = h('button', { type: 'button', ...star }, icon('star', 18));
    const layers = [this.image, this.video, this.canvas, this.message, open, this.star, handle];
    this.element = h(
      'article',
      { class: 'tile' },
      h('div', { class: 'tile-picture' }, layers),
      h('div', { class: 'tile-line' }, this.label, this.protocol, this.badge),
    );
    this.thumbnail = new Thumbnail(this.image, name);
    this.image.addEventListener('shown', () => {
      this.element.classList.add('has-picture');
      this.#still('');
    });
    this.image.addEventListener('kept', () => this.#still(''));
    this.image.addEventListener('failed', (event) => this.#still(errorText(/** @type {CustomEvent} */ (event).detail)));
  }

  /** @param {boolean} isOne */
  markFavourite(isOne) {
    this.star.setAttribute('aria-pressed', String(isOne));
  }

  /** @param {string} refusal why there is no still; empty if there is one */
  #still(refusal) {
    if (this.#refusal === refusal) return;
    this.#refusal = refusal;
    this.#showStatus();
  }

  /**
   * Takes new data over.
   *
   * @param {Api.WallItem} item
   * @param {Api.Wall} wall
   * @param {string} layout
   * @param {boolean} isAway whether the sidecar does not answer
   */
  update(item, wall, layout, isAway) {
    const { stream: before, path: pathBefore } = this.#item ?? {};
    const had = this.#failed;
    this.#item = item;
    this.#wall = wall;
    this.#isAway = isAway;
    this.#failed = Boolean(item.stream?.failure) || item.stream?.state === 'failing';
    // The reason of the failure is over: an edit, or the camera is back.
    const isBack = pathBefore && !pathBefore.available && item.path?.available;
    if ((before && had && !this.#failed) || isBack) this.thumbnail.reload();
    this.label.textContent = titleOf(item);
    this.label.title = fullName(item);
    if (layout !== this.#layout) {
      this.#layout = layout;
      this.#stop();
    }
    this.#refresh();
  }

  /**
   * Says whether the tile is visible.
   *
   * @param {boolean} isVisible
   */
  setVisible(isVisible) {
    this.#isVisible = isVisible;
    this.#refresh();
  }

  remove() {
    this.#isVisible = false;
    this.#stop();
  }

  #refresh() {
    const [item, wall] = [this.#item, this.#wall];
    if (!this.#isVisible || !item || !wall) this.#stop();
    else if (!this.#chain && this.#wantsVideo(item, wall)) this.#play(item, wall);
    this.#showStatus();
    if (!this.#isVisible || !item) return;
    const { stream } = item;
    const isEmpty = stream && !stream.picture && stream.kind === 'upload';
    const isPlaying = this.element.classList.contains('is-playing');
    // A path that can be played is played; stills are for what cannot.
    const isCoveredByVideo = isPlaying || (!stream && this.#chain?.state === 'connecting');
    const hasNone = !hasStills(item) || isEmpty || stream?.state === 'failing' || this.#isLeftAsleep(item);
    if (hasNone || isCoveredByVideo) return this.thumbnail.stop();
    const isLarge = this.#layout === '1' || this.#layout === '4';
    this.thumbnail.start(this.#layout === 'auto' ? OVERVIEW_MS : LIVE_MS, isLarge ? 960 : 320);
  }

  /** Shows the state on the badge, and over the picture why there is none, or no new one. */
  #showStatus() {
    const item = this.#item;
    if (!item) return;
    const chain = this.#chain;
    const isShown = this.element.classList.contains('is-playing');
    const [isWaiting, isStalled] = [chain?.state === 'waiting', chain?.isStalled ?? false];
    const hasStill = this.element.classList.contains('has-picture');
    const isConnecting = !hasStill && chain?.state === 'connecting';
    const isLost = !hasStill && chain?.state === 'pausing';
    // MediaMTX is away, and the path that it had is still shown.
    const isAway = this.#isAway || (!item.stream && Boolean(item.path) && !this.#wall?.mediamtx);
    const isAsleep = this.#isLeftAsleep(item);
    const seen = { item, isAway, isShown, isStalled, isWaiting, isConnecting, isLost, isAsleep };
    const status = showStatus(this.badge, seen);
    this.element.classList.toggle('is-stale', status === 'stalled' || status === 'failing' || status === 'away');
    this.element.classList.toggle('is-pending', isShown && (status === 'failing' || status === 'starting'));
    this.#say(this.#textOf(status, isShown));
  }

  /**
   * @param {import('./status.js').Status} status
   * @param {boolean} isShown
   */
  #textOf(status, isShown) {
    const item = /** @type {Api.WallItem} */ (this.#item);
    const { stream } = item;
    const isMediaMtxAway = !stream && !this.#wall?.mediamtx;
    if (status === 'away' && (this.#isAway || isMediaMtxAway))
      return t(this.#isAway ? 'viewer.stale_away' : 'viewer.stale_mediamtx');
    if (status === 'failing') return failureText(item);
    if (status === 'stalled') return t('viewer.stale');
    if (isShown) return isSoundOnly(item) ? t('viewer.sound_only') : '';
    if (stream) return !stream.picture && stream.kind === 'upload' ? t('viewer.no_picture_yet') : this.#refusal;
    const last = this.#chain?.failures.at(-1);
    if (this.#chain?.state === 'pausing' && last && !hasStills(item)) return reasonText(last.error, item);
    if (!this.#isLeftAsleep(item) && (this.#chain || hasStills(item))) return this.#refusal;
    return isAvailable(item) ? t('viewer.on_demand') : t('viewer.reason_no_publisher');
  }

  /**
   * Whether the overview reads nothing of the item: a source on demand starts when it is opened, and would not stop while a tile
   * reads it.
   *
   * @param {Api.WallItem} item
   */
  #isLeftAsleep({ stream, path }) {
    return this.#layout === 'auto' && !stream && Boolean(path?.on_demand);
  }

  /**
   * Whether the tile starts a video. In the overview our streams are pictures, which cost a hundredth of video.
   * A live path of MediaMTX is played, because a still of it is decoded for each tile.
   *
   * @param {Api.WallItem} item
   * @param {Api.Wall} wall
   */
  #wantsVideo(item, wall) {
    if (playing >= MOST_PLAYING || !this.#sources(item, wall).length) return false;
    if (this.#layout !== 'auto') return isAvailable(item);
    return !item.stream && Boolean(item.path?.available) && !this.#isLeftAsleep(item);
  }

  /**
   * @param {Api.WallItem} item
   * @param {Api.Wall} wall
   */
  #sources(item, wall) {
    return sourcesOf(item, wall, this.#layout === '1' ? undefined : ['whep', 'uv4l', 'mse', 'hls']);
  }

  /**
   * @param {Api.WallItem} item
   * @param {Api.Wall} wall
   */
  #play(item, wall) {
    playing += 1;
    const sources = this.#sources(item, wall);
    const chain = new Chain({ video: this.video, canvas: this.canvas, sources, token: api.token, isSilent: true });
    this.#chain = chain;
    chain.addEventListener('change', () => this.#follow(chain));
    chain.start();
  }

  /**
   * Shows the state of the chain.
   *
   * @param {Chain} chain
   */
  #follow(chain) {
    const isPlaying = chain.state === 'playing' || chain.state === 'waiting';
    this.element.classList.toggle('is-playing', isPlaying);
    this.protocol.textContent = (isPlaying && chain.player?.protocol) || '';
    if (!isPlaying) this.video.hidden = this.canvas.hidden = true;
    if (this.#isVisible && this.#chain === chain) this.#refresh();
  }

  #stop() {
    this.thumbnail.stop();
    const chain = this.#chain;
    if (!chain) return;
    this.#chain = null;
    playing -= 1;
    chain.stop();
    this.element.classList.remove('is-playing');
    this.video.hidden = this.canvas.hidden = true;
    this.protocol.textContent = '';
  }

  /** @param {string} text */
  #say(text) {
    this.message.textContent = text;
  }
}

/** @param {Api.WallItem} item */
function fullName({ name, path }) {
  return path && path.name !== name ? `${name} — MediaMTX: ${path.name}` : name;
}
