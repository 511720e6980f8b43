// @ts-check
// The server's OpenAPI document, and forms made of it: a new field of a kind of stream appears in its form by itself.

import { call } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { FieldError, controlOf, field, passwordField } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { durationField, durationOf, isDuration } from './duration.js';
import { button } from './parts.js';
import { known } from './words.js';

/**
 * A JSON schema, as far as the document uses it.
 *
 * @typedef {object} Schema
 * @property {string} [$ref]
 * @property {string | string[]} [type]
 * @property {string[]} [enum]
 * @property {Schema[]} [oneOf]
 * @property {Schema[]} [anyOf]
 * @property {Schema[]} [allOf]
 * @property {Record<string, Schema>} [properties]
 * @property {string[]} [required]
 * @property {string} [description]
 * @property {unknown} [default]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {Schema} [items]
 */

/** @typedef {{ paths: Record<string, unknown>, components: { schemas: Record<string, Schema> } }} OpenApi */

/**
 * A field of a form. `type` is 'choice', a type of JSON, or 'json' for any other value.
 *
 * @typedef {object} FormField
 * @property {string} name
 * @property {boolean} isRequired
 * @property {string} type
 * @property {string[]} options
 * @property {string} about
 * @property {unknown} standard the default
 * @property {Schema} schema
 * @property {FormField[]} fields of an object
 * @property {FormField[]} items of each object in a list
 * @property {string} [kind] the kind of stream, if the field has texts of its own there
 */

/** @typedef {{ kind: string, about: string, fields: FormField[] }} StreamKind */

/** @type {Promise<OpenApi> | null} */
let request = null;

/**
 * The OpenAPI document, which is loaded once.
 *
 * @returns {Promise<OpenApi>}
 */
export function openapi() {
  request ??= load();
  return request;
}

async function load() {
  try {
    return /** @type {OpenApi} */ (await call('api/v1/openapi.json'));
  } catch (error) {
    request = null;
    throw error;
  }
}

/**
 * Whether the server has this path.
 *
 * @param {string} path
 */
export const describes = async (path) => path in (await openapi()).paths;

/**
 * The values of an enumeration of the document; none if the document does not have it.
 *
 * @param {string} name
 */
export async function valuesOf(name) {
  const { schemas } = (await openapi()).components;
  return schemas[name]?.enum ?? [];
}

/**
 * The kinds of streams with their fields.
 *
 * @returns {Promise<StreamKind[]>}
 */
export async function streamKinds() {
  const { schemas } = (await openapi()).components;
  /** @type {(schema: Schema) => Schema} */
  const resolve = (schema) => {
    const target = schemas[schema.$ref?.split('/').pop() ?? ''];
    return target ? { ...target, description: schema.description ?? target.description } : schema;
  };
  // What every kind can have, behind the fields of the kind.
  const common = (schemas.StreamDefinition?.allOf ?? [])
    .flatMap(({ properties }) => Object.entries(properties ?? {}))
    .map(([name, schema]) => formField(name, resolve(schema), false, resolve));
  return (schemas.Definition.oneOf ?? []).map((choice) => {
    const parts = (choice.allOf ?? [choice]).map(resolve);
    const kind = parts.flatMap((part) => part.properties?.kind?.enum ?? [])[0];
    const settings = parts.find((part) => !part.properties?.kind) ?? parts[0];
    const fields = Object.entries(settings.properties ?? {})
      .filter(([name]) => name !== 'kind')
      .map(([name, schema]) => formField(name, resolve(schema), settings.required?.includes(name) ?? false, resolve));
    return {
      kind,
      about: choice.description ?? '',
      fields: [...fields.sort((a, b) => place(a) - place(b)), ...common].map((one) => ({ ...one, kind })),
    };
  });
}

/**
 * Fields that come first: what a graph shows, then address and credentials. The others follow, required ones first.
 */
const FIRST = [
  ...[
    'title',
    'window',
    'series',
    'name',
    'label',
    'value',
    'from',
    'to',
    'unit',
    'left',
    'right',
    'thresholds',
    'legend',
  ],
  ...['view', 'theme', 'layout', 'url', 'address', 'nas', 'preset', 'path', 'mode', 'user', 'pass'],
];

/** @param {FormField} field */
function place({ name, isRequired }) {
  return FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length + (isRequired ? 0 : 1);
}

