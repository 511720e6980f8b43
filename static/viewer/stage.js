// @ts-check
// One stream on the whole page: played by the best protocol, with the controls of a video player.

import * as api from '../lib/api.js';
import { fill, h, store, stored } from '../lib/dom.js';
import { dateTime, errorText, number, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { toast } from '../lib/toast.js';
import { Chain } from '../players/chain.js';
import { isForPage } from './keys.js';
import { hasStills, isAvailable, isSoundOnly, protocolName, reasonText, sourcesOf } from './playback.js';
import { stageParts } from './stage_parts.js';
import { statsTexts } from './stats.js';
import { failureText, showStatus, titleOf } from './status.js';
import { keepAwake } from './wake.js';
import { Zoom } from './zoom.js';

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
  #isAway = false;
  #kind = 'auto';
  #timer = 0;
  #idle = 0;
  #volume = stored('volume', 1);
  /** What the message shows, so that it is drawn once. */
  #said = '';

  constructor() {
    const actions = {
      toggleSound: () => this.#toggleSound(),
      setVolume: () => this.#setVolume(),
      toggleStats: () => this.#toggleStats(),
      snapshot: () => this.#saveSnapshot(),
      pictureInPicture: () => this.#togglePictureInPicture(),
      fullscreen: () => this.#toggleFullscreen(),
      resetZoom: () => this.zoom.reset(),
      link: () => this.#openLink(),
      chooseProtocol: () => this.#chooseProtocol(),
    };
    this.parts = stageParts(actions, this.#volume);
    const { screen, head, foot, facts, back, video, canvas, zoom } = this.parts;
    this.back = back;
    this.zoom = new Zoom(screen, [video, canvas], (scale) => {
      zoom.hidden = scale === 1;
      fill(zoom, `${number(scale, 1)}×`);
    });
    const label = t('viewer.one_stream');
    this.element = h('section', { class: 'stage', hidden: true, 'aria-label': label }, head, screen, foot, facts);
    this.#listen();
  }

  #listen() {
    const { screen, video } = this.parts;
    for (const event of ['pointermove', 'pointerdown', 'focusin']) {
      screen.addEventListener(event, () => this.#showControls());
    }
    video.addEventListener('volumechange', () => this.#showSound());
    screen.addEventListener('dblclick', ({ target }) => {
      if (!(target instanceof Element && target.closest('.stage-bar'))) this.#toggleFullscreen();
    });
    document.addEventListener('keydown', (event) => {
      if (this.element.hidden || !isForPage(event)) return;
      const action = this.#actionOf(event.key);
      if (!action) return;
      event.preventDefault();
      action();
    });
  }

  /**
   * @param {string} key
   * @returns {(() => unknown) | undefined}
   */
  #actionOf(key) {
    const { previous, next } = this.parts;
    const follow = (/** @type {HTMLAnchorElement} */ link) => (link.hidden ? undefined : () => link.click());
    if (key === 'Escape') return document.fullscreenElement || this.back.hidden ? undefined : () => this.back.click();
    if (key === 'ArrowLeft') return follow(previous);
    if (key === 'ArrowRight') return follow(next);
    /** @type {Record<string, () => unknown>} */
    const actions = {
      f: () => this.#toggleFullscreen(),
      m: () => this.#toggleSound(),
      i: () => this.#toggleStats(),
      s: () => this.#saveSnapshot(),
      '+': () => this.zoom.by(1),
      '=': () => this.zoom.by(1),
      '-': () => this.zoom.by(-1),
      0: () => this.zoom.reset(),
    };
    return actions[key.toLowerCase()];
  }

  /**
   * Shows an item. `neighbours` are the names before and after it on the wall.
   *
   * @param {Api.WallItem} item
   * @param {Api.Wall} wall
   * @param {{ isAway: boolean, neighbours: (string | undefined)[] }} around
   */
  open(item, wall, { isAway, neighbours }) {
    const isSame = this.#item?.name === item.name && !this.element.hidden;
    this.#isAway = isAway;
    this.#update(item, wall);
    const { previous, next, protocols, title } = this.parts;
    for (const [link, name] of /** @type {const} */ ([
      [previous, neighbours[0]],
      [next, neighbours[1]],
    ])) {
      link.hidden = name === undefined;
      if (name !== undefined) link.href = `#/watch/${api.encoded(name)}`;
    }
    if (isSame) return;
    this.element.hidden = false;
    title.focus({ preventScroll: true });
    this.zoom.reset();
    this.#kind = 'auto';
    const kinds = sourcesOf(item, wall).map(({ kind }) => h('option', { value: kind }, protocolName(kind)));
    fill(protocols, h('option', { value: 'auto', selected: true }, t('viewer.protocol_auto')), kinds);
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
    const { title, facts, recordings, name: overlay } = this.parts;
    title.textContent = overlay.textContent = titleOf(item);
    const texts = [
      stream && t('viewer.fact_kind', { kind: stream.kind }),
      path && t('viewer.fact_path', { path: path.name }),
      path?.tracks.join(' + '),
    ];
    // A visitor watches; how the stream is made is for those who made it.
    facts.textContent = api.isGuest() ? '' : texts.filter(Boolean).join(' · ');
    recordings.href = `#/recordings/${api.encoded(path?.name ?? name)}`;
    recordings.hidden = !path?.recordings;
    if (hasBecomeAvailable || hasMediaMtxAgain) this.#chain?.retry();
    if (this.#chain) this.#follow(this.#chain);
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
    this.#kind = this.parts.protocols.value;
    this.#play();
  }

  #play() {
    this.#stop();
    const [item, wall] = [this.#item, this.#wall];
    if (!item || !wall) return;
    const sources = sourcesOf(item, wall).filter(({ kind }) => this.#kind === 'auto' || this.#kind === kind);
    if (!wall.mediamtx && !sources.length) return this.#say(t('viewer.reason_no_mediamtx'));
    const { video, canvas } = this.parts;
    const chain = new Chain({ video, canvas, sources, token: api.token });
    this.#chain = chain;
    chain.addEventListener('change', () => this.#chain === chain && this.#follow(chain));
    chain.start();
    this.#timer = setInterval(() => this.#tick(), STATS_INTERVAL_MS);
  }

  #stop() {
    clearInterval(this.#timer);
    this.#chain?.stop();
    this.#chain = null;
    this.parts.stats.replaceChildren();
    keepAwake('stage', false);
  }

  /**
   * Shows the state of the chain.
   *
   * @param {Chain} chain
   */
  #follow(chain) {
    const item = /** @type {Api.WallItem} */ (this.#item);
    const { state, isStalled } = chain;
    const { screen, live, badge, playing } = this.parts;
    const isShown = state === 'playing' || state === 'waiting';
    const [isWaiting, isConnecting] = [state === 'waiting', state === 'connecting'];
    const isLost = !isShown && !isConnecting;
    // MediaMTX is away, and the path that it had is still shown.
    const isAway = this.#isAway || (!item.stream && Boolean(item.path) && !this.#wall?.mediamtx);
    const status = showStatus(badge, { item, isAway, isShown, isStalled, isWaiting, isConnecting, isLost });
    screen.classList.toggle('is-playing', isShown);
    screen.classList.toggle('is-stale', isShown && status !== 'live' && status !== 'starting');
    screen.classList.toggle('is-pending', isShown && (status === 'failing' || status === 'starting'));
    live.hidden = status !== 'live';
    keepAwake('stage', isShown);
    this.#showSound();
    const reasons = chain.failures
      .map(({ kind, error }) => `${protocolName(kind)}: ${reasonText(error, item)}`)
      .join(' ');
    if (isShown) {
      this.#say(this.#textOver(status, chain));
      playing.textContent = status === 'live' || status === 'stalled' ? this.#howText(chain, reasons) : '';
    } else if (state === 'connecting') {
      this.#say(t('viewer.connecting'), null, true);
      playing.textContent = reasons;
    } else this.#showFailures(chain);
  }

  /**
   * What stands over a picture that is none, or that is old.
   *
   * @param {import('./status.js').Status} status
   * @param {Chain} chain
   */
  #textOver(status, { seenAt }) {
    const item = /** @type {Api.WallItem} */ (this.#item);
    if (status === 'failing') return failureText(item);
    if (status === 'starting') return t('viewer.waiting');
    if (status === 'stalled') return t('viewer.stale_since', { time: dateTime(new Date(seenAt)) });
    if (status === 'away') return t(this.#isAway ? 'viewer.stale_away' : 'viewer.stale_mediamtx');
    return isSoundOnly(item) ? t('viewer.sound_only') : '';
  }

  /**
   * @param {Chain} chain
   * @param {string} reasons why better protocols do not play
   */
  #howText({ player }, reasons) {
    const protocol = player?.protocol;
    const plays = reasons ? t('viewer.plays_because', { protocol, reasons }) : t('viewer.plays', { protocol });
    return player?.note ? `${plays} ${t('viewer.no_sound', { note: player.note })}` : plays;
  }

  /** @param {Chain} chain */
  #showFailures({ failures }) {
    const weight = (/** @type {string} */ reason) => WEIGHTS.indexOf(reason) + 1 || WEIGHTS.length + 1;
    const [main] = failures.toSorted((a, b) => weight(a.error.reason) - weight(b.error.reason));
    const onclick = () => this.#chain?.retry();
    const again = h('button', { type: 'button', onclick }, icon('refresh'), t('viewer.try_again'));
    const item = /** @type {Api.WallItem} */ (this.#item);
    const reason = main ? reasonText(main.error, item) : t('viewer.reason_no_publisher');
    this.#say(failureText(item) || reason, [this.parts.retry, again]);
    this.#countDown();
    const details = failures.map(({ kind, error }) => `${protocolName(kind)}: ${error.message}`);
    this.parts.playing.textContent = details.length > 1 ? details.join(' · ') : '';
  }

  /**
   * @param {string} text
   * @param {Dom.Child} [action]
   */
  #say(text, action = null, isBusy = false) {
    const { message } = this.parts;
    // Drawn once: a button keeps its focus, and a screen reader says it once.
    const said = `${text} ${action !== null} ${isBusy}`;
    if (said === this.#said) return;
    this.#said = said;
    fill(message, isBusy && h('span', { class: 'spinner' }), text && h('p', {}, text), action);
    message.hidden = !text;
  }

  #countDown() {
    const at = this.#chain?.retryAt;
    const seconds = at ? Math.max(0, Math.round((at - Date.now()) / 1000)) : 0;
    this.parts.retry.textContent = at ? t('viewer.retry_in', { seconds }) : '';
  }

  async #tick() {
    this.#countDown();
    const { stats } = this.parts;
    const player = this.#chain?.player;
    if (stats.hidden || !player) return;
    const rows = statsTexts(await player.stats());
    const items = rows.map(([key, text]) => [
      h('dt', {}, t(`viewer.stats_${key}`)),
      h('dd', { class: 'number' }, text),
    ]);
    fill(stats, items);
  }

  #toggleStats() {
    const { stats, statsButton } = this.parts;
    stats.hidden = !stats.hidden;
    statsButton.setAttribute('aria-pressed', String(!stats.hidden));
    this.#tick();
  }

  #hasSound() {
    return Boolean(this.#chain?.player?.hasSound);
  }

  #showSound() {
    const { video, sound, soundButton, volume } = this.parts;
    const { muted } = video;
    sound.hidden = !this.#hasSound();
    fill(soundButton, icon(muted ? 'mute' : 'sound'));
    const label = muted ? t('viewer.unmute') : t('viewer.mute');
    soundButton.setAttribute('aria-label', label);
    soundButton.title = label;
    volume.hidden = muted;
  }

  #toggleSound() {
    if (!this.#hasSound()) return;
    const { video } = this.parts;
    video.volume = this.#volume;
    video.muted = !video.muted;
  }

  #setVolume() {
    const { video, volume } = this.parts;
    this.#volume = Number(volume.value);
    video.volume = this.#volume;
    store('volume', this.#volume);
  }

  #showControls() {
    const { screen } = this.parts;
    screen.classList.remove('is-idle');
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => screen.classList.add('is-idle'), IDLE_MS);
  }

  async #toggleFullscreen() {
    const { screen, video } = this.parts;
    if (document.fullscreenElement) return document.exitFullscreen();
    if (screen.requestFullscreen) return screen.requestFullscreen();
    // iPhones have fullscreen for videos only.
    return /** @type {{ webkitEnterFullscreen?: () => void }} */ (video).webkitEnterFullscreen?.();
  }

  async #togglePictureInPicture() {
    const { video, canvas } = this.parts;
    try {
      if (document.pictureInPictureElement) await document.exitPictureInPicture();
      else if (canvas.hidden) await video.requestPictureInPicture();
      else await (await import('./capture.js')).showInPicture(canvas);
    } catch (error) {
      toast(errorText(error), 'bad');
    }
  }

  /** Saves the camera's own picture if the sidecar has it, else the frame on the screen. */
  async #saveSnapshot() {
    const item = this.#item;
    if (!item) return;
    const { video, canvas } = this.parts;
    const isOurs = item.stream || !canvas.hidden;
    try {
      const { frameOf, localTime, snapshotOf } = await import('./capture.js');
      const url = URL.createObjectURL(isOurs ? await snapshotOf(item.name) : await frameOf(video));
      h('a', { href: url, download: `${item.name.replaceAll('/', '-')}-${localTime(new Date())}.jpg` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch (error) {
      toast(errorText(error), 'bad');
    }
  }

  async #openLink() {
    const [item, wall] = [this.#item, this.#wall];
    if (!item || !wall) return;
    const { name, stream, path } = item;
    const addresses = wall.mediamtx ? wall : undefined;
    const { openLinkDialog } = await import('../lib/links.js');
    openLinkDialog({ name, isStream: Boolean(stream), hasStills: hasStills(item), path: path?.name, addresses });
  }
}
