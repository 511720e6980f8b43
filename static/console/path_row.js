// @ts-check
// A path in the list: where it comes from, its state at MediaMTX, recording, and what can be done with it.

import * as api from '../lib/api.js';
import { h } from '../lib/dom.js';
import { bytes, number, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { attempt } from '../lib/toast.js';
import { agoText, badge, iconButton } from './parts.js';
import { pathAddress } from './path_form.js';
import { known } from './words.js';

/** @typedef {import('./paths.js').PathRow} PathRow */

/**
 * @typedef {object} PathActions
 * @property {(row: PathRow) => void} edit
 * @property {(row: PathRow) => void} remove
 * @property {(row: PathRow) => void} keep
 * @property {(row: PathRow) => void} disconnect
 * @property {(row: PathRow, isOn: boolean) => Promise<boolean>} record
 * @property {() => void} changed
 */

/** @type {Record<Api.Path['state'], string>} */
const COLOURS = { applied: 'good', pending: 'warn', conflict: 'bad', refused: 'bad', disabled: '', elsewhere: '' };

/**
 * The columns of the list.
 *
 * @param {PathActions} actions
 * @returns {Column<PathRow>[]}
 */
export function pathColumns(actions) {
  return [
    { label: t('console.name'), class: 'wide', node: nameCell, version: ({ wanted }) => [wanted?.title, wanted?.note] },
    {
      label: t('console.wanted'),
      class: 'wide',
      node: originCell,
      version: ({ live, wanted }) => [live.from, live.configured_as, wanted && definitionText(wanted)],
    },
    {
      label: t('console.state'),
      node: stateCell,
      version: ({ wanted, live }) => [
        wanted?.state,
        wanted?.error,
        wanted?.differs,
        wanted?.bridge,
        live.available,
        live.on_demand,
      ],
    },
    {
      label: t('console.actual'),
      node: actualCell,
      version: ({ live }) => [live.tracks, live.readers.length, live.source?.kind, live.since],
    },
    { label: t('console.traffic_of_path'), class: 'number', text: trafficText },
    {
      label: t('console.record'),
      node: (row) => recordSwitch(row, actions),
      version: ({ live, wanted }) => [live.record, Boolean(wanted), live.configured_as],
    },
    {
      label: t('console.enabled'),
      node: ({ wanted }) => wanted && enabledSwitch(wanted, actions.changed),
      version: ({ wanted }) => wanted?.enabled,
    },
    {
      label: '',
      class: 'row-actions',
      node: (row) => rowActions(row, actions),
      version: ({ live, wanted }) => [Boolean(wanted), live.source, live.available, live.on_demand],
    },
  ];
}

/** @param {PathRow} row */
function nameCell({ name, wanted }) {
  return [
    h('b', {}, wanted?.title || name),
    wanted?.title && h('p', { class: 'hint' }, name),
    wanted?.note && h('p', { class: 'hint' }, wanted.note),
  ];
}

/** @param {PathRow} row */
function originCell({ name, live, wanted }) {
  if (wanted) {
    return [
      h('span', { class: 'dim' }, `${t(`console.path_kind_${wanted.kind}`)} `),
      h('code', { class: 'what' }, definitionText(wanted)),
    ];
  }
  const { configured_as: entry, stream, from } = live;
  const origin =
    entry === name
      ? t('console.path_of_file')
      : entry
        ? t('console.path_of_entry', { entry })
        : t('console.path_of_client');
  return [
    h('span', { class: 'dim' }, stream ? t('console.path_of_stream', { stream }) : origin),
    from && from !== 'publisher' && h('code', { class: 'what' }, from),
  ];
}

/**
 * What a kept path is made of, as text.
 *
 * @param {Api.Path} path
 */
export function definitionText(path) {
  if (path.kind === 'stream') return path.stream;
  if (path.kind === 'camera') return path.url;
  if (path.kind === 'uv4l') return path.url || t('console.path_uv4l_agent');
  const fields = Object.entries(path.fields);
  return fields
    .map(([key, value]) => `${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join('\n');
}

/** @param {PathRow} row */
function stateCell({ live, wanted }) {
  const word = live.available ? 'available' : live.on_demand ? 'on_demand' : 'waiting';
  const now = badge(t(`console.path_now_${word}`), live.available ? 'live' : '');
  if (!wanted) return now;
  const { state, error, differs, bridge } = wanted;
  const fields = differs.join(', ');
  const call = bridge && `${t(`console.call_${bridge.state}`)}: ${bridge.reason}`;
  return [
    now,
    badge(t(`console.path_${state}`), COLOURS[state]),
    error && h('p', { class: 'hint bad' }, error),
    fields && h('p', { class: 'hint' }, t('console.differs', { fields })),
    call && h('p', { class: bridge.state === 'failing' ? 'hint bad' : 'hint' }, call),
  ];
}

/** @param {PathRow} row */
function actualCell({ live: { tracks, readers, source, since } }) {
  const media = tracks.map(({ codec, width, height }) => (width && height ? `${codec} ${width} × ${height}` : codec));
  const who = [
    source && known(`console.source_${source.kind}`, source.kind),
    readers.length > 0 && t('console.readers_n', { n: number(readers.length) }),
    since && agoText(since),
  ].filter(Boolean);
  if (!media.length && !who.length) return '—';
  return [h('span', {}, media.join(' + ')), h('p', { class: 'hint' }, who.join(' · '))];
}

/** @param {PathRow} row */
const trafficText = ({ live: { inbound_bytes: inbound, outbound_bytes: outbound } }) =>
  inbound || outbound ? `↓ ${bytes(inbound)} ↑ ${bytes(outbound)}` : '—';

/**
 * @param {PathRow} row
 * @param {PathActions} actions
 */
function recordSwitch(row, { record }) {
  const { name, live, wanted } = row;
  // A path of a client has no entry of its own that could be changed; a regular expression stands for many paths.
  if (!wanted && live.configured_as !== name) return live.record ? badge(t('console.records'), 'bad') : '—';
  const label = t('console.record_of', { name });
  const onchange = async () => {
    box.disabled = true;
    if (!(await record(row, box.checked))) box.checked = live.record;
    box.disabled = false;
  };
  const box = h('input', { type: 'checkbox', role: 'switch', checked: live.record, 'aria-label': label, onchange });
  return box;
}

/**
 * @param {Api.Path} path
 * @param {() => void} changed
 */
function enabledSwitch({ name, enabled }, changed) {
  const onchange = async () => {
    box.disabled = true;
    const change = { enabled: box.checked };
    if (!(await attempt(() => api.send('PATCH', pathAddress(name), change)))) box.checked = enabled ?? true;
    box.disabled = false;
    changed();
  };
  const label = t('console.enabled_of', { name });
  const box = h('input', { type: 'checkbox', role: 'switch', checked: enabled, 'aria-label': label, onchange });
  return box;
}

/**
 * @param {PathRow} row
 * @param {PathActions} actions
 */
function rowActions(row, actions) {
  const { name, live, wanted } = row;
  const label = t('console.watch', { name });
  const href = `${api.address('viewer/')}#/watch/${api.encoded(live.stream ?? name)}`;
  const open =
    !name.startsWith('~') &&
    h('a', { class: 'button icon-button', href, title: label, 'aria-label': label }, icon('play', 18));
  return h(
    'div',
    { class: 'actions' },
    open,
    live.source?.protocol && iconButton('exit', t('console.kick_publisher', { name }), () => actions.disconnect(row)),
    !wanted && !live.stream && iconButton('plus', t('console.keep_of', { name }), () => actions.keep(row)),
    wanted && iconButton('edit', t('console.edit_of', { name }), () => actions.edit(row)),
    wanted && iconButton('trash', t('console.delete_of', { name }), () => actions.remove(row)),
  );
}
