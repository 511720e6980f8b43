// @ts-check
// This device as a camera: its picture is sent to a path of MediaMTX, by WHIP, until it is stopped or the link is revoked.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { loadStyle } from '../lib/style.js';
import { PlayerError } from '../players/player.js';
import { WhipPublisher } from '../players/whip.js';
import { keepAwake } from './wake.js';

await loadStyle(new URL('phone.css', import.meta.url));

/** Pauses between attempts. */
const PAUSE_MS = { first: 1000, longest: 15_000 };

/** How often the session is looked after: MediaMTX ends it without a word to the browser. */
const CHECK_MS = 3000;

/** @typedef {'ready' | 'connecting' | 'live' | 'failing'} PhoneState */

export class Phone {
  /** @type {string | null} */
  #path = null;
  /** @type {MediaStream | null} */
  #stream = null;
  /** @type {WhipPublisher | null} */
  #publisher = null;
  #timer = 0;
  #pause = PAUSE_MS.first;

  constructor() {
    this.video = h('video', { muted: true, autoplay: true, playsInline: true });
    this.title = h('h1', { tabIndex: -1 });
    this.badge = h('span', { class: 'badge', role: 'status' });
    this.note = h('p', { class: 'phone-note', role: 'status' });
    this.cameras = h('select', { 'aria-label': t('viewer.phone_camera'), onchange: () => this.#look() });
    this.microphone = h('input', { type: 'checkbox', role: 'switch', checked: true, onchange: () => this.#mute() });
    this.main = h('button', { type: 'button', class: 'primary phone-go', onclick: () => this.#toggle() });
    const sound = h('label', { class: 'check' }, this.microphone, t('viewer.phone_sound'));
    this.element = h(
      'section',
      { class: 'phone', hidden: true, 'aria-label': t('viewer.phone') },
      h('div', { class: 'stage-head' }, this.title, h('span', { class: 'grow' }), this.badge),
      h('div', { class: 'screen phone-screen' }, this.video, this.note),
      h('div', { class: 'phone-controls' }, this.cameras, sound, this.main),
    );
    this.#become('ready');
  }

  /**
   * Shows the camera, which is sent after a press of the button.
   *
   * @param {string} path
   */
  async open(path) {
    if (path === this.#path) return;
    this.close();
    this.#path = path;
    this.element.hidden = false;
    this.title.textContent = path;
    this.title.focus({ preventScroll: true });
    await this.#look();
  }

  close() {
    this.element.hidden = true;
    this.#path = null;
    this.#stop();
    this.#release();
  }

  #release() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    this.video.srcObject = null;
  }

  /** Opens the chosen camera: that on the back of a phone, unless another one is chosen. */
  async #look() {
    const isRunning = this.#publisher !== null;
    this.#stop();
    this.#release();
    if (!navigator.mediaDevices?.getUserMedia) return this.#say(t('viewer.phone_insecure'));
    const id = this.cameras.value;
    const video = {
      ...(id ? { deviceId: { exact: id } } : { facingMode: 'environment' }),
      width: { ideal: 1280 },
      height: { ideal: 720 },
    };
    const ask = (/** @type {boolean} */ audio) => navigator.mediaDevices.getUserMedia({ video, audio });
    try {
      // A device without a microphone is a camera, too.
      this.#stream = await ask(true).catch((error) => (isMissing(error) ? ask(false) : Promise.reject(error)));
    } catch (error) {
      return this.#say(isMissing(error) ? t('viewer.phone_none') : t('viewer.phone_denied'));
    }
    this.video.srcObject = this.#stream;
    this.#say('');
    this.#mute();
    await this.#listCameras();
    if (isRunning) this.#start();
  }

  async #listCameras() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    const cameras = devices.filter(({ kind, deviceId }) => kind === 'videoinput' && deviceId);
    const present = this.#stream?.getVideoTracks()[0]?.getSettings().deviceId;
    const options = cameras.map(({ deviceId, label }, i) =>
      h(
        'option',
        { value: deviceId, selected: deviceId === present },
        label || t('viewer.phone_camera_n', { n: i + 1 }),
      ),
    );
    this.cameras.hidden = cameras.length < 2;
    fill(this.cameras, options);
  }

  #mute() {
    for (const track of this.#stream?.getAudioTracks() ?? []) track.enabled = this.microphone.checked;
  }

  #toggle() {
    if (this.#publisher || this.#timer) return this.#stop();
    this.#pause = PAUSE_MS.first;
    this.#start();
  }

  async #start() {
    const stream = this.#stream;
    const path = this.#path;
    if (!stream || !path) return;
    this.#become('connecting');
    keepAwake('phone', true);
    try {
      const { webrtc } = await api.call('api/v1/addresses');
      const url = `${webrtc}/${api.encoded(path)}/whip`;
      const publisher = new WhipPublisher(stream, url, { token: api.token, base: webrtc });
      this.#publisher = publisher;
      publisher.addEventListener('error', (event) => {
        if (this.#publisher === publisher) this.#fail(/** @type {CustomEvent} */ (event).detail);
      });
      await publisher.start();
      if (this.#publisher !== publisher) return publisher.stop();
      this.#pause = PAUSE_MS.first;
      this.#become('live');
      this.#watch(publisher);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** @param {WhipPublisher} publisher */
  async #watch(publisher) {
    while (this.#publisher === publisher) {
      await new Promise((done) => setTimeout(done, CHECK_MS));
      if (this.#publisher === publisher && !document.hidden) await publisher.check();
    }
  }

  /** @param {unknown} error */
  #fail(error) {
    this.#publisher?.stop();
    this.#publisher = null;
    // A link that was revoked, or has expired, does not come back.
    if (error instanceof PlayerError && error.reason === 'unauthorised') {
      this.#stop();
      return this.#say(t('viewer.phone_ended'));
    }
    this.#become('failing');
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#start();
    }, this.#pause);
    this.#pause = Math.min(this.#pause * 2, PAUSE_MS.longest);
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#publisher?.stop();
    this.#publisher = null;
    keepAwake('phone', false);
    this.#become('ready');
  }

  /** @param {string} text */
  #say(text) {
    this.note.textContent = text;
    this.main.disabled = text !== '';
  }

  /** @param {PhoneState} state */
  #become(state) {
    const isRunning = state !== 'ready';
    const colour = { ready: '', connecting: 'starting', live: 'live', failing: 'failing' }[state];
    this.badge.className = `badge ${colour}`;
    this.badge.textContent = t(`viewer.phone_${state}`);
    this.main.className = `phone-go ${isRunning ? 'danger' : 'primary'}`;
    fill(
      this.main,
      icon(isRunning ? 'close' : 'camera'),
      h('span', {}, isRunning ? t('viewer.phone_stop') : t('viewer.phone_start')),
    );
  }
}

/**
 * Whether the browser has no device of this kind.
 *
 * @param {unknown} error
 */
const isMissing = (error) =>
  error instanceof DOMException && ['NotFoundError', 'OverconstrainedError'].includes(error.name);
