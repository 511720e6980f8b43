// @ts-check
// The form of a path.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { FieldError, field, isChecked, valueOf } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { toast } from '../lib/toast.js';
import { makeOrReplace } from './make.js';
import { formDialog, nameField } from './parts.js';
import { parseJson } from './schema.js';
import { trialPart } from './trial.js';

const KINDS = ['camera', 'stream', 'uv4l', 'raw'];
const TRANSPORTS = ['tcp', 'udp', 'automatic', 'multicast'];

/** @typedef {Extract<Api.Path, { kind: 'camera' }>} CameraPath */
/** @typedef {Extract<Api.Path, { kind: 'stream' }>} StreamPath */
/** @typedef {Extract<Api.Path, { kind: 'uv4l' }>} Uv4lPath */
/** @typedef {Extract<Api.Path, { kind: 'raw' }>} RawPath */

/** @param {string} name */
export const pathAddress = (name) => /** @type {const} */ (`api/v1/paths/${api.encoded(name)}`);

/** @type {(values: string[]) => [string, string][]} */
const choices = (values) => values.map((value) => [value, value]);

/**
 * Opens the form of a path; null for a new one. Gives whether it was saved.
 *
 * @param {Api.Path | null} path
 */
export async function editPath(path) {
  const isNew = path === null;
  const [{ streams }, { enabled: isCluster }] = await Promise.all([
    api.call('api/v1/streams').catch(() => ({ streams: [] })),
    api.call('api/v1/cluster').catch(() => ({ enabled: false })),
  ]);
  const names = streams.map(({ name }) => name);
  const kind = field({
    label: t('console.kind'),
    name: 'kind',
    value: path?.kind ?? KINDS[0],
    options: KINDS.map((word) => [word, t(`console.path_kind_${word}`)]),
  });
  const select = /** @type {HTMLSelectElement} */ (kind.querySelector('select'));
  const fields = h('div', { class: 'stack' });
  const draw = () => fill(fields, kindFields(select.value, path, names));
  select.addEventListener('change', draw);
  draw();
  const name = nameField({
    label: t('console.name'),
    name: 'name',
    required: true,
    placeholder: 'yard',
    autofocus: true,
  });
  const enabled = field({
    label: t('console.enabled'),
    name: 'enabled',
    type: 'checkbox',
    checked: path?.enabled ?? true,
    hint: t('console.enabled_about'),
  });
  return formDialog({
    title: isNew ? t('console.path_new') : t('console.edit_of', { name: path.name }),
    action: isNew ? t('console.make') : t('console.save'),
    body: [
      isNew && name,
      kind,
      fields,
      field({ label: t('console.record'), name: 'record', type: 'checkbox', checked: path?.record ?? false }),
      enabled,
      isCluster && placeFields(path),
      field({
        label: t('console.title'),
        name: 'title',
        value: path?.title ?? '',
        maxLength: 100,
        hint: t('console.title_about'),
      }),
      field({ label: t('console.note'), name: 'note', value: path?.note ?? '', maxLength: 1000 }),
    ],
    send: async (form) => {
      const target = isNew ? valueOf(form, 'name') : path.name;
      const wanted = {
        ...definition(form, path),
        record: isChecked(form, 'record'),
        enabled: isChecked(form, 'enabled'),
        title: valueOf(form, 'title'),
        note: valueOf(form, 'note'),
        ...(path?.labels && { labels: path.labels }),
        nodes: isCluster ? nodesOf(valueOf(form, 'nodes')) : (path?.nodes ?? []),
        failover: isCluster ? isChecked(form, 'failover') : (path?.failover ?? false),
      };
      if (isNew) await makeOrReplace(target, (headers) => api.send('PUT', pathAddress(target), wanted, headers));
      else await api.send('PUT', pathAddress(target), wanted);
      toast(isNew ? t('console.made', { name: target }) : t('console.saved', { name: target }));
      return true;
    },
  });
}

/**
 * In a cluster: whose MediaMTX has the path.
 *
 * @param {Api.Path | null} path
 */
function placeFields(path) {
  const nodes = nameField({
    label: t('console.field_nodes'),
    name: 'nodes',
    value: path?.nodes?.join(', ') ?? '',
    placeholder: 'hall, yard',
    hint: t('console.path_nodes_about'),
  });
  const failover = field({
    label: t('console.path_failover'),
    name: 'failover',
    type: 'checkbox',
    checked: path?.failover ?? false,
    hint: t('console.path_failover_about'),
  });
  return [nodes, failover];
}

/** @param {string} text */
const nodesOf = (text) => text.split(/[\s,]+/).filter(Boolean);

/**
 * The fields of a kind, with the values of the path if it is of this kind.
 *
 * @param {string} kind
 * @param {Api.Path | null} path
 * @param {string[]} streams
 * @returns {Dom.Child}
 */
function kindFields(kind, path, streams) {
  const about = h('p', { class: 'hint' }, t(`console.path_kind_${kind}_about`));
  if (kind === 'stream') return [about, streamField(path?.kind === kind ? path : null, streams)];
  if (kind === 'camera') return [about, cameraFields(path?.kind === kind ? path : null)];
  if (kind === 'uv4l') return [about, uv4lFields(path?.kind === kind ? path : null)];
  return [about, rawField(path?.kind === 'raw' ? path : null)];
}

