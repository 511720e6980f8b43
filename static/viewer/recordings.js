// What MediaMTX has recorded: a day as a line, played from where one points at it, and downloaded.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { dateTime, language, number, t, words } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';

const DAY = 86_400;

/** Keys move by so many seconds. */
const STEPS = { ArrowLeft: -30, ArrowRight: 30, ArrowDown: -600, ArrowUp: 600, PageDown: -3600, PageUp: 3600 };

const two = (value) => String(value).padStart(2, '0');
const dayOf = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
const clock = (seconds) =>
  `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(Math.floor(seconds) % 60)}`;

/** A length in words, such as `1 h 5 min`. */
function span(seconds) {
  if (seconds < 60) return t('viewer.seconds', { n: number(seconds) });
  if (seconds < 3600) return t('viewer.minutes', { n: number(seconds / 60, 1) });
  return t('viewer.hours', { n: number(seconds / 3600, 1) });
}

/** This browser's offset from UTC on that day, as RFC 3339 has it. */
function offsetOf(day) {
  const minutes = -new Date(`${day}T00:00:00`).getTimezoneOffset();
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
}

export class Recordings {
  #asked = 0;
  #path = null;
  #day = null;
  #parts = [];
  #ranges = [];
  #at = 0;
  #from = null; // where what is played begins, in seconds of the day

