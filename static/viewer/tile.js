// A tile of the wall: a picture that is renewed, or video, while it can be seen; nothing at all when it cannot.

import * as api from '../lib/api.js';
import { h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { Chain } from '../players/chain.js';
import { Thumbnail } from './thumbnails.js';
import { isAvailable, showState, waysOf, why } from './ways.js';

/** How often a picture is renewed in the overview, and where tiles stand for live video that cannot be had. */
const CALM_MS = 5000;
const LIVELY_MS = 1000;

/** So many tiles play video at the same time. */
const MOST_LIVE = 16;
let live = 0;

export class Tile {
  /** Whether it lies within the window. */
  isInside = false;
  #chain = null;
  #isSeen = false;
  #item = null;
  #info = null;
  #layout = 'auto';

  constructor(name) {
    this.name = name;
    this.image = h('img', { alt: '', decoding: 'async' });
    this.video = h('video', { hidden: true, muted: true, playsInline: true, disableRemotePlayback: true });
    this.video.muted = true;
    this.canvas = h('canvas', { hidden: true });
    this.told = h('span', { class: 'tile-told' });
    this.badge = h('span', { class: 'badge' });
    this.way = h('span', { class: 'tile-way' });
    this.label = h('span', { class: 'truncate' }, name);
    this.open = h(
      'a',
      { class: 'tile-open', href: `#/watch/${api.encoded(name)}` },
      h('span', { class: 'visually-hidden' }, t('viewer.watch', { name })),
    );
    this.handle = h(
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
      h('div', { class: 'tile-picture' }, this.image, this.video, this.canvas, this.told, this.open, this.handle),
      h('div', { class: 'tile-line' }, this.label, this.way, this.badge),
    );
    this.element.tile = this;
    this.thumbnail = new Thumbnail(this.image, name);
    this.image.addEventListener('shown', () => this.element.classList.add('has-picture'));
  }

  /** What is known now. */
  update(item, info, layout) {
    this.#item = item;
    this.#info = info;
    showState(this.badge, item);
    this.label.title = name(item);
    if (layout !== this.#layout) {
      this.#layout = layout;
      this.#stop();
    }
    this.#follow();
  }

  /** Whether it is on screen. */
  seen(isSeen) {
    this.#isSeen = isSeen;
    this.#follow();
  }

  remove() {
    this.#isSeen = false;
    this.#stop();
  }

  #follow() {
    if (!this.#isSeen || !this.#item) return this.#stop();
    const { stream } = this.#item;
    if (this.#wantsVideo()) this.#play();
    else if (!stream) this.#tell(isAvailable(this.#item) ? t('viewer.on_demand') : t('viewer.reason_nobody'));
    const isPlaying = this.element.classList.contains('is-playing');
    const isEmpty = stream && !stream.picture && stream.kind === 'upload';
    const isFailing = stream?.state === 'failing';
    if ((isEmpty || isFailing) && !isPlaying) this.#tell(isFailing ? stream.reason : t('viewer.no_picture_yet'));
    else if (stream) this.#tell('');
    if (stream && !isEmpty && !isFailing && !isPlaying) {
      const isLarge = ['1', '4'].includes(this.#layout);
      this.thumbnail.start(this.#layout === 'auto' ? CALM_MS : LIVELY_MS, isLarge ? 960 : 320);
    } else this.thumbnail.stop();
  }

  // In the overview, streams of ours are pictures: they cost a hundredth of video. MediaMTX gives none of its paths; those that
  // are there are played, and sources on demand are left asleep until somebody asks for them.
  #wantsVideo() {
    if (this.#chain) return true;
    const item = this.#item;
    const isWanted = this.#layout === 'auto' ? !item.stream && item.path?.available : isAvailable(item);
    return isWanted && live < MOST_LIVE && this.#ways().length > 0;
  }

  #ways() {
    return waysOf(this.#item, this.#info, this.#layout === '1' ? ['whep', 'hls', 'mjpeg'] : ['whep', 'hls']);
  }

  #play() {
    if (this.#chain) return;
    live += 1;
    const chain = new Chain({ video: this.video, canvas: this.canvas, ways: this.#ways(), token: api.token });
    this.#chain = chain;
    chain.addEventListener('change', () => {
      const isPlaying = chain.state === 'playing' || chain.state === 'waiting';
      this.element.classList.toggle('is-playing', isPlaying);
      this.way.textContent = isPlaying ? chain.player.protocol : '';
      if (!isPlaying) this.video.hidden = this.canvas.hidden = true;
      const last = chain.failures.at(-1);
      if (chain.state === 'pausing' && last && !this.#item.stream) this.#tell(why(last.error, this.#item));
      else if (isPlaying) this.#tell('');
      if (this.#isSeen && this.#chain === chain) this.#follow();
    });
    chain.start();
  }

  #stop() {
    this.thumbnail.stop();
    if (!this.#chain) return;
    const chain = this.#chain;
    this.#chain = null;
    live -= 1;
    chain.stop();
    this.element.classList.remove('is-playing');
    this.video.hidden = this.canvas.hidden = true;
    this.way.textContent = '';
  }

  #tell(text) {
    this.told.textContent = text;
  }
}

const name = (item) =>
  item.path && item.path.name !== item.name ? `${item.name} — MediaMTX: ${item.path.name}` : item.name;
