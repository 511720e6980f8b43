// @ts-check
// A tile of the wall. While it is visible it shows pictures or video; while it is not, it requests nothing.

import * as api from '../lib/api.js';
import { h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { Chain } from '../players/chain.js';
import { isAvailable, reasonText, showState, sourcesOf } from './playback.js';
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

  /** @param {string} name */
  constructor(name) {
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
    this.element = h(
      'article',
      { class: 'tile' },
      h('div', { class: 'tile-picture' }, this.image, this.video, this.canvas, this.message, open, handle),
      h('div', { class: 'tile-line' }, this.label, this.protocol, this.badge),
    );
    this.thumbnail = new Thumbnail(this.image, name);
    this.image.addEventListener('shown', () => this.element.classList.add('has-picture'));
  }

  /**
   * Takes new data over.
   *
   * @param {Api.WallItem} item
   * @param {Api.Wall} wall
   * @param {string} layout
   */
  update(item, wall, layout) {
    this.#item = item;
    this.#wall = wall;
    showState(this.badge, item);
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
    if (!this.#isVisible || !item || !wall) return this.#stop();
    if (!this.#chain && this.#wantsVideo(item, wall)) this.#play(item, wall);
    const isPlaying = this.element.classList.contains('is-playing');
    const { stream } = item;
    if (!stream) {
      if (!this.#chain) this.#say(isAvailable(item) ? t('viewer.on_demand') : t('viewer.reason_no_publisher'));
      return this.thumbnail.stop();
    }
    const isEmpty = !stream.picture && stream.kind === 'upload';
    const isFailing = stream.state === 'failing';
    if (isFailing && !isPlaying) this.#say(stream.reason);
    else this.#say(isEmpty && !isPlaying ? t('viewer.no_picture_yet') : '');
    if (isEmpty || isFailing || isPlaying) return this.thumbnail.stop();
    const isLarge = this.#layout === '1' || this.#layout === '4';
    this.thumbnail.start(this.#layout === 'auto' ? OVERVIEW_MS : LIVE_MS, isLarge ? 960 : 320);
  }

  /**
   * Whether the tile starts a video. In the overview our streams are pictures, which cost a hundredth of video.
   * MediaMTX has no pictures of its paths: a live path is played, and a source on demand does not start before a reader
   * opens it.
   *
   * @param {Api.WallItem} item
   * @param {Api.Wall} wall
   */
  #wantsVideo(item, wall) {
    if (playing >= MOST_PLAYING || !this.#sources(item, wall).length) return false;
    return this.#layout === 'auto' ? !item.stream && Boolean(item.path?.available) : isAvailable(item);
  }

  /**
   * @param {Api.WallItem} item
   * @param {Api.Wall} wall
   */
  #sources(item, wall) {
    return sourcesOf(item, wall, this.#layout === '1' ? undefined : ['whep', 'mse', 'hls']);
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
    const last = chain.failures.at(-1);
    if (isPlaying) this.#say('');
    else if (chain.state === 'pausing' && last && !this.#item?.stream) this.#say(reasonText(last.error, this.#item));
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
