// The wall: all that somebody may watch, in a layout and an order that this browser remembers.

import { fill, h, keyed, remember, remembered } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { arrangeable } from './arrange.js';
import { Tile } from './tile.js';
import { isAvailable } from './ways.js';

const LAYOUTS = ['auto', '1', '4', '9', '16'];

/** From so many on there is a field to search in. */
const SEARCH_FROM = 9;

export class Wall {
  #info = null;
  #page = 0;
  #sorted = [];
  #kept = { layout: 'auto', order: [], ...remembered('wall', {}) };

  constructor() {
    if (!LAYOUTS.includes(this.#kept.layout)) this.#kept.layout = 'auto';
    this.count = h('span', { class: 'dim', role: 'status' });
    this.search = h('input', {
      type: 'search',
      class: 'search',
      placeholder: t('viewer.search'),
      'aria-label': t('viewer.search'),
      hidden: true,
      oninput: () => {
        this.#page = 0;
        this.#show();
      },
    });
    this.layouts = h(
      'div',
      { class: 'segmented', role: 'group', 'aria-label': t('viewer.layout') },
      LAYOUTS.map((layout) =>
        h(
          'button',
          {
            type: 'button',
            dataset: { layout },
            'aria-label': layout === 'auto' ? null : t('viewer.layout_n', { n: layout }),
            onclick: () => this.#choose(layout),
          },
          layout === 'auto' ? t('viewer.layout_auto') : layout,
        ),
      ),
    );
    this.arrange = h(
      'button',
      {
        type: 'button',
        class: 'icon-button',
        'aria-pressed': 'false',
        'aria-label': t('viewer.arrange'),
        title: t('viewer.arrange'),
        onclick: () => this.#arrange(),
      },
      icon('move'),
    );
    this.full = h(
      'button',
      {
        type: 'button',
        class: 'icon-button',
        'aria-label': t('viewer.fullscreen'),
        title: t('viewer.fullscreen'),
        onclick: () => this.element.requestFullscreen?.(),
      },
      icon('fullscreen'),
    );
    this.hint = h('p', { id: 'arrange-hint', class: 'hint', hidden: true }, t('viewer.arrange_hint'));
    this.told = h('p', { class: 'visually-hidden', role: 'status' });
    this.grid = h('div', { id: 'wall', class: 'wall' });
    this.pager = h('nav', { class: 'pager', 'aria-label': t('viewer.pages'), hidden: true });
    this.empty = h('div', { class: 'empty', hidden: true });
    this.bar = h(
      'div',
      { class: 'wall-bar', hidden: true },
      this.count,
      this.search,
      h('div', { class: 'row' }, this.layouts, this.arrange, this.full),
    );
    this.element = h(
      'section',
      { class: 'wall-page', 'aria-label': t('viewer.live') },
      this.bar,
      this.hint,
      this.told,
      this.grid,
      this.empty,
      this.pager,
    );
    this.observer = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) {
          target.tile.isInside = isIntersecting;
          target.tile.seen(isIntersecting && !document.hidden);
        }
      },
      { rootMargin: '60px' },
    );
    // A tab in the background is seen by nobody, wherever its tiles are.
    document.addEventListener('visibilitychange', () => {
      for (const { tile } of this.grid.children) tile.seen(tile.isInside && !document.hidden && !this.element.hidden);
    });
    arrangeable(this.grid, {
      moved: (names) => this.#moved(names),
      tell: (name, position, count) => {
        this.told.textContent = t('viewer.moved', { name, position, count });
      },
    });
    this.#mark();
  }

  /** What there is to watch; `null` while it is not known. */
  update(info) {
    this.#info = info;
    this.#show();
  }

  /** Hidden: nothing is played, nothing asked for. */
  set hidden(hidden) {
    if (hidden && document.fullscreenElement === this.element) document.exitFullscreen();
    this.element.hidden = hidden;
    if (hidden) for (const { tile } of this.grid.children) tile.seen(false);
  }

  /** Puts words where tiles would be. */
  say(title, text, ...actions) {
    fill(this.empty, icon('camera'), h('h2', {}, title), h('p', {}, text), h('div', { class: 'row' }, actions));
    this.empty.hidden = false;
  }

  clear() {
    this.#info = null;
    keyed(this.grid, [], this.#tiles());
    this.bar.hidden = true;
    this.pager.hidden = true;
  }

  #tiles() {
    return {
      key: (item) => item.name,
      make: (item) => {
        const { element } = new Tile(item.name);
        this.observer.observe(element);
        return element;
      },
      update: (element, item) => element.tile.update(item, this.#info, this.#kept.layout),
      remove: (element) => {
        this.observer.unobserve(element);
        element.tile.remove();
      },
    };
  }

  #show() {
    if (!this.#info) return;
    const { items } = this.#info;
    const place = new Map(this.#kept.order.map((name, i) => [name, i]));
    const at = (item) => place.get(item.name) ?? Infinity;
    // Those in no order of somebody's stay in the server's, by name, those with nothing to see last.
    const isDark = (item) => !isAvailable(item);
    const sorted = items.toSorted((a, b) => at(a) - at(b) || isDark(a) - isDark(b) || 0);
    this.#sorted = sorted.map((item) => item.name);
    const wanted = this.search.value.trim().toLowerCase();
    const found = wanted ? sorted.filter((item) => item.name.toLowerCase().includes(wanted)) : sorted;
    const size = this.#kept.layout === 'auto' ? Infinity : Number(this.#kept.layout);
    const pages = size === Infinity ? 1 : Math.max(1, Math.ceil(found.length / size));
    this.#page = Math.min(this.#page, pages - 1);
    const shown = size === Infinity ? found : found.slice(this.#page * size, (this.#page + 1) * size);
    this.grid.dataset.layout = this.#kept.layout;
    keyed(this.grid, shown, this.#tiles());
    this.bar.hidden = items.length === 0;
    this.count.textContent = items.length === 1 ? t('viewer.count_one') : t('viewer.count', { count: items.length });
    this.search.hidden = items.length < SEARCH_FROM;
    this.empty.hidden = items.length > 0;
    this.#showPager(pages);
  }

  #showPager(pages) {
    this.pager.hidden = pages < 2;
    if (pages < 2) return;
    const go = (by, shape, label) =>
      h(
        'button',
        {
          type: 'button',
          'aria-label': label,
          disabled: this.#page + by < 0 || this.#page + by >= pages,
          onclick: () => {
            this.#page += by;
            this.#show();
          },
        },
        icon(shape),
      );
    fill(
      this.pager,
      go(-1, 'back', t('viewer.page_before')),
      h('span', { class: 'number' }, t('viewer.page', { page: this.#page + 1, pages })),
      go(1, 'arrow', t('viewer.page_next')),
    );
  }

  #choose(layout) {
    this.#page = 0;
    this.#keep({ layout });
    this.#mark();
    this.#show();
  }

  #mark() {
    for (const button of this.layouts.children)
      button.setAttribute('aria-pressed', String(button.dataset.layout === this.#kept.layout));
  }

  #arrange() {
    const isOn = this.grid.classList.toggle('is-arranging');
    this.arrange.setAttribute('aria-pressed', String(isOn));
    this.hint.hidden = !isOn;
  }

  /** Those on this page have changed places among themselves; the others stay where they are. */
  #moved(names) {
    const moved = new Set(names);
    const next = names.values();
    this.#keep({ order: this.#sorted.map((name) => (moved.has(name) ? next.next().value : name)) });
    this.#show();
  }

  #keep(change) {
    Object.assign(this.#kept, change);
    remember('wall', this.#kept);
  }
}
