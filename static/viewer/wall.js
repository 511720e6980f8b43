// @ts-check
// The wall: everything that the user can watch, in a layout and an order that this browser remembers.

import { fill, h, keyed, store, stored } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { arrangeable } from './arrange.js';
import { castButton } from './cast.js';
import { isAvailable } from './playback.js';
import { Tile } from './tile.js';

const LAYOUTS = ['auto', '1', '4', '9', '16'];

/** From this number of items on there is a search field. */
const SEARCH_FROM = 9;

/** @typedef {{ layout: string, order: string[] }} Arrangement */

export class Wall {
  /** @type {Api.Wall | null} */
  #wall = null;
  #page = 0;
  /** @type {string[]} */
  #names = [];
  /** @type {Api.WallItem[]} */
  #shown = [];
  #kept = { layout: 'auto', order: [], ...stored('wall', /** @type {Partial<Arrangement>} */ ({})) };
  /** @type {WeakMap<Element, Tile>} */
  #tiles = new WeakMap();

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
        this.#draw();
      },
    });
    this.layouts = this.#layoutButtons();
    this.arrange = iconButton('move', t('viewer.arrange'), () => this.#toggleArranging());
    this.arrange.setAttribute('aria-pressed', 'false');
    this.hint = h('p', { id: 'arrange-hint', class: 'hint', hidden: true }, t('viewer.arrange_hint'));
    this.announcement = h('p', { class: 'visually-hidden', role: 'status' });
    this.grid = h('div', { id: 'wall', class: 'wall' });
    this.pager = h('nav', { class: 'pager', 'aria-label': t('viewer.pages'), hidden: true });
    this.empty = h('div', { class: 'empty', hidden: true });
    const full = iconButton('fullscreen', t('viewer.fullscreen'), () => this.element.requestFullscreen?.());
    const cast = castButton({ shown: () => this.#shown, wall: () => this.#wall });
    const tools = h('div', { class: 'row' }, this.layouts, this.arrange, cast, full);
    this.bar = h('div', { class: 'wall-bar', hidden: true }, this.count, this.search, tools);
    this.element = h(
      'section',
      { class: 'wall-page', 'aria-label': t('viewer.live') },
      this.bar,
      this.hint,
      this.announcement,
      this.grid,
      this.empty,
      this.pager,
    );
    this.observer = this.#observeTiles();
    arrangeable(this.grid, {
      onMoved: (names) => this.#moved(names),
      announce: (name, position, count) => {
        this.announcement.textContent = t('viewer.moved', { name, position, count });
      },
    });
    this.#markLayout();
  }

  #layoutButtons() {
    const buttons = LAYOUTS.map((layout) => {
      const isAuto = layout === 'auto';
      const label = isAuto ? null : t('viewer.layout_n', { n: layout });
      return h(
        'button',
        { type: 'button', dataset: { layout }, 'aria-label': label, onclick: () => this.#chooseLayout(layout) },
        isAuto ? t('viewer.layout_auto') : layout,
      );
    });
    return h('div', { class: 'segmented', role: 'group', 'aria-label': t('viewer.layout') }, buttons);
  }

  /** Tells each tile whether it is visible. */
  #observeTiles() {
    document.addEventListener('visibilitychange', () => {
      for (const tile of this.#shownTiles()) {
        tile.setVisible(tile.isInside && !document.hidden && !this.element.hidden);
      }
    });
    /** @type {IntersectionObserverCallback} */
    const observed = (entries) => {
      for (const { target, isIntersecting } of entries) {
        const tile = this.#tiles.get(target);
        if (!tile) continue;
        tile.isInside = isIntersecting;
        tile.setVisible(isIntersecting && !document.hidden);
      }
    };
    return new IntersectionObserver(observed, { rootMargin: '60px' });
  }

  #shownTiles() {
    return [...this.grid.children].flatMap((element) => this.#tiles.get(element) ?? []);
  }

  /**
   * Shows the items of an answer.
   *
   * @param {Api.Wall} wall
   */
  update(wall) {
    this.#wall = wall;
    this.#draw();
  }

  /** Hides or shows the wall. Hidden tiles play and request nothing. */
  set hidden(/** @type {boolean} */ hidden) {
    if (hidden && document.fullscreenElement === this.element) document.exitFullscreen();
    this.element.hidden = hidden;
    if (hidden) for (const tile of this.#shownTiles()) tile.setVisible(false);
  }

  /**
   * Shows a text in place of tiles.
   *
   * @param {string} title
   * @param {string} text
   * @param {...Dom.Child} actions
   */
  say(title, text, ...actions) {
    fill(this.empty, icon('camera'), h('h2', {}, title), h('p', {}, text), h('div', { class: 'row' }, actions));
    this.empty.hidden = false;
  }

  clear() {
    this.#wall = null;
    this.#drawTiles([], null);
    this.bar.hidden = true;
    this.pager.hidden = true;
  }

  /**
   * @param {Api.WallItem[]} items
   * @param {Api.Wall | null} wall
   */
  #drawTiles(items, wall) {
    keyed(this.grid, items, {
      key: ({ name }) => name,
      make: ({ name }) => {
        const tile = new Tile(name);
        this.#tiles.set(tile.element, tile);
        this.observer.observe(tile.element);
        return tile.element;
      },
      update: (element, item) => wall && this.#tiles.get(element)?.update(item, wall, this.#kept.layout),
      remove: (element) => {
        this.observer.unobserve(element);
        this.#tiles.get(element)?.remove();
      },
    });
  }

  #draw() {
    const wall = this.#wall;
    if (!wall) return;
    const { items } = wall;
    const sorted = this.#sorted(items);
    this.#names = sorted.map(({ name }) => name);
    const query = this.search.value.trim().toLowerCase();
    const found = query ? sorted.filter(({ name }) => name.toLowerCase().includes(query)) : sorted;
    const size = this.#kept.layout === 'auto' ? Infinity : Number(this.#kept.layout);
    const pages = size === Infinity ? 1 : Math.max(1, Math.ceil(found.length / size));
    this.#page = Math.min(this.#page, pages - 1);
    const shown = size === Infinity ? found : found.slice(this.#page * size, (this.#page + 1) * size);
    this.#shown = shown;
    this.grid.dataset.layout = this.#kept.layout;
    this.#drawTiles(shown, wall);
    this.bar.hidden = items.length === 0;
    this.count.textContent = items.length === 1 ? t('viewer.count_one') : t('viewer.count', { count: items.length });
    this.search.hidden = items.length < SEARCH_FROM;
    this.empty.hidden = items.length > 0;
    this.#drawPager(pages);
  }

  /**
   * Items in the user's order, then the others in the server's order: by name, available ones first.
   *
   * @param {Api.WallItem[]} items
   */
  #sorted(items) {
    const places = new Map(this.#kept.order.map((name, i) => [name, i]));
    const placeOf = (/** @type {Api.WallItem} */ { name }) => places.get(name) ?? places.size;
    return items.toSorted((a, b) => placeOf(a) - placeOf(b) || Number(isAvailable(b)) - Number(isAvailable(a)));
  }

  /** @param {number} pages */
  #drawPager(pages) {
    this.pager.hidden = pages < 2;
    if (pages < 2) return;
    /** @type {(step: number, shape: Icon, label: string) => HTMLElement} */
    const turn = (step, shape, label) => {
      const page = this.#page + step;
      const onclick = () => {
        this.#page = page;
        this.#draw();
      };
      const disabled = page < 0 || page >= pages;
      return h('button', { type: 'button', 'aria-label': label, disabled, onclick }, icon(shape));
    };
    fill(
      this.pager,
      turn(-1, 'back', t('viewer.page_before')),
      h('span', { class: 'number' }, t('viewer.page', { page: this.#page + 1, pages })),
      turn(1, 'arrow', t('viewer.page_next')),
    );
  }

  /** @param {string} layout */
  #chooseLayout(layout) {
    this.#page = 0;
    this.#keep({ layout });
    this.#markLayout();
    this.#draw();
  }

  #markLayout() {
    for (const button of this.layouts.querySelectorAll('button')) {
      button.setAttribute('aria-pressed', String(button.dataset.layout === this.#kept.layout));
    }
  }

  #toggleArranging() {
    const isOn = this.grid.classList.toggle('is-arranging');
    this.arrange.setAttribute('aria-pressed', String(isOn));
    this.hint.hidden = !isOn;
  }

  /**
   * Stores the new order of the tiles on this page; all other tiles keep their places.
   *
   * @param {string[]} names
   */
  #moved(names) {
    const moved = new Set(names);
    const next = names.values();
    this.#keep({ order: this.#names.map((name) => (moved.has(name) ? (next.next().value ?? name) : name)) });
    this.#draw();
  }

  /** @param {Partial<Arrangement>} change */
  #keep(change) {
    this.#kept = { ...this.#kept, ...change };
    store('wall', this.#kept);
  }
}

/** @type {(shape: Icon, label: string, onclick: () => void) => HTMLElement} */
function iconButton(shape, label, onclick) {
  return h('button', { type: 'button', class: 'icon-button', 'aria-label': label, title: label, onclick }, icon(shape));
}
