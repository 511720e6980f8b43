// @ts-check
// Publishing from this browser, by WHIP. A publication continues while the user looks at other sections, and ends with
// the page.

import * as api from '../lib/api.js';
import { fill, h, store, stored } from '../lib/dom.js';
import { FieldError, controlOf, field, firstInvalid, isChecked, showProblem, valueOf } from '../lib/form.js';
import { errorText, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { loadStyle } from '../lib/style.js';
import { button, emptyState, heading, nameField, notice } from './parts.js';
import { Publication } from './publication.js';
import { publicationCard } from './publication_card.js';
import { SOURCES, devices } from './sources.js';

await loadStyle(new URL('publish.css', import.meta.url));

/** @typedef {import('./sources.js').SourceKind} SourceKind */

/** @type {Record<SourceKind, Icon>} */
const SHAPES = { still: 'pip', camera: 'camera', screen: 'screen', audio: 'sound', video: 'film' };
const KINDS = /** @type {SourceKind[]} */ (Object.keys(SOURCES));

/**
 * All publications by path, also while another section is open.
 *
 * @type {Map<string, { publication: Publication, card: HTMLElement }>}
 */
const running = new Map();

/** Draws the list of publications if its section is open. */
let refresh = () => {};

addEventListener('beforeunload', (event) => running.size > 0 && event.preventDefault());
const stopAll = () => [...running.values()].forEach(({ publication }) => publication.stop());
addEventListener('pagehide', stopAll);
api.session.addEventListener('change', () => api.user() === null && stopAll());

/** @type {Section} */
export async function show(main, { signal }) {
  const list = h('div', { class: 'publications' });
  const none = emptyState('screen', t('console.publish_none'), t('console.publish_none_about'));
  refresh = () => {
    for (const { card } of running.values()) if (card.parentElement !== list) list.append(card);
    none.hidden = running.size > 0;
    showCount();
  };
  const addresses = await api.call('api/v1/addresses', { signal });
  const warning = !window.isSecureContext && notice('warn', h('p', {}, t('console.publish_insecure')));
  const publications = h('section', { class: 'stack', 'aria-label': t('console.publish_running') }, list, none);
  const form = new PublishForm(addresses).element;
  const openPhone = async () => (await import('./phone_link.js')).openPhoneDialog();
  const phone = button('qr', t('console.phone'), openPhone, { class: 'do-phone' });
  fill(main, heading('publish', phone), warning, h('div', { class: 'publish' }, form, publications));
  refresh();
}

/** Shows the number of publications beside the link of the section. */
function showCount() {
  const count = document.querySelector('#sections [data-section=publish] .count');
  if (!(count instanceof HTMLElement)) return;
  count.textContent = String(running.size);
  count.hidden = running.size === 0;
}

/** The form of a new publication: kind of source, device or file, and path. */
class PublishForm {
  #addresses;
  /** @type {SourceKind} */
  #kind;
  #options = h('div', { class: 'stack' });
  #submit = h('button', { class: 'primary', id: 'publish-start' }, icon('play'), t('console.publish_start'));

  /** @param {Api.Addresses} addresses */
  constructor(addresses) {
    this.#addresses = addresses;
    const last = stored('publish', { kind: KINDS[0], path: 'studio' });
    this.#kind = KINDS.includes(last.kind) ? last.kind : KINDS[0];
    const choices = KINDS.map((kind) => this.#kindChoice(kind));
    const kinds = h('div', { class: 'kinds', role: 'radiogroup', 'aria-label': t('console.publish_what') }, choices);
    const path = nameField({
      label: t('console.path'),
      name: 'path',
      required: true,
      value: last.path,
      pattern: '[A-Za-z0-9_.\\-\\/]+',
      hint: t('console.publish_path_about'),
    });
    const make = field({
      label: t('console.make_path'),
      name: 'make',
      type: 'checkbox',
      checked: true,
      hint: t('console.make_path_about'),
    });
    this.element = h(
      'form',
      { class: 'card stack publish-form', noValidate: true },
      h('h2', {}, t('console.publish_new')),
      kinds,
      this.#options,
      path,
      make,
      h('p', { class: 'form-error bad', role: 'alert' }),
      h('div', { class: 'actions' }, this.#submit),
    );
    this.element.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#publish();
    });
    this.#drawOptions();
    navigator.mediaDevices?.addEventListener?.('devicechange', () => {
      if (this.element.isConnected && this.#kind === 'camera') this.#drawOptions();
    });
  }

  /** @param {SourceKind} kind */
  #kindChoice(kind) {
    const onchange = () => {
      this.#kind = kind;
      this.#drawOptions();
    };
    const radio = h('input', { type: 'radio', name: 'kind', value: kind, checked: kind === this.#kind, onchange });
    return h('label', { class: 'kind' }, radio, icon(SHAPES[kind], 22), h('span', {}, t(`console.source_${kind}`)));
  }

  async #drawOptions() {
    const kind = this.#kind;
    const about = h('p', { class: 'hint' }, t(`console.source_${kind}_about`));
    fill(this.#options, about);
    const found = kind === 'camera' ? await devices() : { video: [], audio: [] };
    if (this.#kind === kind) fill(this.#options, about, sourceFields(kind, found), kind !== 'audio' && rateField());
  }

  async #publish() {
    const form = this.element;
    const pathControl = controlOf(form, 'path');
    const path = valueOf(form, 'path');
    const isRunning = running.has(path);
    const twice = isRunning ? new FieldError('path', t('console.publish_twice', { path })) : null;
    const invalid = firstInvalid(form) ?? twice;
    showProblem(form, invalid);
    if (invalid) return;
    this.#submit.disabled = true;
    const kind = this.#kind;
    try {
      const source = await SOURCES[kind]({
        file: controlOf(form, 'file')?.files?.[0],
        video: valueOf(form, 'video'),
        audio: valueOf(form, 'audio'),
        size: valueOf(form, 'size') || undefined,
        sound: isChecked(form, 'sound'),
      });
      const kbps = Number(valueOf(form, 'kbps')) || undefined;
      const makePath = isChecked(form, 'make') ? () => makePublisherPath(path) : null;
      store('publish', { kind, path });
      begin(kind, { path, source, kbps, addresses: this.#addresses, makePath });
      if (pathControl) pathControl.value = nextPath(path);
      this.#drawOptions();
    } catch (error) {
      showProblem(form, sourceProblem(error));
    } finally {
      this.#submit.disabled = false;
    }
  }
}

/**
 * The fields of a kind of source.
 *
 * @param {SourceKind} kind
 * @param {Awaited<ReturnType<typeof devices>>} found
 */
function sourceFields(kind, found) {
  /** @type {(label: string, accept: string) => HTMLElement} */
  const file = (label, accept) => field({ label, name: 'file', type: 'file', accept, required: true });
  if (kind === 'still') return file(t('console.picture'), 'image/*');
  if (kind === 'audio') return file(t('console.audio_file'), 'audio/*');
  if (kind === 'video') return file(t('console.video_file'), 'video/*');
  if (kind === 'screen')
    return field({ label: t('console.with_sound'), name: 'sound', type: 'checkbox', checked: true });
  /** @type {[string, string][]} */
  const standard = [['', t('console.by_default')]];
  /** @type {[string, string][]} */
  const none = [['none', t('console.no_sound')]];
  /** @type {[string, string][]} */
  const sizes = ['1280x720', '1920x1080', '640x360'].map((size) => [size, size.replace('x', ' × ')]);
  const microphones = [...standard, ...none, ...found.audio];
  return [
    field({ label: t('console.camera'), name: 'video', options: [...standard, ...found.video] }),
    field({ label: t('console.size'), name: 'size', options: sizes }),
    field({ label: t('console.microphone'), name: 'audio', options: microphones }),
  ];
}

function rateField() {
  return field({
    label: t('console.max_kbps'),
    name: 'kbps',
    type: 'number',
    min: 100,
    max: 20000,
    step: 100,
    placeholder: '2500',
    hint: t('console.max_kbps_about'),
  });
}

/**
 * The next path: a number at its end grows.
 *
 * @param {string} path
 */
function nextPath(path) {
  const [, stem, digits] = path.match(/^(.*?)(\d+)$/) ?? [];
  return digits ? `${stem}${Number(digits) + 1}` : `${path}-2`;
}

/**
 * The error of a source, with a text for the errors of getUserMedia and getDisplayMedia.
 *
 * @param {unknown} error
 */
function sourceProblem(error) {
  const name = error instanceof DOMException ? error.name : '';
  if (name === 'NotAllowedError') return new Error(t('console.publish_denied'));
  if (name === 'NotFoundError') return new Error(t('console.publish_no_device'));
  return error instanceof FieldError ? error : new Error(errorText(error));
}

/** @param {string} path */
function makePublisherPath(path) {
  return api.send('PUT', `api/v1/paths/${api.encoded(path)}`, { kind: 'raw', fields: { source: 'publisher' } });
}

/**
 * Starts a publication and shows its card until it ends.
 *
 * @param {SourceKind} kind
 * @param {import('./publication.js').PublicationOptions} options
 */
function begin(kind, options) {
  const { path } = options;
  const publication = new Publication(options);
  const card = publicationCard(publication, kind, options);
  running.set(path, { publication, card });
  publication.addEventListener('state', () => {
    if (publication.state !== 'ended') return;
    running.delete(path);
    card.remove();
    refresh();
  });
  publication.start();
  refresh();
}
