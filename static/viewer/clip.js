// @ts-check
// A range of recordings: chosen on the timeline or by its times, downloaded as files, and linked to.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { field, valueOf } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { durationText } from '../lib/length.js';
import { lifetimeOptions, linkDialog, literal } from '../lib/links.js';
import { DAY, clock, secondsOf } from './times.js';

/** The length of a range before it is changed, in seconds. */
const LENGTH = 60;

/** @typedef {import('./recorded_path.js').RecordedPath} RecordedPath */
/** @typedef {import('./timeline.js').Span} Span */

export class Clip {
  /** @type {Span | null} */
  #span = null;
  #timeline;
  #paths;

  /**
   * @param {import('./timeline.js').Timeline} timeline
   * @param {() => RecordedPath[]} paths those that are shown, the first one first
   */
  constructor(timeline, paths) {
    this.#timeline = timeline;
    this.#paths = paths;
    const onclick = () => (this.#span ? this.choose(null) : this.#begin());
    this.button = h(
      'button',
      { type: 'button', class: 'do-clip', 'aria-pressed': 'false', onclick },
      icon('clip', 18),
      h('span', {}, t('viewer.clip')),
    );
    const onchange = () => this.#read();
    this.from = field({ label: t('viewer.clip_from'), name: 'from', type: 'time', step: 1, onchange });
    this.to = field({ label: t('viewer.clip_to'), name: 'to', type: 'time', step: 1, onchange });
    this.length = h('span', { class: 'dim number', role: 'status' });
    this.files = h('ul', { class: 'clip-files' });
    const share = h(
      'button',
      { type: 'button', class: 'do-share', onclick: () => this.#share() },
      icon('link', 18),
      h('span', {}, t('viewer.clip_link')),
    );
    this.element = h(
      'section',
      { class: 'card clip', hidden: true, 'aria-label': t('viewer.clip') },
      h('div', { class: 'row' }, this.from, this.to, this.length, h('span', { class: 'grow' }), share),
      this.files,
    );
  }

  #begin() {
    const [first] = this.#paths();
    const from = first?.next(this.#timeline.at) ?? this.#timeline.at;
    const part = first?.parts.find(({ offset, duration }) => offset + duration > from);
    const end = part ? part.offset + part.duration : DAY;
    this.choose({ from: Math.floor(from), to: Math.ceil(Math.min(from + LENGTH, end)) });
    this.element.scrollIntoView({ block: 'nearest' });
  }

  /**
   * Chooses a range, or none.
   *
   * @param {Span | null} span
   */
  choose(span) {
    this.#span = span;
    this.#timeline.choose(span);
    this.element.hidden = !span;
    this.button.setAttribute('aria-pressed', String(span !== null));
    if (!span) return;
    for (const [part, seconds] of [
      [this.from, span.from],
      [this.to, span.to],
    ]) {
      // The last second of the day is the latest that the field can hold.
      const text = clock(Math.min(Number(seconds), DAY - 1));
      /** @type {HTMLInputElement} */ (/** @type {HTMLElement} */ (part).querySelector('input')).value = text;
    }
    this.length.textContent = durationText(span.to - span.from);
    this.#drawFiles(span);
  }

  #read() {
    const value = (/** @type {HTMLElement} */ part) => secondsOf(part.querySelector('input')?.value ?? '');
    const [from, to] = [value(this.from), value(this.to)];
    if (from === null || to === null) return;
    this.choose(from < to ? { from, to } : { from, to: Math.min(DAY, from + 1) });
  }

  /** @param {Span} span */
  #drawFiles(span) {
    const several = this.#paths().length > 1;
    const files = this.#paths().flatMap((path) => path.filesOf(span).map((file) => ({ path, ...file })));
    const rows = files.map(({ path, href, start, duration }) => {
      const about = [several && path.name, start.slice(11, 19), durationText(duration)].filter(Boolean).join(' · ');
      const onclick = (/** @type {MouseEvent} */ event) => this.#download(event, path, start);
      const label = t('viewer.download_of', { about });
      const link = h(
        'a',
        { class: 'button small primary', href, download: '', onclick, 'aria-label': label },
        icon('download', 16),
        t('viewer.download'),
      );
      return h('li', {}, h('span', { class: 'number' }, about), link);
    });
    fill(this.files, rows.length ? rows : h('li', { class: 'dim' }, t('viewer.nothing_in_range')));
  }

  /**
   * Saves a file of which the address was made a while ago.
   *
   * @param {MouseEvent} event
   * @param {RecordedPath} path
   * @param {string} start
   */
  async #download(event, path, start) {
    if (path.isFresh || !this.#span) return;
    event.preventDefault();
    await path.renew().catch(() => {});
    const file = path.filesOf(this.#span).find((one) => one.start === start);
    if (file) h('a', { href: file.href, download: '' }).click();
  }

  /** The address of the range, behind #. */
  #route() {
    const [first, ...others] = this.#paths();
    const span = this.#span ?? { from: 0, to: 0 };
    const query = new URLSearchParams(others.map(({ name }) => ['with', name]));
    query.set('at', first.timeOf(span.from));
    query.set('to', first.timeOf(span.to));
    return `recordings/${api.encoded(first.name)}?${query}`;
  }

  /** Links to the range: for administrators a link that opens the recordings of these paths without a password. */
  #share() {
    const isAdmin = api.may('api');
    const names = this.#paths().map(({ name }) => name);
    const body = [
      h('p', { class: 'hint' }, isAdmin ? t('viewer.clip_link_about') : t('viewer.clip_link_plain')),
      isAdmin &&
        field({ label: t('common.link_expires'), name: 'expires', value: '7days', options: lifetimeOptions() }),
    ];
    return linkDialog(t('viewer.clip_link'), body, async (form) => {
      const url = new URL(api.address('viewer/'));
      url.hash = `/${this.#route()}`;
      if (isAdmin) {
        const path = names.length > 1 ? `~^(${names.map(literal).join('|')})$` : names[0];
        const label = names.join(', ').slice(0, 100);
        const wanted = { path, actions: ['playback'], expires: valueOf(form, 'expires'), label };
        const { code } = await api.send('POST', 'api/v1/shares', wanted);
        url.hash = new URLSearchParams({ share: code, to: this.#route() }).toString();
      }
      return { url: url.href, texts: [url.href] };
    });
  }
}
