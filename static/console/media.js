// @ts-check
// The files of the media folders: browsing, uploading, deleting, and making channels of them.

import * as api from '../lib/api.js';
import { confirmed } from '../lib/dialog.js';
import { dropTarget, fill, h } from '../lib/dom.js';
import { bytes, number, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { loadStyle } from '../lib/style.js';
import { attempt, toast } from '../lib/toast.js';
import { makeChannel } from './channel.js';
import { agoText, button, emptyState, heading, iconButton, loader } from './parts.js';

await loadStyle(new URL('media.css', import.meta.url));

const PAGE_SIZE = 60;

/** @type {Record<string, Icon>} */
const SHAPES = { folder: 'grid', picture: 'camera', video: 'film', audio: 'sound' };

/** @param {Record<string, string | number>} values empty ones are left out */
function queryOf(values) {
  const used = Object.entries(values).filter(([, value]) => value !== '');
  return new URLSearchParams(used.map(([key, value]) => [key, String(value)]));
}

/** @type {Section} */
export async function show(main, { args, signal }) {
  const root = args.get('root');
  if (root === null) return showRoots(main, signal);
  const folder = new Folder(main, { root, path: args.get('path') ?? '', type: args.get('type') ?? '', signal });
  await folder.load();
}

/**
 * Lists the media folders.
 *
 * @param {HTMLElement} main
 * @param {AbortSignal} signal
 */
async function showRoots(main, signal) {
  const errors = h('div', {});
  const place = h('div', { class: 'stack' });
  fill(main, heading('media'), errors, place);
  await loader(signal, errors, async () => {
    /** @type {unknown} */
    const answer = await api.call('api/v1/media', { signal });
    const { roots } = /** @type {{ roots: Api.MediaRoot[] }} */ (answer);
    const none = emptyState('film', t('console.media_none'), t('console.media_none_about'));
    fill(place, roots.length ? h('div', { class: 'grid' }, roots.map(rootCard)) : none);
  })();
}

/** @param {Api.MediaRoot} root */
function rootCard({ name, kind, available, problem }) {
  return h(
    'a',
    { class: 'card root', href: `#/media?${queryOf({ root: name })}` },
    icon('grid', 24),
    h('b', { class: 'truncate' }, name),
    kind === 'nas' && h('span', { class: 'badge' }, 'NAS'),
    !available && h('span', { class: 'badge bad' }, t('console.media_away')),
    problem && h('span', { class: 'hint' }, problem),
  );
}

/** @typedef {{ root: string, path: string, type: string, signal: AbortSignal }} Place */

/** One folder of the library. */
class Folder {
  #place;
  #isWritable = false;
  #status = h('p', { class: 'hint', role: 'status' });
  #list = h('div', { class: 'stack' });
  // Filled when it is known that the folder is writable; a NAS is not.
  #tools = h('span', { class: 'row' });
  #files = h('input', {
    type: 'file',
    multiple: true,
    class: 'visually-hidden',
    tabIndex: -1,
    'aria-label': t('console.upload_files'),
  });
  #main;
  #thumbnails;

  /** Loads the folder again. */
  load;

  /**
   * @param {HTMLElement} main
   * @param {Place} place
   */
  constructor(main, place) {
    this.#main = main;
    this.#place = place;
    this.#thumbnails = new Thumbnails(place);
    const errors = h('div', {});
    this.load = loader(place.signal, errors, () => this.#read(0));
    this.#files.addEventListener('change', async () => {
      await this.#upload([...(this.#files.files ?? [])]);
      this.#files.value = '';
    });
    fill(main, heading('media', this.#typeChoice(), this.#tools), this.#crumbs(), this.#status, errors, this.#list);
  }

  /**
   * The address of this folder, with changes.
   *
   * @param {{ path?: string, type?: string }} change
   */
  #href(change) {
    const { root, path, type } = this.#place;
    return `#/media?${queryOf({ root, path, type, ...change })}`;
  }

  /** @param {string} name */
  #below(name) {
    const { path } = this.#place;
    return path ? `${path}/${name}` : name;
  }

  #typeChoice() {
    const types = ['', 'picture', 'video', 'audio'].map((type) => {
      const properties = { value: type, selected: type === this.#place.type };
      return h('option', properties, t(`console.media_${type || 'all'}`));
    });
    const onchange = () => {
      location.hash = this.#href({ type: select.value });
    };
    const select = h('select', { 'aria-label': t('console.media_type'), class: 'narrow', onchange }, types);
    return select;
  }

  #crumbs() {
    const { root, path } = this.#place;
    const parts = path ? path.split('/') : [];
    const steps = [
      { name: t('console.folders'), href: '#/media' },
      { name: root, href: this.#href({ path: '' }) },
      ...parts.map((name, i) => ({ name, href: this.#href({ path: parts.slice(0, i + 1).join('/') }) })),
    ];
    const present = steps.pop();
    const links = steps.map(({ name, href }) => h('li', {}, h('a', { href }, name)));
    const last = h('li', {}, h('span', { 'aria-current': 'page' }, present?.name));
    return h('nav', { class: 'crumbs', 'aria-label': t('console.folders') }, h('ol', {}, links, last));
  }

  /** @param {File[]} files */
  async #upload(files) {
    for (const file of files) {
      const { name } = file;
      this.#status.textContent = t('console.sending', { name });
      const query = queryOf({ root: this.#place.root, path: this.#below(name) });
      const put = () => api.call(`api/v1/media/file?${query}`, { method: 'PUT', body: file });
      await attempt(put, t('console.stored', { name }));
    }
    this.#status.textContent = '';
    this.load();
  }

  /**
   * Reads the entries from `start` on and shows them after those before.
   *
   * @param {number} start
   */
  async #read(start) {
    const { root, path, type, signal } = this.#place;
    const query = queryOf({ root, path, type, start, limit: PAGE_SIZE });
    const { entries, total, writable } = await api.call(`api/v1/media?${query}`, { signal });
    if (writable && !this.#isWritable) this.#allowUploads();
    if (total === 0) {
      const about = writable ? t('console.folder_empty_about') : '';
      return fill(this.#list, emptyState('film', t('console.folder_empty'), about));
    }
    if (start === 0) this.#list.replaceChildren(h('div', { class: 'media-list' }));
    const [list, more] = this.#list.children;
    more?.remove();
    list.append(...entries.map((entry) => this.#item(entry)));
    const next = start + entries.length;
    if (next >= total) return;
    const loadMore = loader(signal, this.#status, () => this.#read(next));
    const remaining = t('console.more', { n: number(total - next) });
    this.#list.append(h('div', { class: 'actions' }, button('more', remaining, loadMore)));
  }

  #allowUploads() {
    this.#isWritable = true;
    const add = button('upload', t('console.upload_files'), () => this.#files.click());
    fill(this.#tools, this.#files, add);
    dropTarget(this.#main, (file) => this.#upload([file]));
  }

  /** @param {Api.MediaEntry} entry */
  #item({ name, kind, size, modified }) {
    const path = this.#below(name);
    const picture = h('div', { class: 'media-picture' }, icon(SHAPES[kind] ?? 'info', 30));
    if (kind === 'picture') this.#thumbnails.add(picture, path);
    const facts = [bytes(size), modified && agoText(modified)].filter(Boolean).join(' · ');
    if (kind !== 'folder') {
      const title = h('b', { class: 'truncate', title: name }, name);
      return this.#card(picture, title, facts, this.#actions(path, name, kind));
    }
    const href = this.#href({ path });
    const open = h('a', { href, class: 'media-open', 'aria-label': name }, picture);
    const title = h('a', { class: 'truncate', href, title: name }, name);
    return this.#card(open, title, t('console.folder'), this.#actions(path, name, kind));
  }

  /** @type {(picture: HTMLElement, title: HTMLElement, facts: string, actions: Dom.Child) => HTMLElement} */
  #card(picture, title, facts, actions) {
    const texts = h('div', { class: 'media-words' }, title, h('span', { class: 'hint' }, facts));
    return h(
      'article',
      { class: 'card media-item' },
      picture,
      texts,
      h('div', { class: 'row media-actions' }, actions),
    );
  }

  /**
   * @param {string} path
   * @param {string} name
   * @param {Api.MediaEntry['kind']} kind
   */
  #actions(path, name, kind) {
    const { root } = this.#place;
    const isMedia = kind === 'video' || kind === 'audio';
    const canBeChannel = kind in SHAPES;
    return [
      canBeChannel &&
        iconButton(
          'play',
          t('console.channel_of', { name }),
          () => makeChannel(root, path, name, kind === 'folder'),
          t('console.word_channel'),
        ),
      isMedia &&
        iconButton('info', t('console.info_of', { name }), () => showInfo(root, path, name), t('console.word_info')),
      this.#isWritable &&
        iconButton('trash', t('console.delete_of', { name }), () => this.#remove(path, name), t('console.delete')),
    ];
  }

  /**
   * @param {string} path
   * @param {string} name
   */
  async #remove(path, name) {
    const title = t('console.delete_of', { name });
    if (!(await confirmed({ title, text: t('console.file_delete_about'), action: t('console.delete') }))) return;
    const query = queryOf({ root: this.#place.root, path });
    const remove = () => api.call(`api/v1/media/file?${query}`, { method: 'DELETE' });
    await attempt(remove, t('console.deleted', { name }));
    this.load();
  }
}

/**
 * Shows duration and codecs of a file.
 *
 * @param {string} root
 * @param {string} path
 * @param {string} name
 */
function showInfo(root, path, name) {
  return attempt(async () => {
    const info = await api.call(`api/v1/media/info?${queryOf({ root, path })}`);
    const facts = Object.entries(info).filter(([, value]) => value !== null && typeof value !== 'object');
    const text = facts.map(([key, value]) => `${key.replaceAll('_', ' ')} ${value}`).join(' · ');
    toast(`${name}: ${text}`, 'info');
  });
}

/** Loads the thumbnails of visible pictures, and no others. */
class Thumbnails {
  #root;
  #signal;
  /** @type {WeakMap<Element, string>} */
  #paths = new WeakMap();
  /** @type {string[]} */
  #urls = [];
  #observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) if (isIntersecting) this.#load(target);
    },
    { rootMargin: '150px' },
  );

  /** @param {Place} place */
  constructor({ root, signal }) {
    this.#root = root;
    this.#signal = signal;
    signal.addEventListener('abort', () => {
      this.#observer.disconnect();
      this.#urls.forEach((url) => URL.revokeObjectURL(url));
    });
  }

  /**
   * @param {HTMLElement} element
   * @param {string} path
   */
  add(element, path) {
    this.#paths.set(element, path);
    this.#observer.observe(element);
  }

  /** @param {Element} element */
  async #load(element) {
    this.#observer.unobserve(element);
    const query = queryOf({ root: this.#root, path: this.#paths.get(element) ?? '' });
    const response = await api.request(`api/v1/media/thumbnail?${query}`, { signal: this.#signal }).catch(() => null);
    if (!response?.ok || this.#signal.aborted) return;
    const url = URL.createObjectURL(await response.blob());
    this.#urls.push(url);
    element.replaceChildren(h('img', { src: url, alt: '', decoding: 'async' }));
  }
}
