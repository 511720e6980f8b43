// @ts-check
// The form of a stream, made of the server's OpenAPI document.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { controlOf, field, valueOf } from '../lib/form.js';
import { errorText, t } from '../lib/i18n.js';
import { toast } from '../lib/toast.js';
import { graphPreview } from './graph_preview.js';
import { makeOrReplace } from './make.js';
import { MosaicTiles } from './mosaic_tiles.js';
import { button, formDialog, nameField } from './parts.js';
import { pasteField } from './paste.js';
import { collect, control, kindAbout, kindName, streamKinds } from './schema.js';
import { freeName } from './translit.js';
import { TESTABLE, trialPart } from './trial.js';

/** MediaMTX's grammar of path names, which the server checks, too: this tells the user while typing. */
const NAME = '(?!.*(^|/)[.]{1,2}(/|$))[A-Za-z0-9_.\\-]+(/[A-Za-z0-9_.\\-]+)*';

/** @typedef {Record<string, unknown>} Definition */

/**
 * Makes a stream; gives whether one was made.
 *
 * @param {string} [name]
 */
export const newStream = (name = '') => edit({ name, definition: {}, isNew: true });

/**
 * Changes a stream; gives whether it was changed.
 *
 * @param {string} name
 */
export async function editStream(name) {
  try {
    const { definition } = await api.call(`api/v1/streams/${api.encoded(name)}`);
    return await edit({
      name,
      definition: /** @type {Definition} */ (definition ?? {}),
      isNew: false,
    });
  } catch (error) {
    toast(errorText(error), 'bad');
    return false;
  }
}

/** The order of the kinds in the form: what people look for most often comes first. */
const ORDER = [
  'rtsp',
  'http',
  'udp-camera',
  'file',
  'nas',
  'mqtt',
  'upload',
  'graph',
  'derived',
  'mosaic',
  'test-card',
];

/** Kinds whose form has a part that opens at a click, and the fields that are outside of it. */
const SPLIT = ['rtsp', 'http', 'udp-camera', 'file', 'nas', 'mqtt', 'upload', 'test-card'];
const BASIC = ['url', 'user', 'pass', 'preset', 'address', 'path', 'nas', 'topic', 'width', 'height', 'fps'];

/** @param {string} kind */
const rank = (kind) => (ORDER.indexOf(kind) + ORDER.length + 1) % (ORDER.length + 1);

/** @param {{ name: string, definition: Definition, isNew: boolean }} options */
async function edit({ name, definition, isNew }) {
  const [kinds, { streams }] = await Promise.all([
    streamKinds(),
    api.call('api/v1/streams').catch(() => ({ streams: [] })),
  ]);
  kinds.sort((a, b) => rank(a.kind) - rank(b.kind));
  let chosen = kinds.find(({ kind }) => kind === definition.kind) ?? kinds[0];
  const fields = h('div', { class: 'stack' });
  const about = h('p', { class: 'hint', 'aria-live': 'polite' });
  let tiles = /** @type {MosaicTiles | null} */ (null);
  /** @param {HTMLFormElement} form */
  const wanted = (form) => {
    const title = valueOf(form, 'title');
    return { kind: chosen.kind, ...collect(form, withoutTitle(chosen)), ...(title && { title }) };
  };
  const draw = () => {
    tiles?.end();
    about.textContent = kindAbout(chosen);
    fill(fields, kindPart(chosen, { definition, stream: isNew ? '' : name, wanted, place: fields }));
    tiles = chosen.kind === 'mosaic' ? new MosaicTiles(fields, isNew ? '' : name) : null;
    if (tiles) fields.prepend(tiles.element);
  };
  const kindField = field({
    label: t('console.kind'),
    name: 'kind',
    value: chosen.kind,
    options: kinds.map(({ kind }) => [kind, kindName(kind)]),
  });
  kindField.addEventListener('change', ({ target }) => {
    chosen = kinds.find(({ kind }) => kind === /** @type {HTMLSelectElement} */ (target).value) ?? chosen;
    draw();
  });
  draw();
  /** @param {import('./paste.js').Found} found */
  const take = (found) => {
    chosen = kinds.find(({ kind }) => kind === found.kind) ?? chosen;
    const select = /** @type {HTMLSelectElement} */ (kindField.querySelector('select'));
    select.value = chosen.kind;
    draw();
    fillIn(/** @type {HTMLFormElement} */ (select.form), found);
  };
  const names = h(
    'div',
    { class: 'stack' },
    isNew
      ? namePart(
          name,
          streams.map((stream) => stream.name),
        )
      : [titleField(String(definition.title ?? '')), renamePart(name)],
  );
  // The title of a graph is drawn, so that its preview changes with it.
  names.addEventListener('input', () => fields.dispatchEvent(new Event('input')));
  const done = await formDialog({
    title: isNew ? t('console.stream_new') : t('console.edit_of', { name }),
    action: isNew ? t('console.make') : t('console.save'),
    body: [isNew && pasteField(take), names, kindField, about, fields],
    send: async (form) => {
      const target = isNew ? valueOf(form, 'name') : name;
      const address = /** @type {const} */ (`api/v1/streams/${api.encoded(target)}`);
      /** @type {any} */
      const body = wanted(form);
      if (isNew) await makeOrReplace(target, (headers) => api.send('PUT', address, body, headers));
      else await api.send('PUT', address, body);
      toast(isNew ? t('console.made', { name: target }) : t('console.saved', { name: target }));
      return true;
    },
  });
  tiles?.end();
  return done;
}

