// @ts-check
// The recordings of MediaMTX: a day of one path, or of several beside each other, as a timeline that plays from any point of it.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { errorText, t, timeOfDay } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { durationText } from '../lib/length.js';
import { loadStyle } from '../lib/style.js';
import { Clip } from './clip.js';
import { RecordedList } from './recorded_list.js';
import { RecordedPath } from './recorded_path.js';
import { Stills } from './recorded_stills.js';
import { Timeline } from './timeline.js';
import { dayOf, secondOfDay } from './times.js';

await loadStyle(new URL('recordings.css', import.meta.url));

/** Most paths beside each other. */
const MOST = 4;

/** How far a video can be away from the first one before it is played anew, in seconds. */
const DRIFT = 2;

export class Recordings {
  #requests = 0;
  #address = '';
  #day = '';
  /** @type {RecordedPath[]} the first one has the controls */
  #paths = [];
  /** @type {string[]} all recorded paths */
  #known = [];

  constructor() {
    this.list = new RecordedList();
    this.status = h('div', { role: 'status' });
    this.dayField = h('input', {
      type: 'date',
      'aria-label': t('viewer.day'),
      max: dayOf(new Date()),
      onchange: () => this.dayField.value && this.#openDay(this.dayField.value),
    });
    this.stills = new Stills();
    this.timeline = new Timeline(
      {
        play: (seconds) => this.#play(seconds),
        choose: (span) => this.clip.choose(span),
        view: (span) => this.stills.show(span),
      },
      this.stills.element,
    );
    this.clip = new Clip(this.timeline, () => this.#paths);
    this.title = h('h1', { tabIndex: -1 });
    this.sum = h('span', { class: 'dim' });
    this.more = h('select', {
      class: 'beside',
      'aria-label': t('viewer.beside'),
      onchange: () => this.#add(this.more.value),
    });
    this.videos = h('div', { class: 'recorded-videos' });
    this.table = h('details', { class: 'recorded-parts', hidden: true });
    this.player = h(
      'div',
      { class: 'stack', hidden: true },
      this.#head(),
      this.videos,
      this.timeline.element,
      h('div', { class: 'row' }, this.timeline.tools, h('span', { class: 'grow' }), this.clip.button),
      this.clip.element,
      this.table,
    );
    const label = t('viewer.recordings');
    this.element = h('section', { hidden: true, 'aria-label': label }, this.status, this.list.element, this.player);
  }

  #head() {
    const label = t('viewer.back');
    const properties = { class: 'button icon-button', href: '#/recordings', 'aria-label': label, title: label };
    const back = h('a', properties, icon('back'));
    /** @type {(days: number, shape: Icon, label: string) => HTMLElement} */
    const step = (days, shape, text) =>
      h(
        'button',
        { type: 'button', class: 'icon-button', 'aria-label': text, title: text, onclick: () => this.#stepDay(days) },
        icon(shape),
      );
    const days = h(
      'div',
      { class: 'row' },
      step(-1, 'back', t('viewer.day_before')),
      this.dayField,
      step(1, 'arrow', t('viewer.day_after')),
    );
    return h('div', { class: 'stage-head' }, back, this.title, h('span', { class: 'grow' }), this.sum, this.more, days);
  }

  /**
   * Shows the recording of a path, or the list for null. The query can have paths beside it (`with`), and a time (`at`) or a range
   * (`at`, `to`).
   *
   * @param {string | null} path
   * @param {Api.Wall} wall
   * @param {URLSearchParams} query
   */
  async open(path, wall, query) {
    this.element.hidden = false;
    this.list.element.hidden = path !== null;
    this.player.hidden = path === null;
    if (!wall.mediamtx) return this.#say(t('viewer.reason_no_mediamtx'));
    if (path === null) return this.#showList();
    const address = `${path}?${query}`;
    if (address === this.#address) return;
    this.#say('');
    this.#address = address;
    this.title.textContent = path;
    this.title.focus({ preventScroll: true });
    const others = query.getAll('with').filter((name) => name !== path);
    this.#setPaths([path, ...new Set(others)].slice(0, MOST));
    await this.#attempt(async () => {
      const { recordings } = await api.call('api/v1/recordings');
      this.#known = recordings.map((known) => known.path);
      this.#drawMore();
      const last = recordings.find((known) => known.path === path)?.last;
      const at = timeIn(query.get('at'));
      const day = dayOf(at ?? (last ? new Date(last) : new Date()));
      await this.#openDay(day);
      if (at) await this.#openAt(at, timeIn(query.get('to')));
    });
  }