/**
 * @param {StreamPath | null} path
 * @param {string[]} streams
 */
function streamField(path, streams) {
  // A path can name a stream that is not there at the moment.
  const names = [...new Set([path?.stream ?? streams[0], ...streams])].filter(Boolean);
  const options = choices(names);
  return field({ label: t('console.stream'), name: 'stream', value: names[0], required: true, options });
}

/** @param {CameraPath | null} path */
function cameraFields(path) {
  const url = nameField({
    label: t('console.field_url'),
    name: 'url',
    value: path?.url ?? '',
    required: true,
    placeholder: 'rtsp://user:password@192.168.1.30/live',
    hint: t('console.path_url_about'),
  });
  const transport = field({
    label: t('console.field_transport'),
    name: 'transport',
    value: path?.transport ?? 'tcp',
    options: choices(TRANSPORTS),
  });
  const fingerprint = nameField({
    label: t('console.field_fingerprint'),
    name: 'fingerprint',
    value: path?.fingerprint ?? '',
    hint: t('console.field_fingerprint_about'),
  });
  const checked = path?.on_demand ?? true;
  const onDemand = field({ label: t('console.on_demand'), name: 'on_demand', type: 'checkbox', checked });
  return [url, transport, fingerprint, onDemand, trialPart({ stream: '', definition: cameraTrial })];
}

/**
 * A stream that reads the camera as MediaMTX will, for a trial: the sidecar reads RTSP and HTTP, and not what else MediaMTX reads.
 *
 * @param {HTMLFormElement} form
 */
function cameraTrial(form) {
  const url = valueOf(form, 'url');
  if (/^rtsps?:/i.test(url)) {
    const fingerprint = valueOf(form, 'fingerprint');
    return { kind: 'rtsp', url, ...(fingerprint && { fingerprint }) };
  }
  if (/^https?:/i.test(url) && !/\.m3u8/i.test(url)) return { kind: 'http', url };
  throw new FieldError('url', t('console.test_not_possible'));
}

/** @param {Uv4lPath | null} path */
function uv4lFields(path) {
  const url = nameField({
    label: t('console.field_url'),
    name: 'url',
    value: path?.url ?? '',
    placeholder: 'ws://192.168.1.40:8080/stream/webrtc',
    hint: t('console.path_uv4l_url_about'),
  });
  const user = nameField({ label: t('console.field_user'), name: 'user', value: path?.user ?? '' });
  const pass = field({
    label: t('console.field_pass'),
    name: 'pass',
    type: 'password',
    value: path?.pass ?? '',
    autocomplete: 'new-password',
  });
  const vformat = field({
    label: t('console.path_vformat'),
    name: 'vformat',
    type: 'number',
    min: 0,
    max: 65_535,
    value: String(path?.vformat ?? ''),
    hint: t('console.path_vformat_about'),
  });
  const audio = field({
    label: t('console.path_audio'),
    name: 'audio',
    type: 'checkbox',
    checked: path?.audio ?? false,
  });
  const checked = path?.on_demand ?? true;
  return [
    url,
    user,
    pass,
    vformat,
    audio,
    field({ label: t('console.on_demand'), name: 'on_demand', type: 'checkbox', checked }),
  ];
}

/** @param {RawPath | null} path */
function rawField(path) {
  return field({
    label: t('console.fields'),
    name: 'fields',
    rows: 6,
    required: true,
    value: JSON.stringify(path?.fields ?? { source: 'publisher' }, null, 2),
    hint: t('console.fields_about'),
  });
}

/**
 * @param {HTMLFormElement} form
 * @param {Api.Path | null} path
 * @returns {Api.PathDefinition}
 */
function definition(form, path) {
  const kind = valueOf(form, 'kind');
  if (kind === 'stream') return { kind, stream: valueOf(form, 'stream') };
  if (kind === 'uv4l') return uv4lDefinition(form, path?.kind === kind ? path : null);
  if (kind === 'raw') return { kind, fields: parseJson(valueOf(form, 'fields'), 'fields') };
  return {
    kind: 'camera',
    url: valueOf(form, 'url'),
    transport: valueOf(form, 'transport'),
    fingerprint: valueOf(form, 'fingerprint'),
    on_demand: isChecked(form, 'on_demand'),
  };
}

/**
 * The settings that the form does not have stay as they are.
 *
 * @param {HTMLFormElement} form
 * @param {Uv4lPath | null} path
 * @returns {Api.PathDefinition}
 */
function uv4lDefinition(form, path) {
  const { fingerprint, force_hw_vcodec, trickle_ice, h264_only, max_sessions, takeover } = path ?? {};
  const vformat = valueOf(form, 'vformat');
  return {
    kind: 'uv4l',
    fingerprint,
    force_hw_vcodec,
    trickle_ice,
    h264_only,
    max_sessions,
    takeover,
    url: valueOf(form, 'url'),
    user: valueOf(form, 'user'),
    pass: valueOf(form, 'pass'),
    vformat: vformat ? Number(vformat) : undefined,
    audio: isChecked(form, 'audio'),
    on_demand: isChecked(form, 'on_demand'),
  };
}
