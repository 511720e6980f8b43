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

/** @type {Section} */
export async function show(main, { signal }) {
  const errors = h('div', {});
  const state = h('div', { class: 'stack tight', role: 'status' });
  /** @param {Publication} publication */
  const remove = async ({ name }) => {
    const title = t('console.mqtt_remove', { name });
    if (!(await confirmed({ title, text: '', action: title }))) return;
    const target = /** @type {const} */ (`api/v1/mqtt/publications/${api.encoded(name)}`);
    await attempt(() => api.call(target, { method: 'DELETE' }), t('console.mqtt_removed', { name }));
    load();
  };
  const publications = table({
    label: t('console.mqtt_publications'),
    key: ({ name }) => name,
    columns: columns(remove),
    empty: emptyState('link', t('console.mqtt_none'), t('console.mqtt_none_about')),
  });
  const subscriptions = table({
    label: t('console.mqtt_subscriptions'),
    key: ({ topic }) => topic,
    columns: SUBSCRIPTION_COLUMNS,
    empty: h('p', { class: 'dim' }, t('console.mqtt_no_topics')),
  });
  const load = poller(INTERVAL_SECONDS, signal, errors, async () => {
    const connection = await api.call('api/v1/mqtt', { signal });
    const { reason, broker, homeassistant } = connection;
    refill(state, [connection.state, reason, broker, homeassistant], () => stateOf(connection));
    publications.show(connection.publications);
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
    publications.element,
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
 * @param {(publication: Publication) => void} remove
 * @returns {Column<Publication>[]}
 */
const columns = (remove) => [
  { label: t('console.name'), text: ({ name }) => name },
  { label: t('console.mqtt_topic'), text: ({ topic }) => topic },
  { label: t('console.field_interval'), text: ({ publication }) => publication.interval ?? '' },
  { label: t('console.mqtt_published'), class: 'number', text: ({ published }) => number(published) },
  { label: t('console.mqtt_last'), text: ({ last_at: last }) => (last ? agoText(last) : '—') },
  { label: t('console.mqtt_problem'), text: ({ problem }) => problem ?? '' },
  {
    label: '',
    version: ({ is_from_file: isFromFile }) => isFromFile,
    node: (publication) =>
      publication.is_from_file
        ? badge('sidecar.yml', '')
        : iconButton('trash', t('console.mqtt_remove', { name: publication.name }), () => remove(publication)),
  },
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
      const target = /** @type {const} */ (`api/v1/mqtt/publications/${api.encoded(valueOf(form, 'name'))}`);
      const [w, quality] = [valueOf(form, 'w'), valueOf(form, 'quality')];
      const body = {
        interval: valueOf(form, 'interval'),
        retain: isChecked(form, 'retain'),
        w: w ? Number(w) : null,
        quality: quality ? Number(quality) : null,
      };
      await api.send('PUT', target, body);
      return true;
    },
  });
}
