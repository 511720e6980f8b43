// @ts-check
// One stream on the whole page: played by the best protocol, with the controls of a video player.

import * as api from '../lib/api.js';
import { fill, h, store, stored } from '../lib/dom.js';
import { errorText, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { openLinkDialog } from '../lib/links.js';
import { toast } from '../lib/toast.js';
import { Chain } from '../players/chain.js';
import { frameOf, showInPicture, snapshotOf } from './capture.js';
import { isAvailable, protocolName, reasonText, showState, sourcesOf } from './playback.js';
import { statsTexts } from './stats.js';

const STATS_INTERVAL_MS = 1000;

/** How long the controls stay visible after the last movement. */
const IDLE_MS = 3000;

/** Reasons by weight: first those about the stream, then those about one protocol. */
const WEIGHTS = [
  'unauthorised',
  'no_publisher',
  'codec',
  'insecure',
  'network',
  'timeout',
  'unreachable',
  'server',
  'ended',
];

export class Stage {
  /** @type {Chain | null} */
  #chain = null;
  /** @type {Api.WallItem | null} */
  #item = null;
  /** @type {Api.Wall | null} */
  #wall = null;
  #kind = 'auto';
  #timer = 0;
  #idle = 0;
  #volume = stored('volume', 1);

  constructor() {
    this.video = h('video', { playsInline: true, muted: true });
    this.canvas = h('canvas', { hidden: true });
    this.message = h('div', { class: 'stage-message', role: 'status' });
    // Screen readers must not announce the countdown every second.
    this.retry = h('p', { class: 'stage-retry', 'aria-hidden': 'true' });
    this.stats = h('dl', { class: 'stage-stats', hidden: true, 'aria-label': t('viewer.stats') });
    this.live = h('span', { class: 'stage-live' }, t('viewer.live_word'));
    this.soundButton = controlButton('sound', 'mute', t('viewer.unmute'), () => this.#toggleSound());
    this.volume = h('input', {
      type: 'range',
      min: 0,
      max: 1,
      step: 0.05,
      value: this.#volume,
      class: 'volume',
      'aria-label': t('viewer.volume'),
      oninput: () => this.#setVolume(),
    });
    this.sound = h('span', { class: 'stage-sound' }, this.soundButton, this.volume);
    this.statsButton = controlButton('stats', 'gauge', t('viewer.stats'), () => this.#toggleStats());
    this.statsButton.setAttribute('aria-pressed', 'false');
    this.screen = h(
      'div',
      { class: 'screen', tabIndex: -1 },
      this.video,
      this.canvas,
      this.message,
      this.stats,
      this.#bar(),
    );
    this.back = h(
      'a',
      { class: 'button icon-button', href: '#/', 'aria-label': t('viewer.back'), title: t('viewer.back') },
      icon('back'),
    );
    this.title = h('h1', { tabIndex: -1 });
    this.badge = h('span', { class: 'badge' });
    this.facts = h('p', { class: 'dim' });
    this.playing = h('p', { class: 'stage-how', role: 'status' });
    this.protocols = h('select', { 'aria-label': t('viewer.protocol'), onchange: () => this.#chooseProtocol() });
    this.recordings = h('a', { class: 'button' }, icon('film'), h('span', {}, t('viewer.recordings')));
    this.element = h(
      'section',
      { class: 'stage', hidden: true, 'aria-label': t('viewer.one_stream') },
      this.#head(),
      this.screen,
      this.#foot(),
      this.facts,
    );
    this.#listen();
  }

  /** The controls over the video. */
  #bar() {
    const pip = controlButton('pip', 'pip', t('viewer.pip'), () => this.#togglePictureInPicture());
    pip.hidden = !document.pictureInPictureEnabled;
    return h(
      'div',
      { class: 'stage-bar' },
      this.live,
      this.sound,
      h('span', { class: 'grow' }),
      this.statsButton,
      controlButton('snapshot', 'camera', t('viewer.snapshot'), () => this.#saveSnapshot()),
      pip,
      controlButton('fullscreen', 'fullscreen', t('viewer.fullscreen'), () => this.#toggleFullscreen()),
    );
  }

  #head() {
    const link = h(
      'button',
      { type: 'button', onclick: () => this.#openLink() },
      icon('link'),
      h('span', {}, t('viewer.link')),
    );
    const space = h('span', { class: 'grow' });
    return h('div', { class: 'stage-head' }, this.back, this.title, this.badge, space, this.recordings, link);
  }

  #foot() {
    const label = h('span', { class: 'dim' }, t('viewer.protocol'));
    return h('div', { class: 'stage-foot' }, this.playing, h('label', { class: 'row' }, label, this.protocols));
  }

  #listen() {
    for (const event of ['pointermove', 'pointerdown', 'focusin']) {
      this.screen.addEventListener(event, () => this.#showControls());
    }
    this.video.addEventListener('volumechange', () => this.#showSound());
    this.screen.addEventListener('dblclick', ({ target }) => {
      if (!isInside(target, '.stage-bar')) this.#toggleFullscreen();
    });
    document.addEventListener('keydown', (event) => {
      const hasModifier = event.ctrlKey || event.metaKey || event.altKey;
      if (this.element.hidden || hasModifier || isInside(event.target, 'input, select, textarea, dialog')) return;
      if (event.key === 'f') this.#toggleFullscreen();
      else if (event.key === 'm') this.#toggleSound();
      else if (event.key === 'i') this.#toggleStats();
      else if (event.key === 's') this.#saveSnapshot();
      else if (event.key === 'Escape' && !document.fullscreenElement) location.hash = '#/';
    });
  }

  /**
   * Shows an item.
   *
   * @param {Api.WallItem} item
   * @param {Api.Wall} wall
   */
  open(item, wall) {
    const isSame = this.#item?.name === item.name && !this.element.hidden;
    this.#update(item, wall);
    if (isSame) return;
    this.element.hidden = false;
    this.title.focus({ preventScroll: true });
    this.#kind = 'auto';
    const kinds = sourcesOf(item, wall).map(({ kind }) => h('option', { value: kind }, protocolName(kind)));
    fill(this.protocols, h('option', { value: 'auto', selected: true }, t('viewer.protocol_auto')), kinds);
    this.#play();
    this.#showControls();
  }

  /**
   * Takes new data over. An item that has become available is tried at once.
   *
   * @param {Api.WallItem} item
   * @param {Api.Wall} wall
   */
  #update(item, wall) {
    const hasBecomeAvailable = this.#item && !isAvailable(this.#item) && isAvailable(item);
    const hasMediaMtxAgain = this.#wall?.mediamtx === false && wall.mediamtx;
    this.#item = item;
    this.#wall = wall;
    const { name, stream, path } = item;
    this.title.textContent = name;
    showState(this.badge, item);
    const facts = [
      stream && t('viewer.fact_kind', { kind: stream.kind }),
      path && t('viewer.fact_path', { path: path.name }),
      path?.tracks.join(' + '),
    ];
    this.facts.textContent = facts.filter(Boolean).join(' · ');
    this.recordings.href = `#/recordings/${api.encoded(path?.name ?? name)}`;
    this.recordings.hidden = !(wall.mediamtx && path);
    if (hasBecomeAvailable || hasMediaMtxAgain) this.#chain?.retry();
  }

  /**
   * The item that is shown, if it has this name.
   *
   * @param {string} name
   */
  shown(name) {
    return !this.element.hidden && this.#item?.name === name ? this.#item : undefined;
  }

  close() {
    if (this.element.hidden) return;
    this.element.hidden = true;
    this.#stop();
    if (document.fullscreenElement) document.exitFullscreen();
    if (document.pictureInPictureElement) document.exitPictureInPicture();
    this.#item = null;
  }

  #chooseProtocol() {
    this.#kind = this.protocols.value;
    this.#play();
  }

  #play() {
    this.#stop();
    const [item, wall] = [this.#item, this.#wall];
    if (!item || !wall) return;
    const sources = sourcesOf(item, wall).filter(({ kind }) => this.#kind === 'auto' || this.#kind === kind);
    if (!wall.mediamtx && !sources.length) return this.#say(t('viewer.reason_no_mediamtx'));
    const chain = new Chain({ video: this.video, canvas: this.canvas, sources, token: api.token });
    this.#chain = chain;
    chain.addEventListener('change', () => this.#chain === chain && this.#follow(chain));
    chain.start();
    this.#timer = setInterval(() => this.#tick(), STATS_INTERVAL_MS);
  }

  #stop() {
    clearInterval(this.#timer);
    this.#chain?.stop();
    this.#chain = null;
    this.stats.replaceChildren();
  }

  /**
   * Shows the state of the chain.
   *
   * @param {Chain} chain
   */
  #follow(chain) {
    const { state, player, failures } = chain;
    const isPlaying = state === 'playing' || state === 'waiting';
    this.screen.classList.toggle('is-playing', isPlaying);
    this.live.hidden = !isPlaying;
    this.#showSound();
    const reasons = failures
      .map(({ kind, error }) => `${protocolName(kind)}: ${reasonText(error, this.#item)}`)
      .join(' ');
    if (isPlaying) {
      this.#say('');
      const protocol = player?.protocol;
      this.playing.textContent = reasons
        ? t('viewer.plays_because', { protocol, reasons })
        : t('viewer.plays', { protocol });
    } else if (state === 'connecting') {
      this.#say(t('viewer.connecting'), null, true);
      this.playing.textContent = reasons;
    } else this.#showFailures(chain);
  }

  /** @param {Chain} chain */
  #showFailures({ failures }) {
    const weight = (/** @type {string} */ reason) => WEIGHTS.indexOf(reason) + 1 || WEIGHTS.length + 1;
    const [main] = failures.toSorted((a, b) => weight(a.error.reason) - weight(b.error.reason));
    const again = h(
      'button',
      { type: 'button', onclick: () => this.#chain?.retry() },
      icon('refresh'),
      t('viewer.try_again'),
    );
    this.#say(main ? reasonText(main.error, this.#item) : t('viewer.reason_no_publisher'), [this.retry, again]);
    this.#countDown();
    const details = failures.map(({ kind, error }) => `${protocolName(kind)}: ${error.message}`);
    this.playing.textContent = details.length > 1 ? details.join(' · ') : '';
  }

  /**
   * @param {string} text
   * @param {Dom.Child} [action]
   */
  #say(text, action = null, isBusy = false) {
    fill(this.message, isBusy && h('span', { class: 'spinner' }), text && h('p', {}, text), action);
    this.message.hidden = !text;
  }

  #countDown() {
    const at = this.#chain?.retryAt;
    const seconds = at ? Math.max(0, Math.round((at - Date.now()) / 1000)) : 0;
    this.retry.textContent = at ? t('viewer.retry_in', { seconds }) : '';
  }

  async #tick() {
    this.#countDown();
    const player = this.#chain?.player;
    if (this.stats.hidden || !player) return;
    const rows = statsTexts(await player.stats());
    const items = rows.map(([key, text]) => [
      h('dt', {}, t(`viewer.stats_${key}`)),
      h('dd', { class: 'number' }, text),
    ]);
    fill(this.stats, items);
  }

  #toggleStats() {
    this.stats.hidden = !this.stats.hidden;
    this.statsButton.setAttribute('aria-pressed', String(!this.stats.hidden));
    this.#tick();
  }

  #hasSound() {
    return Boolean(this.#chain?.player?.hasSound);
  }

  #showSound() {
    const { muted } = this.video;
    this.sound.hidden = !this.#hasSound();
    fill(this.soundButton, icon(muted ? 'mute' : 'sound'));
    const label = muted ? t('viewer.unmute') : t('viewer.mute');
    this.soundButton.setAttribute('aria-label', label);
    this.soundButton.title = label;
    this.volume.hidden = muted;
  }

  #toggleSound() {
    if (!this.#hasSound()) return;
    this.video.volume = this.#volume;
    this.video.muted = !this.video.muted;
  }

  #setVolume() {
    this.#volume = Number(this.volume.value);
    this.video.volume = this.#volume;
    store('volume', this.#volume);
  }

  #showControls() {
    this.screen.classList.remove('is-idle');
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.screen.classList.add('is-idle'), IDLE_MS);
  }

  async #toggleFullscreen() {
    if (document.fullscreenElement) return document.exitFullscreen();
    if (this.screen.requestFullscreen) return this.screen.requestFullscreen();
    // iPhones have fullscreen for videos only.
    /** @type {{ webkitEnterFullscreen?: () => void }} */ (this.video).webkitEnterFullscreen?.();
  }

  async #togglePictureInPicture() {
    try {
      if (document.pictureInPictureElement) await document.exitPictureInPicture();
      else if (this.canvas.hidden) await this.video.requestPictureInPicture();
      else await showInPicture(this.canvas);
    } catch (error) {
      toast(errorText(error), 'bad');
    }
  }

  /** Saves the camera's own picture if it is a stream of ours, else the frame on the screen. */
  async #saveSnapshot() {
    if (!this.#item) return;
    const { name, stream } = this.#item;
    try {
      const url = URL.createObjectURL(stream ? await snapshotOf(name) : await frameOf(this.video));
      const time = new Date().toISOString().slice(0, 19).replaceAll(/[:T]/g, '-');
      h('a', { href: url, download: `${name.replaceAll('/', '-')}-${time}.jpg` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch (error) {
      toast(errorText(error), 'bad');
    }
  }

  #openLink() {
    if (!this.#item || !this.#wall) return;
    const { name, stream } = this.#item;
    openLinkDialog({ name, isStream: Boolean(stream), prefix: this.#wall.path_prefix });
  }
}

/** @type {(name: string, shape: Icon, label: string, onclick: () => void) => HTMLElement} */
function controlButton(name, shape, label, onclick) {
  return h(
    'button',
    { type: 'button', class: ['icon-button', `do-${name}`], 'aria-label': label, title: label, onclick },
    icon(shape),
  );
}

/**
 * Whether the target of an event is inside an element that matches.
 *
 * @param {EventTarget | null} target
 * @param {string} selector
 */
const isInside = (target, selector) => target instanceof Element && target.closest(selector) !== null;
