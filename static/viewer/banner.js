// @ts-check
// The line above everything that says when a server does not answer, so that an old picture is not taken for a new one.

import { fill, h, store, stored } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';

/** A connection that is lost and found again at once is not worth a word. */
const PATIENCE_MS = 1000;

export class Banner {
  element = h('div', { class: 'banner', role: 'alert', hidden: true });
  #isAway = false;
  #awayTimer = 0;
  #isMediaMtxAway = false;
  /** @type {() => void} */
  #onChange;

  /** @param {() => void} onChange called when `isAway` changes */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** Whether the sidecar does not answer. */
  get isAway() {
    return this.#isAway;
  }

  /**
   * Says whether the sidecar answers.
   *
   * @param {boolean} answers
   */
  sidecar(answers) {
    if (answers) {
      clearTimeout(this.#awayTimer);
      this.#awayTimer = 0;
      this.#become(false);
    } else if (!this.#isAway) {
      this.#awayTimer ||= setTimeout(() => this.#become(true), PATIENCE_MS);
    }
  }

  /**
   * Says whether MediaMTX answers. A sidecar without a MediaMTX is no fault: the line is for one that this browser has known.
   *
   * @param {boolean} answers
   */
  mediaMtx(answers) {
    if (answers && !stored('mediamtx', false)) store('mediamtx', true);
    this.#isMediaMtxAway = !answers && stored('mediamtx', false);
    this.#draw();
  }

  /** @param {boolean} isAway */
  #become(isAway) {
    if (this.#isAway === isAway) return;
    this.#isAway = isAway;
    this.#awayTimer = 0;
    this.#draw();
    this.#onChange();
  }

  #draw() {
    const key = this.#isAway ? 'viewer.banner_away' : this.#isMediaMtxAway ? 'viewer.banner_mediamtx' : '';
    if (this.element.dataset.says === key) return;
    this.element.dataset.says = key;
    this.element.hidden = !key;
    fill(this.element, key && [icon('alert'), h('span', {}, t(key))]);
  }
}