  constructor() {
    this.list = h('div', { class: 'grid' });
    this.told = h('div', { role: 'status' });
    this.video = h('video', { controls: true, playsInline: true, autoplay: true });
    this.dayField = h('input', {
      type: 'date',
      'aria-label': t('viewer.day'),
      max: dayOf(new Date()),
      onchange: () => this.dayField.value && this.#go(this.dayField.value),
    });
    this.line = h('div', {
      class: 'timeline',
      role: 'slider',
      tabIndex: 0,
      'aria-label': t('viewer.timeline'),
      'aria-valuemin': 0,
      'aria-valuemax': DAY,
    });
    this.now = h('span', { class: 'timeline-now', hidden: true });
    this.pointer = h('output', { class: 'timeline-pointer', hidden: true });
    this.title = h('h1', { tabIndex: -1 });
    this.sum = h('span', { class: 'dim' });
    this.table = h('div', { class: 'table', hidden: true });
    const step = (days, shape, label) =>
      h(
        'button',
        { type: 'button', class: 'icon-button', 'aria-label': label, onclick: () => this.#step(days) },
        icon(shape),
      );
    this.player = h(
      'div',
      { class: 'stack', hidden: true },
      h(
        'div',
        { class: 'stage-head' },
        h(
          'a',
          {
            class: 'button icon-button',
            href: '#/recordings',
            'aria-label': t('viewer.back'),
            title: t('viewer.back'),
          },
          icon('back'),
        ),
        this.title,
        h('span', { class: 'grow' }),
        this.sum,
        h(
          'div',
          { class: 'row' },
          step(-1, 'back', t('viewer.day_before')),
          this.dayField,
          step(1, 'arrow', t('viewer.day_after')),
        ),
      ),
      h('div', { class: 'screen recorded' }, this.video),
      h('div', { class: 'timeline-box' }, this.line, this.#hours()),
      this.table,
    );
    this.element = h(
      'section',
      { hidden: true, 'aria-label': t('viewer.recordings') },
      this.told,
      this.list,
      this.player,
    );
    this.#listen();
  }

  #hours() {
    return h(
      'div',
      { class: 'timeline-hours', 'aria-hidden': 'true' },
      [0, 3, 6, 9, 12, 15, 18, 21, 24].map((hour) => h('span', {}, two(hour))),
    );
  }

  #listen() {
    const seconds = (event) => {
      const { left, width } = this.line.getBoundingClientRect();
      return Math.max(0, Math.min(DAY - 1, ((event.clientX - left) / width) * DAY));
    };
    this.line.addEventListener('pointermove', (event) => {
      this.pointer.hidden = false;
      this.pointer.textContent = clock(seconds(event));
      this.pointer.style.left = `${(seconds(event) / DAY) * 100}%`;
    });
    this.line.addEventListener('pointerleave', () => {
      this.pointer.hidden = true;
    });
    this.line.addEventListener('click', (event) => this.#play(seconds(event)));
    this.line.addEventListener('keydown', (event) => {
      const step = STEPS[event.key];
      if (step) this.#play(Math.max(0, Math.min(DAY - 1, this.#at + step)));
      else if (event.key === 'Home' && this.#parts.length) this.#play(this.#parts[0].offset);
      else if (event.key === 'End' && this.#parts.length) this.#play(this.#parts.at(-1).offset);
      else return;
      event.preventDefault();
    });
    this.video.addEventListener(
      'timeupdate',
      () => this.#from !== null && this.#mark(this.#from + this.video.currentTime),
    );
    this.video.addEventListener('ended', () => {
      // The next piece, if there is one.
      const next = this.#parts.find(({ offset }) => offset > this.#at + 0.5);
      if (next) this.#play(next.offset);
    });
    this.video.addEventListener(
      'error',
      () => this.video.currentSrc && this.#say(t('viewer.cannot_play_recording'), 'bad'),
    );
  }

  /** Shows the list, or the recording of a path. */
  async open(path, info) {
    this.element.hidden = false;
    this.list.hidden = path !== null;
    this.player.hidden = path === null;
    this.#say('');
    if (!info.mediamtx) return this.#say(t('viewer.reason_no_mediamtx'));
    if (path === null) return this.#showList();
    if (path === this.#path) return;
    this.#path = path;
    this.title.textContent = path;
    this.title.focus({ preventScroll: true });
    await this.#tried(async () => {
      const { last } = (await api.call('api/v1/recordings')).recordings.find((known) => known.path === path) ?? {};
      await this.#go(dayOf(last ? new Date(last) : new Date()));
    });
  }

  close() {
    if (this.element.hidden) return;
    this.element.hidden = true;
    this.#path = null;
    this.#end();
  }

  #end() {
    this.#from = null;
    this.video.removeAttribute('src');
    this.video.load();
  }

  #showList() {
    this.#path = null;
    this.#end();
    return this.#tried(async () => {
      const { recordings } = await api.call('api/v1/recordings');
      if (!recordings.length) this.#say(t('viewer.no_recordings'));
      fill(
        this.list,
        recordings.map(({ path, segments, last }) =>
          h(
            'a',
            { class: 'card recording', href: `#/recordings/${api.encoded(path)}` },
            icon('film', 28),
            h(
              'span',
              { class: 'stack-tight' },
              h('strong', {}, path),
              h('span', { class: 'dim' }, t('viewer.recorded', { segments, last: last ? dateTime(last) : '–' })),
            ),
          ),
        ),
      );
    });
  }

  async #tried(work) {
    const mine = ++this.#asked;
    try {
      await work();
    } catch (error) {
      if (mine === this.#asked) this.#say(words(error), 'bad');
    }
  }

  #say(text, kind = '') {
    fill(this.told, text && h('p', { class: ['notice', kind] }, icon(kind === 'bad' ? 'alert' : 'info'), text));
  }

  #step(days) {
    const date = new Date(`${this.#day}T12:00:00`);
    date.setDate(date.getDate() + days);
    return this.#go(dayOf(date));
  }

  #go(day) {
    this.#day = day;
    this.dayField.value = day;
    this.#end();
    this.#say('');
    return this.#tried(async () => {
      const path = api.encoded(this.#path);
      const query = new URLSearchParams({ day, offset: offsetOf(day) });
      const timeline = await api.call(`api/v1/recordings/${path}/timeline?${query}`);
      const range = new URLSearchParams({ start: timeline.from, end: timeline.to });
      this.#ranges = (await api.call(`api/v1/recordings/${path}?${range}`)).ranges;
      this.#parts = timeline.parts;
      this.sum.textContent = t('viewer.recorded_sum', { span: span(timeline.recorded) });
      this.#draw(new Date(timeline.from));
      this.#mark(this.#parts[0]?.offset ?? 0);
      if (!this.#parts.length) this.#say(t('viewer.nothing_that_day'));
    });
  }

  #draw(midnight) {
    fill(
      this.line,
      this.#parts.map(({ offset, duration }) => {
        const part = h('span', { class: 'timeline-part' });
        part.style.left = `${(offset / DAY) * 100}%`;
        part.style.width = `${(duration / DAY) * 100}%`;
        return part;
      }),
      this.now,
      this.pointer,
    );
    this.midnight = midnight;
    this.table.hidden = !this.#ranges.length;
    fill(
      this.table,
      h(
        'table',
        {},
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            [t('viewer.begin'), t('viewer.length')].map((text) => h('th', { scope: 'col' }, text)),
            h('th', {}, h('span', { class: 'visually-hidden' }, t('viewer.actions'))),
          ),
        ),
        h(
          'tbody',
          {},
          this.#ranges.map((range) => {
            const time = new Date(range.start).toLocaleTimeString(language);
            return h(
              'tr',
              {},
              h('td', { class: 'number' }, time),
              h('td', {}, span(range.duration)),
              h(
                'td',
                {},
                h(
                  'div',
                  { class: 'actions' },
                  h(
                    'button',
                    {
                      type: 'button',
                      class: 'small',
                      'aria-label': t('viewer.play_from', { time }),
                      onclick: () => this.#play(this.#second(range.start)),
                    },
                    icon('play', 16),
                    t('viewer.play'),
                  ),
                  h(
                    'a',
                    {
                      class: 'button small',
                      href: range.download_url,
                      download: '',
                      'aria-label': t('viewer.download_from', { time }),
                    },
                    icon('download', 16),
                    t('viewer.download'),
                  ),
                ),
              ),
            );
          }),
        ),
      ),
    );
  }

  #second(start) {
    return Math.max(0, (new Date(start) - this.midnight) / 1000);
  }

  #mark(seconds) {
    this.#at = Math.min(seconds, DAY);
    this.now.hidden = !this.#parts.length;
    this.now.style.left = `${(this.#at / DAY) * 100}%`;
    this.line.setAttribute('aria-valuenow', Math.round(this.#at));
    this.line.setAttribute('aria-valuetext', clock(this.#at));
  }

  /** Plays from there, or from the next that is there. */
  #play(seconds) {
    const part = this.#parts.find(({ offset, duration }) => offset + duration > seconds + 0.5);
    if (!part) return;
    const at = Math.max(seconds, part.offset);
    const range = this.#ranges.find(
      (known) => this.#second(known.start) <= at + 0.5 && this.#second(known.start) + known.duration > at,
    );
    if (!range) return;
    // Some milliseconds of rounding: nothing begins before its range does.
    const start = new Date(Math.max(this.midnight.getTime() + at * 1000, new Date(range.start).getTime()));
    const left = range.duration - (start - new Date(range.start)) / 1000;
    const url = new URL(range.url);
    url.searchParams.set('start', at <= this.#second(range.start) + 0.01 ? range.start : start.toISOString());
    url.searchParams.set('duration', left.toFixed(3));
    this.#from = at;
    this.#mark(at);
    this.video.src = url.href;
    this.video.play().catch(() => {});
  }
}
