// @ts-check
// A stream in the list: its picture, state, figures and actions.

import * as api from '../lib/api.js';
import { drawBeats } from '../lib/beats.js';
import { confirmed } from '../lib/dialog.js';
import { dropTarget, h } from '../lib/dom.js';
import { ago, bytes, errorText, number, t } from '../lib/i18n.js';
import { openLinkDialog } from '../lib/links.js';
import { attempt, toast } from '../lib/toast.js';
import { Thumbnail } from '../viewer/thumbnails.js';
import { letMediaMtxRead, mediaMtxMayRead } from './camera_path.js';
import { button, iconButton } from './parts.js';
import { kindName } from './schema.js';
import { failureText, known } from './words.js';

/**
 * The intervals at which pictures are requested. Without watchers each request starts the camera. An upload is
 * requested when it changes.
 */
const THUMBNAIL_MS = { live: 5000, other: 30_000, upload: 3_600_000 };

const THUMBNAIL_WIDTH = 320;

/** Smaller rates are not worth showing. */
const SMALLEST_FPS = 0.05;

/**
 * Uploads a picture; gives a text about it, or null after it has shown the error.
 *
 * @param {File} file
 * @param {string} stream
 */
export async function upload(file, stream) {
  try {
    const path = /** @type {const} */ (`api/v1/streams/${api.encoded(stream)}/frame`);
    const { stream: name, width, height } = await api.call(path, { method: 'PUT', body: file });
    return t('console.uploaded', { name, width, height });
  } catch (error) {
    toast(errorText(error), 'bad');
    return null;
  }
}

export class StreamRow {
  #stream;
  #changed;
  #addresses;
  #isVisible = false;
  /** @type {number | null} */
  #seq = null;

  /**
   * @param {Api.Stream} stream
   * @param {{ changed: () => void, addresses: () => Api.Addresses | null }} options
   */
  constructor(stream, { changed, addresses }) {
    const { name } = stream;
    this.#stream = stream;
    this.#changed = changed;
    this.#addresses = addresses;
    this.image = h('img', { alt: t('console.latest_of', { name }), width: 160, height: 90, decoding: 'async' });
    this.image.addEventListener('shown', () => this.element.classList.add('has-picture'));
    this.thumbnail = new Thumbnail(this.image, name);
    this.title = h('h2', { class: 'truncate', title: name }, name);
    this.state = h('span', { class: 'badge' });
    this.reason = h('p', { class: 'hint reason' });
    this.facts = h('p', { class: 'hint number facts-line' });
    this.beats = h('div', { class: 'beats', hidden: true });
    const letRead = () => this.#letMediaMtxRead();
    this.handOver = button('arrow', t('console.mediamtx_read'), letRead, { class: 'hand-over', hidden: true });
    this.file = h('input', {
      type: 'file',
      accept: 'image/*',
      class: 'visually-hidden',
      tabIndex: -1,
      'aria-label': t('console.upload_for', { name }),
      onchange: () => this.#upload(),
    });
    this.send = iconButton(
      'upload',
      t('console.upload_for', { name }),
      () => this.file.click(),
      t('console.word_upload'),
    );
    this.edit = iconButton('edit', t('console.edit_of', { name }), () => this.#edit(), t('console.word_edit'));
    this.remove = iconButton('trash', t('console.delete_of', { name }), () => this.#delete(), t('console.delete'));
    this.element = h(
      'div',
      { class: 'stream', role: 'listitem', dataset: { name } },
      this.#picture(),
      this.#texts(),
      this.#actions(),
    );
    dropTarget(this.element, (file) => this.#send(file));
  }

  #picture() {
    const { name } = this.#stream;
    const href = `${api.address('viewer/')}#/watch/${api.encoded(name)}`;
    return h('a', { class: 'stream-picture', href, 'aria-label': t('console.watch', { name }) }, this.image);
  }

  #texts() {
    const line = h('div', { class: 'stream-title' }, this.title, this.state);
    return h('div', { class: 'stream-words' }, line, this.facts, this.reason, this.beats, this.handOver);
  }

  #actions() {
    const { name } = this.#stream;
    const openLink = () => {
      const addresses = this.#addresses() ?? undefined;
      const path = addresses?.path_prefix ? `${addresses.path_prefix}/${name}` : name;
      openLinkDialog({ name, isStream: true, hasStills: true, path, addresses });
    };
    const link = iconButton('link', t('console.link_of', { name }), openLink, t('console.word_link'));
    const openCode = async () => {
      const { openSnippets } = await import('./snippets.js');
      openSnippets(this.#stream, this.#addresses());
    };
    const use = t('console.word_use');
    const snippets = iconButton('copy', `${use}: ${name}`, openCode, use);
    const openWay = async () => (await import('./journey.js')).openJourney(name);
    const way = iconButton('arrow', t('console.journey_of', { name }), openWay, t('console.word_journey'));
    const actions = [this.file, this.send, way, link, snippets, this.edit, this.remove];
    return h('div', { class: 'stream-actions' }, actions);
  }

  /**
   * Takes new data over.
   *
   * @param {Api.Stream} stream
   */
  update(stream) {
    const hadFailed = this.#stream.failure;
    this.#stream = stream;
    const { state, reason, kind, failure } = stream;
    this.state.className = `badge ${state}`;
    setText(this.state, t(`console.state_${state}`));
    this.handOver.hidden = !mediaMtxMayRead(stream);
    setText(this.title, stream.title ?? stream.name);
    // The state can be over while its failure is not: without watchers the camera is not asked again.
    const problem = failureText(stream);
    setText(this.reason, problem || reasonOf(state, reason));
    this.reason.classList.toggle('bad', problem !== '');
    setText(this.facts, factsOf(stream));
    this.send.hidden = kind !== 'upload';
    this.remove.hidden = stream.origin === 'file';
    // A stream that a topic made has no definition of its own.
    this.edit.hidden = this.remove.hidden || stream.origin === 'topic';
    const seq = stream.picture?.seq ?? null;
    const isNew = seq !== this.#seq;
    this.#seq = seq;
    // An uploaded picture is shown at once; the picture of a camera is requested at intervals.
    if ((isNew && kind === 'upload') || (hadFailed && !failure)) this.thumbnail.reload();
    if (this.#isVisible) this.#startThumbnail();
  }

  /**
   * Shows the last day.
   *
   * @param {import('../lib/beats.js').Slot[]} slots
   */
  showDay(slots) {
    drawBeats(this.beats, slots);
  }

  /**
   * Says whether the row is visible.
   *
   * @param {boolean} isVisible
   */
  setVisible(isVisible) {
    this.#isVisible = isVisible;
    if (isVisible) this.#startThumbnail();
    else this.thumbnail.stop();
  }

  #startThumbnail() {
    const { kind, state, picture, frames, watchers } = this.#stream;
    const isUpload = kind === 'upload';
    if (isUpload && !picture && frames === 0 && state === 'starting') return;
    const isLive = state === 'live' && watchers > 0;
    this.thumbnail.start(THUMBNAIL_MS[isUpload ? 'upload' : isLive ? 'live' : 'other'], THUMBNAIL_WIDTH);
  }

  end() {
    this.thumbnail.stop();
    if (this.image.src.startsWith('blob:')) URL.revokeObjectURL(this.image.src);
  }

  async #upload() {
    const file = this.file.files?.[0];
    if (file) await this.#send(file);
    this.file.value = '';
  }