/**
 * A schema as a field. A type beside `null` means that the field is optional.
 *
 * @param {string} name
 * @param {Schema} schema
 * @param {boolean} isRequired
 * @param {(schema: Schema) => Schema} resolve
 * @returns {FormField}
 */
function formField(name, schema, isRequired, resolve) {
  const choice = (schema.oneOf ?? schema.anyOf)?.find(({ type }) => type !== 'null');
  const real = choice ? { ...schema, ...resolve(choice) } : schema;
  const options =
    real.enum ?? (real.oneOf?.every((one) => one.enum) ? real.oneOf.flatMap((one) => one.enum ?? []) : []);
  const [type = 'json'] = [real.type ?? []].flat().filter((one) => one !== 'null');
  const item = type === 'array' && real.items ? resolve(real.items) : null;
  return {
    name,
    isRequired,
    type: options.length ? 'choice' : type,
    options,
    about: schema.description ?? real.description ?? '',
    standard: schema.default ?? real.default,
    schema: real,
    fields: type === 'object' ? fieldsOf(real, resolve) : [],
    items: item ? fieldsOf(item, resolve) : [],
  };
}

/**
 * The members of an object as fields.
 *
 * @param {Schema} schema
 * @param {(schema: Schema) => Schema} resolve
 * @returns {FormField[]}
 */
function fieldsOf(schema, resolve) {
  const members = Object.entries(schema.properties ?? {});
  const fields = members.map(([name, one]) =>
    formField(name, resolve(one), schema.required?.includes(name) ?? false, resolve),
  );
  return fields.sort((a, b) => place(a) - place(b));
}

const SECRET = /^(password|pass|token|secret)$/;

/** @param {string} name */
const titled = (name) => name.replaceAll(/[_-]/g, ' ').replace(/^./, (letter) => letter.toUpperCase());

/** @param {string} kind */
const kindKey = (kind) => `console.kind_${kind.replaceAll('-', '_')}`;

/**
 * The name of a kind of stream.
 *
 * @param {string} kind
 */
export const kindName = (kind) => known(kindKey(kind), titled(kind));

/**
 * What a kind of stream is for.
 *
 * @param {StreamKind} kind
 */
export const kindAbout = ({ kind, about }) => known(`${kindKey(kind)}_about`, about);

const isNumber = (/** @type {string} */ type) => type === 'number' || type === 'integer';
const isJson = (/** @type {string} */ type) => ['array', 'object', 'json'].includes(type);

/**
 * The control of a field; `value` is the present value. `prefix` stands before the name of a member of an object.
 *
 * @param {FormField} one
 * @param {any} value
 * @param {string} [prefix]
 * @returns {HTMLElement}
 */
export function control(one, value, prefix = '') {
  const { isRequired, type, options, about, standard, schema, fields, items } = one;
  // A field of a kind can have texts of its own: the path of an RTSP camera is one of MediaMTX.
  const own = `console.field_${one.kind?.replaceAll('-', '_')}_${one.name}`;
  const label = known(own, known(`console.field_${one.name}`, titled(one.name)));
  const hint = known(`${own}_about`, known(`console.field_${one.name}_about`, about.replaceAll('`', '')));
  const name = prefix + one.name;
  if (fields.length) return group(label, hint, fields, value ?? {}, `${name}.`);
  if (items.length) return list(label, hint, items, value ?? [], name);
  if (type === 'boolean')
    return field({
      label,
      hint,
      name,
      type: 'checkbox',
      checked: value ?? standard ?? false,
    });
  if (type === 'choice') {
    /** @type {[string, string][]} */
    const none = isRequired || standard ? [] : [['', t('console.by_default')]];
    /** @type {[string, string][]} */
    const choices = options.map((option) => [option, option]);
    return field({
      label,
      hint,
      name,
      value: value ?? standard ?? '',
      options: [...none, ...choices],
    });
  }
  const common = {
    label,
    hint,
    name,
    required: isRequired,
    autocapitalize: 'none',
    spellcheck: false,
  };
  if (isJson(type)) {
    const text = value === undefined || value === null ? '' : JSON.stringify(value, null, 1);
    return field({ ...common, rows: 3, value: text });
  }
  const placeholder = standard === undefined || standard === null ? '' : String(standard);
  if (isNumber(type)) {
    const step = type === 'integer' ? '1' : 'any';
    const { minimum: min, maximum: max } = schema;
    return field({
      ...common,
      type: 'number',
      inputMode: 'decimal',
      step,
      min,
      max,
      placeholder,
      value: value ?? '',
    });
  }
  if (isDuration(name)) return durationField({ ...common, placeholder, value: value ?? '' });
  const isSecret = SECRET.test(name);
  const autocomplete = isSecret ? 'new-password' : 'off';
  if (!isSecret) return field({ ...common, autocomplete, placeholder, value: value ?? '' });
  return secretField({ ...common, autocomplete, placeholder }, String(value ?? ''));
}