/**
 * Takes a camera that was found in a text over.
 *
 * @param {HTMLFormElement} form
 * @param {import('./paste.js').Found} found
 */
function fillIn(form, { name, url, user, pass }) {
  for (const [field, value] of Object.entries({ url, user, pass })) {
    const input = controlOf(form, field);
    if (input) input.value = value;
  }
  const title = controlOf(form, 'title');
  if (name && title && !title.value) {
    title.value = name;
    title.dispatchEvent(new Event('input', { bubbles: true }));
  }
  controlOf(form, 'name')?.focus();
}

/** @param {import('./schema.js').StreamKind} kind */
const withoutTitle = ({ fields }) => fields.filter(({ name }) => name !== 'title');

/**
 * The fields of a kind, with the values of the definition if it is of this kind: for cameras, the others open at a click.
 *
 * `stream` is the stream that is changed, or empty; `wanted` reads the form, and `place` is where the fields stand.
 *
 * @param {import('./schema.js').StreamKind} chosen
 * @param {{ definition: Definition, stream: string, wanted: (form: HTMLFormElement) => object, place: HTMLElement }} options
 * @returns {Dom.Child}
 */
function kindPart(chosen, { definition, stream, wanted, place }) {
  const present = chosen.kind === definition.kind ? definition : {};
  const all = withoutTitle(chosen);
  const make = (/** @type {typeof all} */ some) => some.map((one) => control(one, present[one.name]));
  if (chosen.kind === 'graph') return [graphPreview(stream, place, wanted), make(all)];
  const test = TESTABLE.includes(chosen.kind) && trialPart({ stream, definition: wanted });
  if (!SPLIT.includes(chosen.kind)) return [make(all), test];
  // An RTSP camera has an address; that it can be a path of MediaMTX instead is for few.
  const isRare = (/** @type {string} */ name) => chosen.kind === 'rtsp' && name === 'path';
  const isBasic = (/** @type {(typeof all)[number]} */ { name, isRequired }) =>
    isRequired || (BASIC.includes(name) && !isRare(name));
  const more = all.filter((one) => !isBasic(one));
  const isUsed = more.some(({ name }) => present[name] !== undefined && present[name] !== null);
  const rest = h(
    'details',
    { class: 'more-fields' },
    h('summary', {}, isUsed ? t('console.more_settings_used') : t('console.more_settings')),
    h('div', { class: 'stack' }, make(more)),
  );
  return [make(all.filter(isBasic)), more.length > 0 && rest, test];
}

/**
 * The name of a stream that is changed, and the way to another one.
 *
 * @param {string} name
 */
function renamePart(name) {
  const rename = async () => {
    const { renameStream } = await import('./rename.js');
    // The form is about a stream that no longer exists then. The list hears of it.
    if (await renameStream(name, NAME)) go.closest('dialog')?.close();
  };
  const go = button('edit', t('console.rename'), rename, { class: 'small do-rename' });
  return h('p', { class: 'row' }, h('span', { class: 'dim' }, t('console.name')), h('code', {}, name), go);
}

/** @param {string} value */
const titleField = (value) =>
  field({ label: t('console.title'), name: 'title', value, maxLength: 100, hint: t('console.title_about') });

/**
 * Title and name of a new stream: the name is suggested until the user writes one.
 *
 * @param {string} name
 * @param {string[]} used
 */
function namePart(name, used) {
  const nameControl = nameField({
    label: t('console.name'),
    name: 'name',
    value: name,
    required: true,
    pattern: NAME,
    hint: t('console.name_about'),
    placeholder: 'front/door',
    autofocus: true,
  });
  const title = titleField('');
  const input = /** @type {HTMLInputElement} */ (nameControl.querySelector('input'));
  let isOwn = name !== '';
  input.addEventListener('input', () => {
    isOwn = input.value !== '';
    input.setCustomValidity(input.value && input.validity.patternMismatch ? t('console.name_wrong') : '');
  });
  title.addEventListener('input', ({ target }) => {
    if (!isOwn) input.value = freeName(/** @type {HTMLInputElement} */ (target).value, used);
  });
  return [nameControl, title];
}
