// @ts-check
// The form of a stream, made of the server's OpenAPI document.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { field, valueOf } from '../lib/form.js';
import { errorText, t } from '../lib/i18n.js';
import { toast } from '../lib/toast.js';
import { graphPreview } from './graph_preview.js';
import { MosaicTiles } from './mosaic_tiles.js';
import { formDialog, nameField } from './parts.js';
import { collect, control, kindAbout, kindName, streamKinds } from './schema.js';

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

/** @param {{ name: string, definition: Definition, isNew: boolean }} options */
async function edit({ name, definition, isNew }) {
  const kinds = await streamKinds();
  let chosen = kinds.find(({ kind }) => kind === definition.kind) ?? kinds[0];
  const fields = h('div', { class: 'stack' });
  const about = h('p', { class: 'hint', 'aria-live': 'polite' });
  let tiles = /** @type {MosaicTiles | null} */ (null);
  const draw = () => {
    tiles?.end();
    about.textContent = kindAbout(chosen);
    const present = chosen.kind === definition.kind ? definition : {};
    const controls = chosen.fields.map((one) => control(one, present[one.name]));
    /** @param {HTMLFormElement} form */
    const wanted = (form) => ({
      kind: chosen.kind,
      ...collect(form, chosen.fields),
    });
    const preview = chosen.kind === 'graph' && graphPreview(isNew ? '' : name, fields, wanted);
    fill(fields, preview, controls);
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
  const done = await formDialog({
    title: isNew ? t('console.stream_new') : t('console.edit_of', { name }),
    action: isNew ? t('console.make') : t('console.save'),
    body: [isNew && nameControl, kindField, about, fields],
    send: async (form) => {
      const target = isNew ? valueOf(form, 'name') : name;
      /** @type {any} */
      const wanted = { kind: chosen.kind, ...collect(form, chosen.fields) };
      await api.send('PUT', `api/v1/streams/${api.encoded(target)}`, wanted);
      toast(isNew ? t('console.made', { name: target }) : t('console.saved', { name: target }));
      return true;
    },
  });
  tiles?.end();
  return done;
}
