// One stream on the whole page: played by the best way there is, with what one does with a video.

import * as api from '../lib/api.js';
import { fill, h, remember, remembered } from '../lib/dom.js';
import { number, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { openLinkDialog } from '../lib/links.js';
import { toast } from '../lib/toast.js';
import { Chain } from '../players/chain.js';
import { isAvailable, showState, wayName, waysOf, why } from './ways.js';

const STATS_EVERY_MS = 1000;

/** Controls are out of sight after so long without a movement. */
const IDLE_MS = 3000;

export class Stage {
  #chain = null;
  #item = null;
  #info = null;
  #kind = 'auto';
  #timer = null;
  #idle = null;
  #volume = remembered('volume', 1);

  constructor() {
    const button = (name, shape, label, action) =>
      h(
        'button',
        { type: 'button', class: ['icon-button', `do-${name}`], 'aria-label': label, title: label, onclick: action },
        icon(shape),
      );
    this.video = h('video', { playsInline: true, muted: true });
    this.video.muted = true;
    this.canvas = h('canvas', { hidden: true });
    this.message = h('div', { class: 'stage-message', role: 'status' });
    // Not told each second to who listens.
    this.retry = h('p', { class: 'stage-retry', 'aria-hidden': 'true' });
    this.stats = h('dl', { class: 'stage-stats', hidden: true, 'aria-label': t('viewer.stats') });
    this.soundButton = button('sound', 'mute', t('viewer.unmute'), () => this.#toggleSound());
    this.level = h('input', {
      type: 'range',
      min: 0,
      max: 1,
      step: 0.05,
      value: this.#volume,
      class: 'volume',
      'aria-label': t('viewer.volume'),
      oninput: () => this.#setVolume(),
    });
    this.statsButton = button('stats', 'gauge', t('viewer.stats'), () => this.#toggleStats());
    this.statsButton.setAttribute('aria-pressed', 'false');
    this.pipButton = button('pip', 'pip', t('viewer.pip'), () => this.#pictureInPicture());
    this.pipButton.hidden = !document.pictureInPictureEnabled;
    this.live = h('span', { class: 'stage-live' }, t('viewer.live_word'));
    this.bar = h(
      'div',
      { class: 'stage-bar' },
      this.live,
      h('span', { class: 'stage-sound' }, this.soundButton, this.level),
      h('span', { class: 'grow' }),
      this.statsButton,
      button('snapshot', 'camera', t('viewer.snapshot'), () => this.#snapshot()),
      this.pipButton,
      button('fullscreen', 'fullscreen', t('viewer.fullscreen'), () => this.#fullscreen()),
    );
    this.screen = h(
      'div',
      { class: 'screen', tabIndex: -1 },
      this.video,
      this.canvas,
      this.message,
      this.stats,
      this.bar,
    );
    this.back = h(
      'a',
      { class: 'button icon-button', href: '#/', 'aria-label': t('viewer.back'), title: t('viewer.back') },
      icon('back'),
    );
    this.title = h('h1', { tabIndex: -1 });
    this.badge = h('span', { class: 'badge' });
    this.facts = h('p', { class: 'dim' });
    this.how = h('p', { class: 'stage-how', role: 'status' });
    this.wayChoice = h('select', { 'aria-label': t('viewer.way'), onchange: () => this.#chooseWay() });
    this.recordings = h('a', { class: 'button' }, icon('film'), h('span', {}, t('viewer.recordings')));
    this.element = h(
      'section',
      { class: 'stage', hidden: true, 'aria-label': t('viewer.one_stream') },
      h(
        'div',
        { class: 'stage-head' },
        this.back,
        this.title,
        this.badge,
        h('span', { class: 'grow' }),
        this.recordings,
        h('button', { type: 'button', onclick: () => this.#link() }, icon('link'), h('span', {}, t('viewer.link'))),
      ),
      this.screen,
      h(
        'div',
        { class: 'stage-foot' },
        this.how,
        h('label', { class: 'row' }, h('span', { class: 'dim' }, t('viewer.way')), this.wayChoice),
      ),
      this.facts,
    );
    this.#listen();
  }

  #listen() {
    for (const event of ['pointermove', 'pointerdown', 'focusin'])
      this.screen.addEventListener(event, () => this.#wake());
    this.video.addEventListener('volumechange', () => this.#showSound());
    this.screen.addEventListener('dblclick', (event) => event.target.closest('.stage-bar') || this.#fullscreen());
    document.addEventListener('keydown', (event) => {
      if (
        this.element.hidden ||
        event.ctrlKey ||
        event.metaKey ||
        event.altKey ||
        event.target.closest('input, select, textarea, dialog')
      )
        return;
      const action = {
        f: () => this.#fullscreen(),
        m: () => this.#toggleSound(),
        i: () => this.#toggleStats(),
        s: () => this.#snapshot(),
      }[event.key];
      if (action) action();
      else if (event.key === 'Escape' && !document.fullscreenElement) location.hash = '#/';
    });
  }

  /** Shows this one. */
  open(item, info) {
    const isSame = this.#item?.name === item.name && !this.element.hidden;
    this.update(item, info);
    if (isSame) return;
    this.element.hidden = false;
    this.title.focus({ preventScroll: true });
    this.#kind = 'auto';
    this.#showWays();
    this.#play();
    this.#wake();
  }

  /** What is new about it. What was not there may be there now. */
  update(item, info) {
    const wasDark = this.#item && !isAvailable(this.#item);
    this.#item = item;
    this.#info = info;
    this.title.textContent = item.name;
    showState(this.badge, item);
    this.facts.textContent = [
      item.stream && t('viewer.fact_kind', { kind: item.stream.kind }),
      item.path && t('viewer.fact_path', { path: item.path.name }),
      item.path?.tracks.length > 0 && item.path.tracks.join(' + '),
    ]
      .filter(Boolean)
      .join(' · ');
    this.recordings.href = `#/recordings/${api.encoded(item.path?.name ?? item.name)}`;
    this.recordings.hidden = !(info.mediamtx && item.path);
    if (wasDark && isAvailable(item)) this.#chain?.retry();
  }

  close() {
    if (this.element.hidden) return;
    this.element.hidden = true;
    this.#stop();
    if (document.fullscreenElement) document.exitFullscreen();
    if (document.pictureInPictureElement) document.exitPictureInPicture();
    this.#item = null;
  }

  #showWays() {
    const kinds = waysOf(this.#item, this.#info).map(({ kind }) => kind);
    fill(
      this.wayChoice,
      ['auto', ...kinds].map((kind) =>
        h(
          'option',
          { value: kind, selected: kind === this.#kind },
          kind === 'auto' ? t('viewer.way_auto') : wayName(kind),
        ),
      ),
    );
  }

  #chooseWay() {
    this.#kind = this.wayChoice.value;
    this.#play();
  }

  #play() {
    this.#stop();
    const ways = waysOf(this.#item, this.#info, this.#kind === 'auto' ? undefined : [this.#kind]);
    if (!this.#info.mediamtx && !ways.length) return this.#say(t('viewer.reason_no_mediamtx'));
    const chain = new Chain({ video: this.video, canvas: this.canvas, ways, token: api.token });
    this.#chain = chain;
    chain.addEventListener('change', () => this.#chain === chain && this.#follow());
    chain.start();
    this.#timer = setInterval(() => this.#tick(), STATS_EVERY_MS);
  }

  #stop() {
    clearInterval(this.#timer);
    this.#chain?.stop();
    this.#chain = null;
    this.stats.replaceChildren();
  }

  #follow() {
    const { state, player, failures } = this.#chain;
    const isPlaying = state === 'playing' || state === 'waiting';
    this.screen.classList.toggle('is-playing', isPlaying);
    this.live.hidden = !isPlaying;
    this.#showSound();
    const reasons = failures.map(({ kind, error }) => `${wayName(kind)}: ${why(error, this.#item)}`);
    if (isPlaying) {
      this.#say('');
      this.how.textContent = reasons.length
        ? t('viewer.plays_because', { way: player.protocol, why: reasons.join(' ') })
        : t('viewer.plays', { way: player.protocol });
    } else if (state === 'connecting') {
      this.#say(t('viewer.connecting'), null, true);
      this.how.textContent = reasons.join(' ');
    } else this.#tellFailure();
  }

  #tellFailure() {
    const { failures } = this.#chain;
    // The word that says most: what is true of the source before what is true of a way to it.
    const weights = [
      'unauthorised',
      'nobody',
      'codec',
      'insecure',
      'network',
      'timeout',
      'unreachable',
      'server',
      'ended',
      'unsupported',
    ];
    const [worst] = failures.toSorted((a, b) => weights.indexOf(a.error.reason) - weights.indexOf(b.error.reason));
    const again = h(
      'button',
      { type: 'button', onclick: () => this.#chain?.retry() },
      icon('refresh'),
      t('viewer.try_again'),
    );
    this.#say(worst ? why(worst.error, this.#item) : t('viewer.reason_nobody'), [this.retry, again]);
    this.#countDown();
    this.how.textContent =
      failures.length > 1 ? failures.map(({ kind, error }) => `${wayName(kind)}: ${error.message}`).join(' · ') : '';
  }

  #say(text, action = null, isBusy = false) {
    fill(this.message, isBusy && h('span', { class: 'spinner' }), text && h('p', {}, text), action);
    this.message.hidden = !text;
  }

  #countDown() {
    const left = Math.max(0, Math.round(((this.#chain?.retryAt ?? Date.now()) - Date.now()) / 1000));
    this.retry.textContent = this.#chain?.retryAt ? t('viewer.retry_in', { seconds: left }) : '';
  }

  async #tick() {
    this.#countDown();
    if (this.stats.hidden || !this.#chain?.player) return;
    const known = await this.#chain.player.stats();
    const rows = {
      protocol: known.protocol,
      codec: known.codec || null,
      size: known.width ? `${known.width} × ${known.height}` : null,
      fps: known.fps === null || known.fps === undefined ? null : number(known.fps, 1),
      rate: known.kbps === null || known.kbps === undefined ? null : `${number(known.kbps)} kbit/s`,
      latency: known.latencyMs === null || known.latencyMs === undefined ? null : `${number(known.latencyMs)} ms`,
      age: known.ageMs === null || known.ageMs === undefined ? null : `${number(known.ageMs)} ms`,
      lost: known.lost ? number(known.lost) : null,
    };
    fill(
      this.stats,
      Object.entries(rows)
        .filter(([, value]) => value !== null)
        .map(([key, value]) => [h('dt', {}, t(`viewer.stats_${key}`)), h('dd', { class: 'number' }, value)]),
    );
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
    this.soundButton.parentElement.hidden = !this.#hasSound();
    fill(this.soundButton, icon(muted ? 'mute' : 'sound'));
    const label = muted ? t('viewer.unmute') : t('viewer.mute');
    this.soundButton.setAttribute('aria-label', label);
    this.soundButton.title = label;
    this.level.hidden = muted;
  }

  #toggleSound() {
    if (!this.#hasSound()) return;
    this.video.volume = this.#volume;
    this.video.muted = !this.video.muted;
  }

  #setVolume() {
    this.#volume = Number(this.level.value);
    this.video.volume = this.#volume;
    remember('volume', this.#volume);
  }

  #wake() {
    this.screen.classList.remove('is-idle');
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.screen.classList.add('is-idle'), IDLE_MS);
  }

  async #fullscreen() {
    if (document.fullscreenElement) return document.exitFullscreen();
    // iPhones have it for videos only.
    if (this.screen.requestFullscreen) await this.screen.requestFullscreen();
    else this.video.webkitEnterFullscreen?.();
  }

  async #pictureInPicture() {
    try {
      if (document.pictureInPictureElement) return await document.exitPictureInPicture();
      if (this.canvas.hidden) return await this.video.requestPictureInPicture();
      // A canvas cannot go there; a video of it can.
      const copy = h('video', { muted: true, playsInline: true, srcObject: this.canvas.captureStream(10) });
      await copy.play();
      await copy.requestPictureInPicture();
      copy.addEventListener(
        'leavepictureinpicture',
        () => {
          copy.srcObject = null;
        },
        { once: true },
      );
    } catch (error) {
      toast(error.message, 'bad');
    }
  }

  /** The picture as it came where there is one, else what is on the screen. */
  async #snapshot() {
    try {
      const { name, stream } = this.#item;
      let blob;
      if (stream) {
        const response = await api.request(`snapshot/${api.encoded(name)}.jpg`);
        if (!response.ok) throw new Error(t('viewer.no_picture_yet'));
        blob = await response.blob();
      } else {
        const { videoWidth: width, videoHeight: height } = this.video;
        if (!width) throw new Error(t('viewer.no_picture_yet'));
        const canvas = h('canvas', { width, height });
        canvas.getContext('2d').drawImage(this.video, 0, 0);
        blob = await new Promise((done) => {
          canvas.toBlob(done, 'image/jpeg', 0.92);
        });
      }
      const url = URL.createObjectURL(blob);
      const time = new Date().toISOString().slice(0, 19).replaceAll(/[:T]/g, '-');
      h('a', { href: url, download: `${name.replaceAll('/', '-')}-${time}.jpg` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch (error) {
      toast(error.message, 'bad');
    }
  }

  #link() {
    const { name, stream } = this.#item;
    openLinkDialog({ name, hasPictures: Boolean(stream), picturesPath: this.#info.pictures_path });
  }
}
