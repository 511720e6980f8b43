// @ts-check
// The picture of the first page: one stream, live, by each protocol that this browser can play here, with the delay of each.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { errorText, number, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { hostHint, qrPicture, streamAndPath } from '../lib/links.js';
import { snippet } from '../lib/form.js';
import { toast } from '../lib/toast.js';

const STATS_MS = 1000;

/** @typedef {import('../players/chain.js').Chain} Chain */

export class Hero {
  element = h('section', { class: 'card wide hero', hidden: true, 'aria-labelledby': 'hero-title' });
  #name = '';
  /** @type {Chain[]} */
  #chains = [];
  #timer = 0;

  /**
   * Shows the first stream that there is, if the user can watch one; demonstrations come before others.
   */
  async showAny() {
    if (this.#name) return;
    const wall = await api.call('api/v1/wall').catch(() => null);
    const streams = wall?.items.filter(({ stream }) => stream?.picture && !stream.failure) ?? [];
    const item = streams.find(({ name }) => name.startsWith('demo/')) ?? streams[0];
    if (item && wall) await this.#show(item, wall);
  }

  /**
   * Shows this stream.
   *
   * @param {string} name
   */
  async show(name) {
    const wall = await api.call('api/v1/wall').catch(() => null);
    const item = wall?.items.find((one) => one.name === name);
    if (item && wall) await this.#show(item, wall);
  }

  /**
   * @param {Api.WallItem} item
   * @param {Api.Wall} wall
   */
  async #show(item, wall) {
    if (item.name === this.#name) return;
    this.#stop();
    this.#name = item.name;
    // Players are loaded when there is something to play.
    const [{ Chain }, { sourcesOf, protocolName }] = await Promise.all([
      import('../players/chain.js'),
      import('../viewer/playback.js'),
    ]);
    if (this.#name !== item.name) return;
    const sources = sourcesOf(item, wall).filter(({ kind }) => kind !== 'mse' || !wall.mediamtx);
    const panes = sources.map((source) => {
      const video = h('video', { muted: true, playsInline: true, hidden: true });
      const canvas = h('canvas', { hidden: true });
      const delay = h('span', { class: 'number dim' });
      const chain = new Chain({ video, canvas, sources: [source], token: api.token, isSilent: true });
      const pane = h(
        'div',
        { class: 'pane', dataset: { kind: source.kind } },
        h('div', { class: 'pane-picture' }, video, canvas),
      );
      pane.append(h('div', { class: 'pane-line' }, h('strong', {}, protocolName(source.kind)), delay));
      chain.addEventListener('change', () => {
        pane.classList.toggle('is-playing', chain.state === 'playing');
        // A way that does not get through to this browser has no place; it is tried again.
        if (chain.state === 'pausing' || chain.state === 'playing') pane.hidden = chain.state === 'pausing';
      });
      this.#chains.push(chain);
      return { pane, chain, delay };
    });
    const title = h('h2', { id: 'hero-title' }, item.name);
    const badge = h('span', { class: 'badge' }, t('start.hero_starting'));
    const links = h('div', { class: 'row' }, this.#watchLink(item.name), this.#phoneButton(item, wall));
    const phone = h('div', { class: 'stack hero-phone' });
    this.phone = phone;
    fill(
      this.element,
      h('div', { class: 'card-head' }, title, badge),
      h(
        'div',
        { class: 'panes' },
        panes.map(({ pane }) => pane),
      ),
      h('p', { class: 'hint' }, wall.mediamtx ? t('start.hero_text') : t('start.hero_text_alone')),
      links,
      phone,
    );
    this.element.hidden = false;
    for (const { chain } of panes) chain.start();
    const tick = async () => {
      const isLive = panes.some(({ chain }) => chain.state === 'playing' && !chain.isStalled);
      badge.className = isLive ? 'badge live' : 'badge starting';
      badge.textContent = isLive ? t('start.hero_live') : t('start.hero_starting');
      if (document.hidden) return;
      for (const { chain, delay } of panes) {
        const stats = await chain.player?.stats();
        const ms = stats?.latencyMs ?? stats?.ageMs;
        delay.textContent = typeof ms === 'number' ? t('start.hero_delay', { ms: number(Math.max(0, ms)) }) : '';
      }
    };
    this.#timer = setInterval(tick, STATS_MS);
  }

  /** @param {string} name */
  #watchLink(name) {
    const href = `${api.address('viewer/')}#/watch/${api.encoded(name)}`;
    return h('a', { class: 'button primary', href }, icon('play'), t('start.watch'));
  }

  /**
   * Makes a link for a day with a QR code, for administrators.
   *
   * @param {Api.WallItem} item
   * @param {Api.Wall} wall
   */
  #phoneButton({ name }, { path_prefix: prefix }) {
    if (!api.may('api')) return null;
    const onclick = async () => {
      try {
        const wanted = { path: streamAndPath(name, prefix), expires: '1day', label: name };
        const { url } = await api.send('POST', 'api/v1/shares', wanted);
        if (this.phone) fill(this.phone, await qrPicture(url), snippet(url), hostHint());
      } catch (error) {
        toast(errorText(error), 'bad');
      }
    };
    return h('button', { type: 'button', onclick }, icon('qr'), t('start.hero_phone'));
  }

  #stop() {
    clearInterval(this.#timer);
    for (const chain of this.#chains) chain.stop();
    this.#chains = [];
  }
}
