// @ts-check
// The files of one recorded path: their lengths and sizes, and deleting several of them with one question and one answer.

import * as api from '../lib/api.js';
import { confirmed, openDialog } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { bytes, dateTime, errorText, t } from '../lib/i18n.js';
import { durationText } from '../lib/length.js';
import { loadStyle } from '../lib/style.js';
import { attempt, toast } from '../lib/toast.js';
import { button, iconButton, notice, table } from './parts.js';

await loadStyle(new URL('recorded_files.css', import.meta.url));

/** @typedef {Api.Answer<`api/v1/recordings/${string}`>['segments'][number]} File */
/** @typedef {{ start: string, why: string }} Failure */

/** A line below a list, which says why sizes are missing. */
export function sizesHint() {
  const element = h('p', { class: 'hint', hidden: true }, t('console.sizes_unknown'));
  /** @param {readonly { size?: number | null }[]} items */
  const show = (items) => {
    element.hidden = items.every(({ size }) => typeof size === 'number');
  };
  return { element, show };
}

/**
 * Opens the list of the files of a path.
 *
 * @param {string} path
 * @param {() => void} changed
 */
export async function openFiles(path, changed) {
  const files = new Files(path);
  if (!(await attempt(() => files.load()))) return;
  const title = t('console.files_of', { name: path });
  await openDialog({ title, body: files.element, className: 'recorded-files' }).closed;
  changed();
}

class Files {
  /** @type {File[]} */
  #files = [];
  /** @type {Set<string>} starts of the files that are chosen */
  #chosen = new Set();
  #isDeleting = false;
  #path;

  /** @param {string} path */
  constructor(path) {
    this.#path = path;
    this.answer = h('div', { role: 'status' });
    this.all = h('input', { type: 'checkbox', onchange: () => this.#chooseAll(this.all.checked) });
    this.remove = button('trash', '', () => this.#remove([...this.#chosen]), { class: 'danger do-delete' });
    const bar = h(
      'div',
      { class: 'spread' },
      h('label', { class: 'tick-name' }, this.all, h('span', {}, t('console.files_chosen_all'))),
      this.remove,
    );
    this.hint = sizesHint();
    this.list = table({
      label: t('console.files_of', { name: path }),
      key: ({ start }) => start,
      columns: this.#columns(),
      empty: h('p', { class: 'dim' }, t('console.recordings_none')),
    });
    this.element = h('div', { class: 'stack' }, this.answer, bar, this.list.element, this.hint.element);
  }

  /** @returns {Column<File>[]} */
  #columns() {
    const name = (/** @type {File} */ { start }) => dateTime(start);
    return [
      {
        label: t('console.file_tick'),
        class: 'choose',
        version: ({ start }) => start,
        node: (file) => this.#tick(file),
      },
      { label: t('console.begins'), class: 'nowrap', text: name },
      {
        label: t('console.length'),
        class: 'number',
        text: ({ duration }) => (typeof duration === 'number' ? durationText(duration) : '—'),
      },
      { label: t('console.size'), class: 'number', text: ({ size }) => (typeof size === 'number' ? bytes(size) : '—') },
      {
        label: '',
        class: 'row-actions',
        version: ({ start }) => start,
        node: (file) =>
          iconButton('trash', t('console.delete_of', { name: name(file) }), () => this.#remove([file.start])),
      },
    ];
  }

  /** @param {File} file */
  #tick({ start }) {
    const label = t('console.file_choose', { name: dateTime(start) });
    const box = h('input', { type: 'checkbox', value: start, 'aria-label': label, checked: this.#chosen.has(start) });
    box.addEventListener('change', () => {
      if (box.checked) this.#chosen.add(start);
      else this.#chosen.delete(start);
      this.#showChosen();
    });
    return box;
  }

  async load() {
    const { segments } = await api.call(`api/v1/recordings/${api.encoded(this.#path)}`);
    this.#files = segments.toReversed();
    const known = new Set(segments.map(({ start }) => start));
    this.#chosen = new Set([...this.#chosen].filter((start) => known.has(start)));
    this.list.show(this.#files);
    this.hint.show(this.#files);
    this.#showChosen();
  }

  /** @param {boolean} isChosen */
  #chooseAll(isChosen) {
    this.#chosen = new Set(isChosen ? this.#files.map(({ start }) => start) : []);
    this.#showChosen();
  }

  #showChosen() {
    const n = this.#chosen.size;
    for (const box of this.list.element.querySelectorAll('input')) box.checked = this.#chosen.has(box.value);
    this.all.checked = n > 0 && n === this.#files.length;
    this.all.indeterminate = n > 0 && n < this.#files.length;
    this.remove.disabled = n === 0 || this.#isDeleting;
    this.#label(n > 1 ? t('console.files_delete', { n }) : t('console.delete'));
  }

  /** @param {string} text */
  #label(text) {
    fill(/** @type {Element} */ (this.remove.lastElementChild), text);
  }

  /**
   * Asks once, deletes files one by one, because MediaMTX does, and tells the result.
   *
   * @param {string[]} starts
   */
  async #remove(starts) {
    if (this.#isDeleting) return;
    const n = starts.length;
    const [first] = starts;
    const what = n === 1 ? t('console.delete_of', { name: dateTime(first) }) : t('console.files_delete', { n });
    if (!(await confirmed({ title: what, text: t('console.file_delete_about'), action: t('console.delete') }))) return;
    this.#isDeleting = true;
    this.remove.disabled = true;
    /** @type {Failure[]} */
    const failures = [];
    for (const [i, start] of starts.entries()) {
      this.#label(t('console.files_deleting', { n: i + 1, all: n }));
      const address = /** @type {const} */ (
        `api/v1/recordings/${api.encoded(this.#path)}?start=${encodeURIComponent(start)}`
      );
      await api.call(address, { method: 'DELETE' }).catch((error) => failures.push({ start, why: reasonOf(error) }));
    }
    this.#isDeleting = false;
    this.#tell(n, starts, failures);
    await attempt(() => this.load());
    this.#showChosen();
  }

  /**
   * @param {number} all
   * @param {string[]} starts
   * @param {Failure[]} failures
   */
  #tell(all, starts, failures) {
    const n = all - failures.length;
    const done = all === 1 ? t('console.deleted', { name: dateTime(starts[0]) }) : t('console.files_deleted', { n });
    if (!failures.length) {
      this.answer.replaceChildren();
      return toast(done);
    }
    const left = t('console.files_left', { n, all });
    // The dialog was closed in the meantime.
    if (!this.element.isConnected)
      return toast(`${left} ${failures.map(({ start }) => dateTime(start)).join(', ')}`, 'bad');
    const items = failures.map(({ start, why }) => h('li', {}, h('b', {}, dateTime(start)), ` ${why}`));
    fill(this.answer, notice('bad', h('p', {}, left), h('ul', { class: 'failed-files' }, items)));
    this.answer.scrollIntoView({ block: 'nearest' });
  }
}

/**
 * Why a file could not be deleted. MediaMTX removes old files by itself, so a file can be gone that was listed a moment ago.
 *
 * @param {{ code?: string }} error
 */
const reasonOf = (error) => (error.code === 'unknown_file' ? t('console.file_gone') : errorText(error));
