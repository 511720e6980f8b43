// @ts-check
// MQTT: the connection to the broker, the published streams, and the topics that are read.

import * as api from '../lib/api.js';
import { confirmed } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { field, isChecked, valueOf } from '../lib/form.js';
import { number, t } from '../lib/i18n.js';
import { attempt } from '../lib/toast.js';
import {
  agoText,
  badge,
  button,
  emptyState,
  formDialog,
  heading,
  iconButton,
  nameField,
  notice,
  poller,
  refill,
  table,
} from './parts.js';

const INTERVAL_SECONDS = 3;

/** @typedef {Api.Answer<'api/v1/mqtt'>} Connection */
/** @typedef {Connection['publications'][number]} Publication */
/** @typedef {Connection['subscriptions'][number]} Subscription */
/** @typedef {Connection['patterns'][number]} Pattern */
/** @typedef {Connection['groups'][number]} Group */

/**
 * A stream or a path of MediaMTX, and how it is published.
 *
 * @typedef {{ name: string, isPath: boolean, published: Publication | null }} Row
 */

/** @param {string} key */
const address = (key) => /** @type {const} */ (`api/v1/mqtt/publications/${api.encoded(key)}`);

/** @type {Section} */
export async function show(main, { signal }) {
  const errors = h('div', {});
  const state = h('div', { class: 'stack tight', role: 'status' });
  const actions = {
    changed: () => load(),
    /** @param {string} key */
    remove: async (key) => {
      const title = t('console.mqtt_remove', { name: key });
      if (!(await confirmed({ title, text: '', action: title }))) return;
      await attempt(() => api.call(address(key), { method: 'DELETE' }), t('console.mqtt_removed', { name: key }));
      load();
    },
  };
  const rows = table({
    label: t('console.mqtt_publications'),
    key: (/** @type {Row} */ { name }) => name,
    columns: rowColumns(actions),
    empty: emptyState('link', t('console.mqtt_none'), t('console.mqtt_none_about')),
  });
  const patterns = table({
    label: t('console.mqtt_patterns'),
    key: (/** @type {Pattern} */ { pattern }) => pattern,
    columns: patternColumns(actions),
    empty: h('p', { class: 'dim' }, t('console.mqtt_no_patterns')),
  });
  const groups = table({
    label: t('console.mqtt_groups'),
    key: (/** @type {Group} */ { name }) => name,
    columns: GROUP_COLUMNS,
    empty: h('p', { class: 'dim' }, t('console.mqtt_no_groups')),
  });
  const subscriptions = table({
    label: t('console.mqtt_subscriptions'),
    key: ({ topic }) => topic,
    columns: SUBSCRIPTION_COLUMNS,
    empty: h('p', { class: 'dim' }, t('console.mqtt_no_topics')),
  });
  const load = poller(INTERVAL_SECONDS, signal, errors, async () => {
    const [connection, { items }] = await Promise.all([
      api.call('api/v1/mqtt', { signal }),
      // An administrator who can read no stream sees what is published.
      api.call('api/v1/wall', { signal }).catch(() => ({ items: [] })),
    ]);
    const { reason, broker, homeassistant } = connection;
    refill(state, [connection.state, reason, broker, homeassistant], () => stateOf(connection));
    rows.show(broker ? rowsOf(connection.publications, items) : []);
    patterns.show(connection.patterns);
    groups.show(connection.groups);
    subscriptions.show(connection.subscriptions);
    add.disabled = !broker;
  });
  const publish = async () => {
    if (await askToPublish()) load();
  };
  const add = button('plus', t('console.mqtt_publish'), publish, { class: 'primary', id: 'mqtt-publish' });
  fill(
    main,
    heading('mqtt', add),
    errors,
    state,
    h('h2', {}, t('console.mqtt_publications')),
    rows.element,
    h('h2', {}, t('console.mqtt_patterns')),
    patterns.element,
    h('h2', {}, t('console.mqtt_groups')),
    groups.element,
    h('h2', {}, t('console.mqtt_subscriptions')),
    subscriptions.element,
  );
  await load();
}

/** @param {Connection} connection */
function stateOf({ state, reason, broker, homeassistant }) {
  if (!broker) return notice('', t('console.mqtt_off'));
  const kind = state === 'connected' ? 'good' : state === 'connecting' ? '' : 'bad';
  return [
    notice(kind, h('strong', {}, t(`console.mqtt_state_${state}`)), ' ', reason),
    h('p', { class: 'dim' }, t(homeassistant ? 'console.mqtt_ha_on' : 'console.mqtt_ha_off')),
  ];
}

/**
 * The streams and paths that can be published, and those that are published and do not exist now.
 *
 * @param {Publication[]} publications
 * @param {Api.WallItem[]} items
 */
function rowsOf(publications, items) {
  /** @type {Map<string, Row>} */
  const rows = new Map(items.map(({ name, stream }) => [name, { name, isPath: !stream, published: null }]));
  for (const published of publications) {
    const { name } = published;
    rows.set(name, { name, isPath: rows.get(name)?.isPath ?? false, published });
  }
  // The published ones first.
  return [...rows.values()].sort(
    (one, other) => Number(!one.published) - Number(!other.published) || one.name.localeCompare(other.name),
  );
}

/**
 * @param {{ changed: () => void }} actions
 * @returns {Column<Row>[]}
 */