/** What the server shows in place of a secret, and takes for the stored one. */
const HIDDEN = '***';

/**
 * The field of a secret. A stored one is not shown, and stays as long as nothing is typed.
 *
 * @param {Dom.FieldOptions} options
 * @param {string} value
 */
function secretField(options, value) {
  const isKept = value === HIDDEN;
  const placeholder = isKept ? t('console.kept_secret') : options.placeholder;
  const element = passwordField({ ...options, placeholder, value: isKept ? '' : value });
  const input = element.querySelector('input');
  if (isKept && input) input.dataset.kept = HIDDEN;
  return element;
}

/**
 * The controls of an object, which open at a click.
 *
 * @param {string} label
 * @param {string} hint
 * @param {FormField[]} fields
 * @param {any} value
 * @param {string} prefix
 */
function group(label, hint, fields, value, prefix) {
  const controls = fields.map((one) => control(one, value[one.name], prefix));
  const about = h('p', { class: 'hint' }, hint);
  return h('details', {}, h('summary', {}, label), h('div', { class: 'stack' }, about, controls));
}

/**
 * A list of objects, with a button that adds one.
 *
 * @param {string} label
 * @param {string} hint
 * @param {FormField[]} fields
 * @param {any[]} values
 * @param {string} name
 */
function list(label, hint, fields, values, name) {
  let count = 0;
  const items = h('div', { class: 'stack' });
  /** @param {any} value */
  const add = (value, isOpen = false) => {
    const prefix = `${name}.${count++}.`;
    const remove = button('trash', t('console.remove'), () => {
      item.dispatchEvent(new Event('input', { bubbles: true }));
      item.remove();
    });
    const title = h('summary', {}, String(value.name ?? value.label ?? `${label} ${count}`));
    const controls = fields.map((one) => control(one, value[one.name], prefix));
    const item = h('details', { open: isOpen }, title, h('div', { class: 'stack' }, controls, h('div', {}, remove)));
    item.dataset.item = prefix;
    items.append(item);
  };
  items.dataset.list = name;
  for (const value of values) add(value);
  const more = button('plus', t('console.add_to', { list: label }), () => add({}, true));
  return h(
    'fieldset',
    { class: 'stack' },
    h('legend', {}, label),
    h('p', { class: 'hint' }, hint),
    items,
    h('div', {}, more),
  );
}

/**
 * The values of the controls as a definition, without the empty ones.
 *
 * @param {HTMLFormElement} form
 * @param {FormField[]} fields
 * @param {string} [prefix]
 */
export function collect(form, fields, prefix = '') {
  /** @type {Record<string, unknown>} */
  const definition = {};
  for (const { name, type, fields: inner, items } of fields) {
    if (inner.length) {
      const members = collect(form, inner, `${prefix}${name}.`);
      if (Object.keys(members).length) definition[name] = members;
      continue;
    }
    if (items.length) {
      const all = /** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll(`[data-list="${name}"] > [data-item]`));
      if (all.length) definition[name] = [...all].map((item) => collect(form, items, item.dataset.item));
      continue;
    }
    const element = controlOf(form, prefix + name);
    if (!element) continue;
    const text = durationOf(element) || (element.dataset.kept ?? '');
    if (type === 'boolean') definition[name] = element.checked;
    else if (text)
      definition[name] = isNumber(type) ? Number(text) : isJson(type) ? parseJson(text, prefix + name) : text;
  }
  return definition;
}

/**
 * The JSON of a field; its error names the field, as the server's errors do.
 *
 * @param {string} text
 * @param {string} name
 */
export function parseJson(text, name) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FieldError(name, /** @type {Error} */ (error).message);
  }
}