  /**
   * Plays from a time, and chooses a range.
   *
   * @param {Date} at
   * @param {Date | null} to
   */
  async #openAt(at, to) {
    const from = secondOfDay(at);
    if (to && to > at) {
      const span = { from, to: from + (to.getTime() - at.getTime()) / 1000 };
      const margin = Math.max(30, span.to - span.from);
      this.timeline.show({ from: span.from - margin, to: span.to + margin });
      this.clip.choose(span);
    }
    await this.#play(from);
  }

  close() {
    if (this.element.hidden) return;
    this.element.hidden = true;
    this.#leave();
  }

  #leave() {
    this.#address = '';
    for (const path of this.#paths) path.stop();
    this.stills.stop();
    this.list.stop();
    this.clip.choose(null);
  }

  #showList() {
    if (this.#address || this.list.isEmpty) this.#say('');
    this.#leave();
    return this.#attempt(async () => {
      const { recordings } = await api.call('api/v1/recordings');
      if (!recordings.length) this.#say(t('viewer.no_recordings'));
      this.list.show(recordings);
    });
  }

  /** @param {string[]} names */
  #setPaths(names) {
    for (const path of this.#paths) path.stop();
    this.stills.stop();
    this.#paths = names.map((name, i) => new RecordedPath(name, i === 0));
    this.clip.choose(null);
    const [first] = this.#paths;
    first.video.addEventListener('timeupdate', () => this.#follow());
    first.video.addEventListener('pause', () => this.#others().forEach(({ video }) => video.pause()));
    first.video.addEventListener('ended', () => first.after !== null && this.#play(first.after));
    first.video.addEventListener('error', () => {
      if (first.video.currentSrc) this.#say(t('viewer.cannot_play_recording'), 'bad');
    });
    const several = names.length > 1;
    this.videos.className = `recorded-videos ${several ? 'several' : ''}`;
    fill(
      this.videos,
      this.#paths.map((path, i) => {
        if (several) path.element.append(this.#caption(path.name, i > 0));
        return path.element;
      }),
    );
  }

  /**
   * @param {string} name
   * @param {boolean} canGo
   */
  #caption(name, canGo) {
    const label = t('viewer.beside_remove', { name });
    const onclick = () => this.#go(this.#paths.slice(1).filter((path) => path.name !== name));
    const remove = h('button', { type: 'button', class: 'icon-button', title: label, 'aria-label': label, onclick });
    remove.append(icon('close', 16));
    return h('figcaption', {}, h('span', {}, name), canGo && remove);
  }

  #others() {
    return this.#paths.slice(1);
  }

  /** @param {string} name */
  #add(name) {
    if (name) this.#go([...this.#others(), { name }]);
  }

  /**
   * Opens the first path with others beside it, at the present time.
   *
   * @param {{ name: string }[]} others
   */
  #go(others) {
    const [first] = this.#paths;
    const query = new URLSearchParams(others.map(({ name }) => ['with', name]));
    query.set('at', first.timeOf(this.timeline.at));
    location.hash = `/recordings/${api.encoded(first.name)}?${query}`;
  }

  #drawMore() {
    const shown = this.#paths.map(({ name }) => name);
    const left = this.#known.filter((name) => !shown.includes(name));
    this.more.hidden = !left.length || shown.length >= MOST;
    const options = left.map((value) => h('option', { value }, value));
    fill(this.more, h('option', { value: '' }, t('viewer.beside')), options);
  }

  /**
   * Shows the error of a request, unless another one was started since.
   *
   * @param {() => Promise<void>} work
   */
  async #attempt(work) {
    const own = ++this.#requests;
    try {
      await work();
    } catch (error) {
      if (own === this.#requests) this.#say(errorText(error), 'bad');
    }
  }

  /**
   * @param {string} text
   * @param {'' | 'bad'} [kind]
   */
  #say(text, kind = '') {
    fill(this.status, text && h('p', { class: ['notice', kind] }, icon(kind === 'bad' ? 'alert' : 'info'), text));
  }

  /** @param {number} days */
  #stepDay(days) {
    const date = new Date(`${this.#day}T12:00:00`);
    date.setDate(date.getDate() + days);
    return this.#openDay(dayOf(date));
  }

  /** @param {string} day */
  #openDay(day) {
    this.#day = day;
    this.dayField.value = day;
    this.clip.choose(null);
    this.#say('');
    const paths = this.#paths;
    return this.#attempt(async () => {
      await Promise.all(paths.map((path) => path.load(day)));
      if (paths !== this.#paths || day !== this.#day) return;
      const [first] = paths;
      this.sum.textContent = t('viewer.recorded_sum', { duration: durationText(first.recorded) });
      this.stills.set(first);
      this.timeline.set(paths);
      this.timeline.mark(first.parts[0]?.offset ?? 0);
      this.#drawTable();
      if (!paths.some(({ parts }) => parts.length)) this.#say(t('viewer.nothing_that_day'));
    });
  }

  #drawTable() {
    const [first] = this.#paths;
    this.table.hidden = !first.ranges.length;
    const column = (/** @type {Dom.Child} */ text) => h('th', { scope: 'col' }, text);
    const actions = h('span', { class: 'visually-hidden' }, t('viewer.actions'));
    const head = h('tr', {}, column(t('viewer.begin')), column(t('viewer.length')), column(actions));
    const rows = first.ranges.map((range) => this.#row(range));
    fill(
      this.table,
      h('summary', {}, t('viewer.parts_n', { n: first.ranges.length })),
      h('div', { class: 'table' }, h('table', {}, h('thead', {}, head), h('tbody', {}, rows))),
    );
  }

  /** @param {Api.Range} range */
  #row(range) {
    const [first] = this.#paths;
    const time = timeOfDay(range.start);
    const play = h(
      'button',
      {
        type: 'button',
        class: 'small',
        'aria-label': t('viewer.play_from', { time }),
        onclick: () => this.#play(first.secondOf(range)),
      },
      icon('play', 16),
      t('viewer.play'),
    );
    const cut = h(
      'button',
      {
        type: 'button',
        class: 'small',
        'aria-label': t('viewer.download_from', { time }),
        onclick: () => {
          const from = first.secondOf(range);
          this.clip.choose({ from, to: from + range.duration });
          this.clip.element.scrollIntoView({ block: 'nearest' });
        },
      },
      icon('download', 16),
      t('viewer.download'),
    );
    const actions = h('div', { class: 'actions' }, play, cut);
    return h(
      'tr',
      {},
      h('td', { class: 'number' }, time),
      h('td', {}, durationText(range.duration)),
      h('td', {}, actions),
    );
  }

  /**
   * Plays from a second of the day, or from the next one that is recorded of the first path.
   *
   * @param {number} seconds
   */
  #play(seconds) {
    const [first] = this.#paths;
    const at = first.next(seconds);
    if (at === null) return;
    this.timeline.mark(at);
    return this.#attempt(async () => {
      await Promise.all(this.#paths.map((path) => path.play(at)));
    });
  }

  /** The mark and the other videos follow the first one. */
  #follow() {
    const at = this.#paths[0].time;
    if (at === null) return;
    this.timeline.mark(at);
    for (const path of this.#others()) {
      const isPlaying = path.time !== null && !path.video.ended;
      if (!isPlaying && path.has(at)) path.play(at).catch(() => {});
      else if (isPlaying && path.video.readyState > 2 && Math.abs((path.time ?? 0) - at) > DRIFT) {
        path.play(at).catch(() => {});
      } else if (path.video.paused && !this.#paths[0].video.paused) path.video.play().catch(() => {});
    }
  }
}

/**
 * A time of the address, or null.
 *
 * @param {string | null} text
 */
function timeIn(text) {
  const time = new Date(text ?? '');
  return Number.isNaN(time.getTime()) ? null : time;
}