const rowColumns = ({ changed }) => [
  { label: t('console.name'), text: ({ name }) => name },
  { label: '', text: ({ isPath }) => (isPath ? t('console.mqtt_path') : '') },
  {
    label: t('console.mqtt_on'),
    node: (row) => publishedSwitch(row, changed),
    version: ({ published }) => [published?.pattern, published?.is_from_file, Boolean(published)],
  },
  { label: t('console.mqtt_topic'), text: ({ published }) => published?.topic ?? '' },
  { label: t('console.field_interval'), text: ({ published }) => published?.publication.interval ?? '' },
  {
    label: t('console.mqtt_published'),
    class: 'number',
    text: ({ published }) => (published ? number(published.published) : ''),
  },
  { label: t('console.mqtt_last'), text: ({ published }) => (published?.last_at ? agoText(published.last_at) : '') },
  { label: t('console.mqtt_problem'), text: ({ published }) => published?.problem ?? '' },
];

/**
 * The switch that publishes a stream or a path. It has no effect on what sidecar.yml or a regular expression publishes.
 *
 * @param {Row} row
 * @param {() => void} changed
 */
function publishedSwitch({ name, published }, changed) {
  const by = published?.pattern ?? (published?.is_from_file ? 'sidecar.yml' : '');
  const onchange = async () => {
    box.disabled = true;
    const sent = box.checked
      ? api.send('PUT', address(name), { w: null, quality: null })
      : api.call(address(name), { method: 'DELETE' });
    if (!(await attempt(() => sent))) box.checked = !box.checked;
    box.disabled = false;
    changed();
  };
  const label = t('console.mqtt_publish_of', { name });
  const box = h('input', {
    type: 'checkbox',
    role: 'switch',
    checked: Boolean(published),
    disabled: Boolean(by),
    'aria-label': label,
    onchange,
  });
  return by ? [box, ' ', badge(by, '')] : box;
}

/**
 * @param {{ remove: (key: string) => void }} actions
 * @returns {Column<Pattern>[]}
 */
const patternColumns = ({ remove }) => [
  { label: t('console.mqtt_pattern'), text: ({ pattern }) => pattern },
  { label: t('console.field_interval'), text: ({ publication }) => publication.interval ?? '' },
  { label: t('console.mqtt_selected'), class: 'number', text: ({ selected }) => number(selected) },
  { label: t('console.mqtt_left_out'), class: 'number', text: ({ left_out: leftOut }) => number(leftOut) },
  {
    label: '',
    version: ({ is_from_file: isFromFile }) => isFromFile,
    node: ({ pattern, is_from_file: isFromFile }) =>
      isFromFile
        ? badge('sidecar.yml', '')
        : iconButton('trash', t('console.mqtt_remove', { name: pattern }), () => remove(pattern)),
  },
];

/** @type {Column<Group>[]} */
const GROUP_COLUMNS = [
  { label: t('console.name'), text: ({ name }) => name },
  { label: t('console.mqtt_topic'), text: ({ topic }) => topic },
  {
    label: t('console.mqtt_group_streams'),
    class: 'number',
    text: ({ streams, max_streams: most }) => `${number(streams)} / ${number(most)}`,
  },
  { label: t('console.mqtt_left_out'), class: 'number', text: ({ left_out: leftOut }) => number(leftOut) },
  { label: t('console.mqtt_problem'), text: ({ problem }) => problem ?? '' },
];

/** @type {Column<Subscription>[]} */
const SUBSCRIPTION_COLUMNS = [
  { label: t('console.mqtt_topic'), text: ({ topic }) => topic },
  { label: t('console.mqtt_messages'), class: 'number', text: ({ messages }) => number(messages) },
  { label: t('console.mqtt_last'), text: ({ last_at: last }) => (last ? agoText(last) : '—') },
  { label: t('console.mqtt_problem'), text: ({ problem }) => problem ?? '' },
];

/** Asks for a stream and how it is published; gives whether it is. */
async function askToPublish() {
  const { streams } = await api.call('api/v1/streams').catch(() => ({ streams: [] }));
  const suggestions = h(
    'datalist',
    { id: 'mqtt-names' },
    streams.map(({ name }) => h('option', { value: name })),
  );
  return formDialog({
    title: t('console.mqtt_publish'),
    action: t('console.mqtt_publish'),
    body: [
      nameField({
        label: t('console.name'),
        name: 'name',
        required: true,
        list: suggestions.id,
        hint: t('console.mqtt_publish_about'),
        autofocus: true,
      }),
      suggestions,
      field({
        label: t('console.field_interval'),
        name: 'interval',
        value: '30s',
        hint: t('console.mqtt_interval_about'),
      }),
      field({ label: t('console.field_width'), name: 'w', type: 'number', min: 8, max: 4096, step: 1 }),
      field({ label: t('console.field_quality'), name: 'quality', type: 'number', min: 1, max: 100, step: 1 }),
      field({ label: t('console.mqtt_retain'), name: 'retain', type: 'checkbox' }),
    ],
    send: async (form) => {
      const [w, quality] = [valueOf(form, 'w'), valueOf(form, 'quality')];
      const body = {
        interval: valueOf(form, 'interval'),
        retain: isChecked(form, 'retain'),
        w: w ? Number(w) : null,
        quality: quality ? Number(quality) : null,
      };
      await api.send('PUT', address(valueOf(form, 'name')), body);
      return true;
    },
  });
}
