// @ts-check
// The wall: everything that the user can watch, in a layout and an order that this browser remembers.

import { fill, h, keyed, store, stored } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { arrangeable } from './arrange.js';
import { isForPage, showKeys } from './keys.js';
import { kioskOf } from './kiosk.js';
import { rankOf, titleOf } from './status.js';
import { Tile } from './tile.js';
import { keepAwake } from './wake.js';
import { LAYOUTS, SORTS, iconButton, wallTools } from './wall_tools.js';

/** From this number of items on there is a search field. */
const SEARCH_FROM = 9;

/** @typedef {{ layout: string, sort: string, order: string[], favourites: string[] }} Arrangement */

export class Wall {
  /** @type {Api.Wall | null} */
  #wall = null;
  #isAway = false;
  #page = 0;
  #pages = 1;
  /** @type {string[]} */
  #names = [];
  /** @type {Api.WallItem[]} */
  #shown = [];
  #kiosk = kioskOf(location.search);
  #kept = {
    layout: 'auto',
    sort: SORTS[0],
    order: [],
    favourites: [],
    ...stored('wall', /** @type {Partial<Arrangement>} */ ({})),
  };
  /** @type {WeakMap<Element, Tile>} */
  #tiles = new WeakMap();

  constructor() {
    if (!LAYOUTS.includes(this.#kept.layout)) this.#kept.layout = 'auto';
    this.tools = wallTools({
      search: () => this.#turnTo(0),
      sort: (sort) => {
        this.#keep({ sort });
        this.#turnTo(0);
      },
      chooseLayout: (layout) => this.#chooseLayout(layout),
      arrange: () => this.#toggleArranging(),
      fullscreen: () => this.element.requestFullscreen?.(),
      shown: () => this.#shown,
      wall: () => this.#wall,
      kiosk: async () => {
        const { openKioskDialog } = await import('./kiosk_link.js');
        openKioskDialog({ names: this.#names, prefix: this.#wall?.path_prefix ?? '' });
      },
    });
    if (SORTS.includes(this.#kept.sort)) this.tools.sort.value = this.#kept.sort;
    this.hint = h('p', { id: 'arrange-hint', class: 'hint', hidden: true }, t('viewer.arrange_hint'));
    this.announcement = h('p', { class: 'visually-hidden', role: 'status' });
    this.grid = h('div', { id: 'wall', class: 'wall' });
    this.pager = h('nav', { class: 'pager', 'aria-label': t('viewer.pages'), hidden: true });
    this.empty = h('div', { class: 'empty', role: 'status', hidden: true });
    const parts = [this.tools.bar, this.hint, this.announcement, this.grid, this.empty, this.pager];
    this.element = h('section', { class: 'wall-page', 'aria-label': t('viewer.live') }, parts);
    this.observer = this.#observeTiles();
    const withPicture = { capture: true, once: true };
    this.grid.addEventListener(
      'shown',
      async () => (await import('./wall_uptime.js')).showUptime(this.grid),
      withPicture,
    );
    arrangeable(this.grid, {
      onMoved: (names) => this.#moved(names),
      announce: (name, position, count) => {
        this.announcement.textContent = t('viewer.moved', { name, position, count });
      },
    });
    document.addEventListener('keydown', (event) => this.#key(event));
    document.body.classList.toggle('is-kiosk', this.#kiosk !== null);
    if (this.#kiosk?.cycleMs) setInterval(() => this.#cycle(), this.#kiosk.cycleMs);
    this.#markLayout();
  }

  /** Whether the address makes a wall display of the page. */
  get isKiosk() {
    return this.#kiosk !== null;
  }

  get #layout() {
    return this.#kiosk?.layout ?? this.#kept.layout;
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
   * @param {boolean} isAway whether the sidecar does not answer
   */
  update(wall, isAway) {
    this.#wall = wall;
    this.#isAway = isAway;
    this.#draw();
  }

  /** Hides or shows the wall. Hidden tiles play and request nothing. */
  set hidden(/** @type {boolean} */ hidden) {
    if (hidden && document.fullscreenElement === this.element) document.exitFullscreen();
    this.element.hidden = hidden;
    if (hidden) for (const tile of this.#shownTiles()) tile.setVisible(false);
    this.#fit();
  }

  /** A fixed layout fills the window, and keeps the screen on. */
  #fit() {
    const isFixed = !this.element.hidden && this.#layout !== 'auto' && !this.tools.bar.hidden;
    document.body.classList.toggle('fits-window', isFixed);
    keepAwake('wall', isFixed);
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
    this.tools.bar.hidden = true;
    this.pager.hidden = true;
    this.#fit();
  }

  /**
   * The names before and after this one in the order of the wall.
   *
   * @param {string} name
   */
  neighboursOf(name) {
    const place = this.#names.indexOf(name);
    return place < 0 ? [] : [this.#names[place - 1], this.#names[place + 1]];
  }

  /**
   * Puts the focus on a tile, on whichever page it is.
   *
   * @param {string} name
   */
  focus(name) {
    const size = Number(this.#layout);
    const place = this.#found().findIndex((item) => item.name === name);
    if (size && place >= 0) this.#turnTo(Math.floor(place / size));
    const tile = [...this.grid.children].find((one) => one instanceof HTMLElement && one.dataset.key === name);
    const link = tile?.querySelector('.tile-open');
    if (link instanceof HTMLElement) link.focus();
  }

  /**
   * @param {Api.WallItem[]} items
   * @param {Api.Wall | null} wall
   */
  #drawTiles(items, wall) {
    const favourites = new Set(this.#kept.favourites);
    keyed(this.grid, items, {
      key: ({ name }) => name,
      make: ({ name }) => {
        const tile = new Tile(name, () => this.#toggleFavourite(name));
        this.#tiles.set(tile.element, tile);
        this.observer.observe(tile.element);
        return tile.element;
      },
      update: (element, item) => {
        const tile = this.#tiles.get(element);
        tile?.markFavourite(favourites.has(item.name));
        if (wall) tile?.update(item, wall, this.#layout, this.#isAway);
      },
      remove: (element) => {
        this.observer.unobserve(element);
        this.#tiles.get(element)?.remove();
      },
    });
  }

  /** The items that the search finds, in their order. */
  #found() {
    const sorted = this.#sorted(this.#wall?.items ?? []);
    this.#names = sorted.map(({ name }) => name);
    const query = this.tools.search.value.trim().toLowerCase();
    const matches = (/** @type {Api.WallItem} */ item) => `${item.name} ${titleOf(item)}`.toLowerCase().includes(query);
    return query ? sorted.filter(matches) : sorted;
  }

  #draw() {
    const wall = this.#wall;
    if (!wall) return;
    const { items } = wall;
    const { bar, count, search, sort } = this.tools;
    const found = this.#found();
    const size = this.#layout === 'auto' ? Infinity : Number(this.#layout);
    this.#pages = size === Infinity ? 1 : Math.max(1, Math.ceil(found.length / size));
    this.#page = Math.min(this.#page, this.#pages - 1);
    const shown = size === Infinity ? found : found.slice(this.#page * size, (this.#page + 1) * size);
    this.#shown = shown;
    this.grid.dataset.layout = this.#layout;
    this.#drawTiles(shown, wall);
    bar.hidden = items.length === 0;
    count.textContent = items.length === 1 ? t('viewer.count_one') : t('viewer.count', { count: items.length });
    search.hidden = sort.hidden = items.length < SEARCH_FROM;
    this.empty.hidden = items.length > 0;
    if (items.length && !found.length) this.#sayNothingFound();
    this.#drawPager();
    this.#fit();
  }

  #sayNothingFound() {
    const { search } = this.tools;
    const onclick = () => {
      search.value = '';
      this.#turnTo(0);
      search.focus();
    };
    const all = h('button', { type: 'button', onclick }, t('viewer.search_clear'));
    this.say(t('viewer.search_none'), t('viewer.search_none_text', { query: search.value.trim() }), all);
  }

  /**
   * Items in the user's order: moved ones, favourites, and then what works before what does not, by name.
   *
   * @param {Api.WallItem[]} items
   */
  #sorted(items) {
    // The server's order is by name: our streams, and then other paths.
    const byName = (/** @type {Api.WallItem} */ a, /** @type {Api.WallItem} */ b) =>
      titleOf(a).localeCompare(titleOf(b));
    if (this.#kept.sort === 'name') return items.toSorted(byName);
    const places = new Map(this.#kept.order.map((name, i) => [name, i]));
    const favourites = new Set(this.#kept.favourites);
    const placeOf = (/** @type {Api.WallItem} */ { name }) => places.get(name) ?? places.size;
    const isOther = (/** @type {Api.WallItem} */ { name }) => Number(!favourites.has(name));
    return items.toSorted((a, b) => placeOf(a) - placeOf(b) || isOther(a) - isOther(b) || rankOf(a) - rankOf(b));
  }

  /** @param {string} name */
  #toggleFavourite(name) {
    const { favourites } = this.#kept;
    const isOne = favourites.includes(name);
    this.#keep({ favourites: isOne ? favourites.filter((other) => other !== name) : [...favourites, name] });
    this.#draw();
  }

  /** @param {number} page */
  #turnTo(page) {
    this.#page = page;
    this.#draw();
  }

  /** The next page of a wall display, while it is visible and shows no single stream. */
  #cycle() {
    if (!document.hidden && !this.element.hidden && this.#pages > 1) this.#turnTo((this.#page + 1) % this.#pages);
  }

  #drawPager() {
    const pages = this.#pages;
    this.pager.hidden = pages < 2 || this.isKiosk;
    if (pages < 2) return;
    /** @type {(step: number, shape: Icon, label: string) => HTMLElement} */
    const turn = (step, shape, label) => {
      const page = this.#page + step;
      const button = iconButton(shape, label, () => this.#turnTo(page));
      button.toggleAttribute('disabled', page < 0 || page >= pages);
      return button;
    };
    fill(
      this.pager,
      turn(-1, 'previous', t('viewer.page_before')),
      h('span', { class: 'number' }, t('viewer.page', { page: this.#page + 1, pages })),
      turn(1, 'next', t('viewer.page_next')),
    );
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!isForPage(event)) return;
    if (event.key === '?') return showKeys();
    if (this.element.hidden) return;
    const { search } = this.tools;
    if (event.key === 'Escape' && this.isKiosk) location.search = '';
    else if (event.key === '/' && !search.hidden) search.focus();
    else if (event.target instanceof Element && event.target.closest('.tile-handle')) return;
    else if (!this.#moveFocus(event.key)) return;
    event.preventDefault();
  }

  /**
   * Moves the focus from tile to tile; gives whether the key does that.
   *
   * @param {string} key
   */
  #moveFocus(key) {
    const links = [...this.grid.querySelectorAll('.tile-open')];
    const columns = getComputedStyle(this.grid).gridTemplateColumns.split(' ').length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
    if (!step || !links.length) return false;
    const active = document.activeElement?.closest('.tile')?.querySelector('.tile-open');
    const place = active ? links.indexOf(active) : -1;
    // Without a tile in focus, the page scrolls.
    if (place < 0 && step !== 1) return false;
    const next = links[place < 0 ? 0 : place + step];
    if (next instanceof HTMLElement) next.focus();
    return next !== undefined;
  }

  /** @param {string} layout */
  #chooseLayout(layout) {
    this.#keep({ layout });
    this.#markLayout();
    this.#turnTo(0);
  }

  #markLayout() {
    for (const button of this.tools.layouts.querySelectorAll('button')) {
      button.setAttribute('aria-pressed', String(button.dataset.layout === this.#layout));
    }
  }

  #toggleArranging() {
    const isOn = this.grid.classList.toggle('is-arranging');
    this.tools.arrange.setAttribute('aria-pressed', String(isOn));
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
