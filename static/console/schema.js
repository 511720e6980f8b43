// What the server says of itself (OpenAPI), and forms made of it: a field that a kind of stream gets tomorrow is in its form
// tomorrow.

import { call } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { field } from '../lib/form.js';
import { t } from '../lib/i18n.js';

let document_ = null;

/** The OpenAPI document; asked for once. */
export const openapi = () =>
  (document_ ??= call('api/v1/openapi.json').catch((error) => {
    document_ = null;
    throw error;
  }));

/** Whether the server has this address. */
export const describes = async (path) => path in (await openapi()).paths;

/** The kinds of streams: [{ kind, about, fields: [{ name, type, … }] }]. */
export async function streamKinds() {
  const {
    components: { schemas },
  } = await openapi();
  const at = (schema) =>
    schema?.$ref
      ? { ...schemas[schema.$ref.split('/').pop()], ...(schema.description && { description: schema.description }) }
      : schema;
  return schemas.Definition.oneOf.map((choice) => {
    const parts = choice.allOf ?? [choice];
    const kind = parts.map((part) => part.properties?.kind?.enum?.[0]).find(Boolean);
    const settings = parts.map((part) => at(part)).find((part) => !part.properties?.kind) ?? at(parts[0]);
    const required = new Set(settings.required ?? []);
    const fields = Object.entries(settings.properties ?? {})
      .filter(([name]) => name !== 'kind')
      .map(([name, schema]) => describe(name, at(schema), required.has(name), at));
    return { kind, about: choice.description ?? '', fields: fields.sort((a, b) => place(a) - place(b)) };
  });
}

/** Where something is, and who asks, comes first; the rest in the order of the document, which is the alphabet's. */
const FIRST = ['url', 'address', 'nas', 'preset', 'path', 'mode', 'user', 'pass'];
const place = ({ name, required }) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length + (required ? 0 : 1));

/** A schema in what a form needs. `null` beside a type means that it may be left out. */
function describe(name, schema, required, at) {
  const choices = schema.oneOf ?? schema.anyOf;
  const real = choices ? { ...schema, ...at(choices.find((choice) => choice.type !== 'null') ?? {}) } : schema;
  const enumerated = real.enum ?? (real.oneOf?.every((one) => one.enum) ? real.oneOf.flatMap((one) => one.enum) : null);
  const types = [real.type].flat().filter((type) => type !== 'null');
  return {
    name,
    required,
    type: enumerated ? 'choice' : (types[0] ?? 'json'),
    options: enumerated,
    about: schema.description ?? real.description ?? '',
    standard: schema.default ?? real.default,
    schema: real,
  };
}

/** A text of the catalogue, or something else where it has none. */
function known(key, otherwise) {
  const text = t(key);
  return text === key ? otherwise : text;
}

const SECRET = /^(password|pass|token|secret)$/;
const titled = (name) => name.replaceAll('_', ' ').replace(/^./, (letter) => letter.toUpperCase());

/** The name of a kind for people. */
export const kindName = (kind) => known(`console.kind_${kind.replaceAll('-', '_')}`, titled(kind.replaceAll('-', ' ')));

/** What a kind is for. */
export const kindAbout = ({ kind, about }) => known(`console.kind_${kind.replaceAll('-', '_')}_about`, about);

/** The control of a field; `value` is what is set now. */
export function control({ name, required, type, options, about, standard, schema }, value) {
  const common = {
    name,
    required,
    label: known(`console.field_${name}`, titled(name)),
    hint: known(`console.field_${name}_about`, about),
    placeholder: standard === undefined || standard === null ? null : String(standard),
    autocapitalize: 'none',
    spellcheck: false,
  };
  if (type === 'boolean')
    return field({
      ...common,
      required: false,
      placeholder: null,
      type: 'checkbox',
      checked: value ?? standard ?? false,
    });
  if (type === 'choice')
    return field({
      label: common.label,
      hint: common.hint,
      name,
      value: value ?? standard ?? '',
      options: [
        ...(required || standard ? [] : [['', t('console.as_usual')]]),
        ...options.map((option) => [option, option]),
      ],
    });
  if (type === 'number' || type === 'integer') {
    return field({
      ...common,
      type: 'number',
      inputMode: 'decimal',
      step: type === 'integer' ? '1' : 'any',
      min: schema.minimum ?? null,
      max: schema.maximum ?? null,
      value: value ?? '',
    });
  }
  if (type === 'array' || type === 'object' || type === 'json') {
    return field({
      ...common,
      placeholder: null,
      rows: 3,
      value: value === undefined || value === null ? '' : JSON.stringify(value, null, 1),
    });
  }
  return field({
    ...common,
    type: SECRET.test(name) ? 'password' : 'text',
    autocomplete: SECRET.test(name) ? 'new-password' : 'off',
    value: value ?? '',
  });
}

/** What the controls say, as a definition; empty ones are left out. A field of JSON that is none is blamed as the server would. */
export function collect(form, fields) {
  const definition = {};
  for (const { name, type } of fields) {
    const element = form.elements[name];
    if (!element) continue;
    if (type === 'boolean') definition[name] = element.checked;
    else if (element.value.trim() !== '') {
      if (type === 'number' || type === 'integer') definition[name] = Number(element.value);
      else if (type === 'array' || type === 'object' || type === 'json') {
        try {
          definition[name] = JSON.parse(element.value);
        } catch (error) {
          throw Object.assign(new Error(error.message), { field: name });
        }
      } else definition[name] = element.value.trim();
    }
  }
  return definition;
}

/** An explanation list of a definition. */
export const explained = (definition) =>
  h(
    'dl',
    { class: 'facts' },
    Object.entries(definition).flatMap(([name, value]) => [
      h('dt', {}, known(`console.field_${name}`, titled(name))),
      h(
        'dd',
        {},
        name === 'kind' ? kindName(value) : typeof value === 'object' ? JSON.stringify(value) : String(value),
      ),
    ]),
  );