  /** @param {File} file */
  async #send(file) {
    const text = await upload(file, this.#stream.name);
    if (!text) return;
    toast(text);
    this.#changed();
  }

  async #letMediaMtxRead() {
    this.handOver.disabled = true;
    if (await letMediaMtxRead(this.#stream)) this.#changed();
    this.handOver.disabled = false;
  }

  async #edit() {
    const { editStream } = await import('./stream_form.js');
    if (await editStream(this.#stream.name)) this.#changed();
  }

  async #delete() {
    const { name } = this.#stream;
    const title = t('console.delete_of', { name });
    if (!(await confirmed({ title, text: t('console.stream_delete_about'), action: t('console.delete') }))) return;
    const path = /** @type {const} */ (`api/v1/streams/${api.encoded(name)}`);
    await attempt(() => api.call(path, { method: 'DELETE' }), t('console.deleted', { name }));
    this.#changed();
  }
}

/**
 * Sets a text only if it differs, so that a selection stays.
 *
 * @param {HTMLElement} element
 * @param {string} text
 */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * The reason of a state in the reader's language. The states say most of it; the details of the server are English.
 *
 * @param {string} state
 * @param {string} reason
 */
const reasonOf = (state, reason) => known(`console.reason_state_${state}`, reason);

/** @param {Api.Stream} stream */
function factsOf({ name, title, kind, picture, fps, watchers, dropped, origin }) {
  const facts = [
    title && name,
    kindName(kind),
    picture && `${picture.width} × ${picture.height}`,
    picture && bytes(picture.bytes),
    picture && ago(picture.age_seconds),
    fps >= SMALLEST_FPS && t('console.per_second', { n: number(fps, 1) }),
    watchers > 0 && t('console.watchers_n', { n: number(watchers) }),
    dropped > 0 && t('console.dropped_n', { n: number(dropped) }),
    origin === 'file' && t('console.defined_in_file'),
    origin === 'topic' && t('console.made_by_topic'),
  ];
  return facts.filter(Boolean).join(' · ');
}
