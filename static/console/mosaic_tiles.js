// @ts-check
// The tiles of a mosaic: chosen by clicks from the streams and paths, and shown in their order and layout.

import * as api from '../lib/api.js';
import { fill, h, keyed } from '../lib/dom.js';
import { errorText, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { loadStyle } from '../lib/style.js';
import { arrangeable } from '../viewer/arrange.js';
import { Thumbnail } from '../viewer/thumbnails.js';
import { button, iconButton } from './parts.js';

await loadStyle(new URL('mosaic_tiles.css', import.meta.url));

/** A preview is renewed rarely: without watchers each picture starts a camera. */
const THUMBNAIL_MS = 60_000;
const THUMBNAIL_WIDTH = 320;

/** @typedef {{ column: number, row: number, span: number }} Place */

/**
 * The number of columns and rows of a layout, and the places of its tiles, as the server arranges them.
 *
 * @param {string} layout
 * @param {number} count
 * @returns {{ columns: number, rows: number, places: Place[] }}
 */
export function arranged(layout, count) {
  if (layout === 'focus' && count > 1) {
    const side = Math.max(2, Math.ceil(count / 2));
    // Down the right side, and then along the lower edge to the left.
    const others = Array.from({ length: 2 * side - 1 }, (_, i) =>
      i < side ? { column: side, row: i + 1, span: 1 } : { column: 2 * side - 1 - i, row: side, span: 1 },
    );
    return { columns: side, rows: side, places: [{ column: 1, row: 1, span: side - 1 }, ...others].slice(0, count) };
  }
  const grid = /^([1-6])x([1-6])$/.exec(layout);
  const columns = grid ? Number(grid[1]) : Math.max(1, Math.ceil(Math.sqrt(count)));
  const rows = grid ? Number(grid[2]) : Math.max(1, Math.ceil(count / columns));
  const places = Array.from({ length: Math.min(count, columns * rows) }, (_, i) => ({
    column: (i % columns) + 1,
    row: Math.floor(i / columns) + 1,
    span: 1,
  }));
  return { columns, rows, places };
}

/** One tile of the preview. */
class Tile {
  #entry;
  #image;
  #thumbnail;
  #found = h('span', { class: 'hint' });

  /**
   * @param {string} entry
   * @param {() => void} remove
   */
  constructor(entry, remove) {
    this.#entry = entry;
    this.#image = h('img', { alt: '', decoding: 'async', hidden: true });
    this.#image.addEventListener('shown', () => (this.#image.hidden = false));
    const handle = h(
      'button',
      { type: 'button', class: 'icon-button tile-handle', 'aria-label': t('console.mosaic_move', { name: entry }) },
      icon('move', 18),
    );
    const label = h('span', { class: 'truncate', title: entry }, entry);
    const words = h('div', { class: 'mosaic-words' }, label, this.#found);
    const removal = iconButton('close', t('console.mosaic_remove', { name: entry }), remove);
    this.element = h(
      'li',
      { class: 'tile mosaic-tile' },
      this.#image,
      words,
      h('div', { class: 'row' }, handle, removal),
    );
    this.#thumbnail = new Thumbnail(this.#image, entry);
  }

  /**
   * Takes over what there is to show.
   *
   * @param {Api.WallItem[]} items
   */
  update(items) {
    if (this.#entry.startsWith('~')) {
      this.#found.textContent = t('console.mosaic_matches', { n: matching(this.#entry, items) });
      return;
    }
    const item = items.find(({ name }) => name === this.#entry);
    const hasPicture = item?.stream?.picture || item?.path?.available;
    if (hasPicture) this.#thumbnail.start(THUMBNAIL_MS, THUMBNAIL_WIDTH);
  }

  end() {
    this.#thumbnail.stop();
    if (this.#image.src.startsWith('blob:')) URL.revokeObjectURL(this.#image.src);
  }
}

/**
 * How many names have a pattern now. JavaScript's expressions are nearly those of the server; where they are not, the server counts.
 *
 * @param {string} entry
 * @param {Api.WallItem[]} items
 */
function matching(entry, items) {
  try {
    const pattern = new RegExp(entry.slice(1));
    return items.filter(({ name }) => pattern.test(name)).length;
  } catch {
    return '?';
  }
}

/** Chooses the tiles of the form's control `tiles`, which has them as JSON. */
export class MosaicTiles {
  /** @type {string[]} */
  #entries = [];
  /** @type {Api.WallItem[]} */
  #items = [];
  /** @type {WeakMap<Element, Tile>} */
  #tiles = new WeakMap();
  #fields;
  #control;

  /**
   * @param {HTMLElement} fields the controls of the form
   * @param {string} own the name of the mosaic; empty for a new one
   */
  constructor(fields, own) {
    this.#fields = fields;
    this.#control = /** @type {HTMLTextAreaElement} */ (fields.querySelector('[name=tiles]'));
    this.preview = h('ol', { class: 'mosaic-preview', 'aria-label': t('console.mosaic_preview') });
    this.choice = h('div', { class: 'mosaic-choice', role: 'group', 'aria-label': t('console.mosaic_choice') });
    this.told = h('p', { class: 'hint', role: 'status' });
    this.input = h('input', {
      id: 'mosaic-add',
      placeholder: '~^cameras/',
      'aria-label': t('console.mosaic_add_about'),
      autocapitalize: 'none',
      spellcheck: false,
      oninput: () => this.#drawChoice(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== 'Enter') return;
        event.preventDefault();
        this.#addTyped();
      },
    });
    const add = button('plus', t('console.mosaic_add'), () => this.#addTyped());
    this.element = h(
      'section',
      { class: 'stack tight mosaic-tiles', 'aria-label': t('console.field_tiles') },
      h('p', { class: 'hint' }, t('console.mosaic_about')),
      this.preview,
      h('div', { class: 'row' }, this.input, add),
      h('p', { class: 'hint' }, t('console.mosaic_add_about')),
      this.choice,
      this.told,
    );
    arrangeable(this.preview, {
      onMoved: (entries) => this.#set(entries),
      announce: (name, position, count) => {
        this.told.textContent = t('console.mosaic_moved', { name, position, count });
      },
    });
    this.#control.addEventListener('input', () => this.#read());
    for (const name of ['layout', 'w', 'h']) {
      fields.querySelector(`[name=${name}]`)?.addEventListener('input', () => this.#layOut());
    }
    this.#read();
    this.#load(own);
  }

  /** @param {string} own */
  async #load(own) {
    try {
      const { items } = await api.call('api/v1/wall');
      // A UV4L camera without a path has no pictures here.
      const shown = items.filter(
        ({ name, stream, path }) => name !== own && (stream ? stream.kind !== 'mosaic' : path),
      );
      this.#items = shown.sort((a, b) => a.name.localeCompare(b.name));
    } catch (error) {
      this.told.textContent = errorText(error);
    }
    this.#draw();
  }

  /** Takes over what the control has, as far as it can be read. */
  #read() {
    try {
      const entries = JSON.parse(this.#control.value || '[]');
      if (!Array.isArray(entries) || !entries.every((entry) => typeof entry === 'string')) return;
      this.#entries = [...new Set(entries)];
      this.#draw();
    } catch {
      // It is being typed.
    }
  }

  /** @param {string[]} entries */
  #set(entries) {
    this.#entries = entries;
    this.#control.value = entries.length ? JSON.stringify(entries) : '';
    this.#draw();
  }

  #addTyped() {
    const entry = this.input.value.trim();
    if (!entry || this.#entries.includes(entry)) return;
    this.input.value = '';
    this.#set([...this.#entries, entry]);
  }

  /** @param {string} name */
  #toggle(name) {
    const has = this.#entries.includes(name);
    this.#set(has ? this.#entries.filter((entry) => entry !== name) : [...this.#entries, name]);
  }

  #draw() {
    keyed(this.preview, this.#entries, {
      key: (entry) => entry,
      make: (entry) => {
        const tile = new Tile(entry, () => this.#toggle(entry));
        this.#tiles.set(tile.element, tile);
        return tile.element;
      },
      update: (element) => this.#tiles.get(element)?.update(this.#items),
      remove: (element) => this.#tiles.get(element)?.end(),
    });
    this.#layOut();
    this.#drawChoice();
  }

  /** Puts the tiles where the server will. A tile without a place is not shown there. */
  #layOut() {
    const valueOf = (/** @type {string} */ name) =>
      /** @type {HTMLInputElement | null} */ (this.#fields.querySelector(`[name=${name}]`))?.value.trim() ?? '';
    const tiles = /** @type {HTMLElement[]} */ ([...this.preview.children]);
    const { columns, rows, places } = arranged(valueOf('layout') || 'auto', tiles.length);
    const { style } = this.preview;
    style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    style.gridTemplateRows = `repeat(${rows}, minmax(0, 1fr))`;
    style.aspectRatio = `${Number(valueOf('w')) || 16} / ${Number(valueOf('w')) ? Number(valueOf('h')) || 720 : 9}`;
    tiles.forEach((tile, i) => {
      const place = places[i];
      tile.hidden = !place;
      if (!place) return;
      tile.style.gridColumn = `${place.column} / span ${place.span}`;
      tile.style.gridRow = `${place.row} / span ${place.span}`;
    });
  }

  #drawChoice() {
    const query = this.input.value.trim().toLowerCase();
    const names = this.#items.map(({ name }) => name);
    const found = query.startsWith('~') ? names : names.filter((name) => name.toLowerCase().includes(query));
    const buttons = found.map((name) =>
      h(
        'button',
        {
          type: 'button',
          class: 'small',
          'aria-pressed': String(this.#entries.includes(name)),
          dataset: { name },
          onclick: () => this.#toggle(name),
        },
        name,
      ),
    );
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.name;
    const hadFocus = this.choice.contains(document.activeElement);
    fill(this.choice, buttons);
    if (hadFocus) buttons.find(({ dataset }) => dataset.name === focused)?.focus();
  }

  /** Ends the requests for pictures. */
  end() {
    for (const element of this.preview.children) this.#tiles.get(element)?.end();
  }
}
