// @ts-check
// Streams: the list with their live state; making, changing and deleting them; uploading pictures.

import * as api from '../lib/api.js';
import { dropTarget, fill, h, keyed } from '../lib/dom.js';
import { listen } from '../lib/events.js';
import { number, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { loadStyle } from '../lib/style.js';
import { button, emptyState, heading, keepFocus, matches, poller, searchField } from './parts.js';
import { StreamRow, upload } from './stream_row.js';

await loadStyle(new URL('streams.css', import.meta.url));

/** Bars of the last day are for half hours. */
const DAY_INTERVAL_SECONDS = 60;

/** Events report states at once; figures are polled at this interval. */
const INTERVAL_SECONDS = 5;

/** @type {Section} */
export async function show(main, { args, signal }) {
  const errors = h('div', {});
  const list = h('div', { class: 'stream-list', role: 'list', 'aria-label': t('console.streams') });
  const none = h('div', { hidden: true });
  const count = h('span', { class: 'dim', role: 'status' });
  /** @type {Api.Stream[]} */
  let streams = [];
  /** @type {Api.Addresses | null} */
  let addresses = null;
  let query = '';
  /** @type {Api.Answer<'api/v1/uptime'>['streams']} */
  let days = {};

  /** @type {WeakMap<Element, StreamRow>} */
  const rows = new WeakMap();
  /** @type {IntersectionObserverCallback} */
  const observed = (entries) => {
    for (const { target, isIntersecting } of entries) rows.get(target)?.setVisible(isIntersecting);
  };
  const observer = new IntersectionObserver(observed, { rootMargin: '120px' });
  signal.addEventListener('abort', () => {
    observer.disconnect();
    for (const element of list.children) rows.get(element)?.end();
  });

  const draw = () => {
    const found = streams.filter(({ name, title, kind, state }) => matches(query, name, title, kind, state));
    keepFocus(list, () =>
      keyed(list, found, {
        key: ({ name }) => name,
        make: (stream) => {
          const row = new StreamRow(stream, { changed: () => load(), addresses: () => addresses });
          rows.set(row.element, row);
          row.showDay(days[stream.name] ?? []);
          observer.observe(row.element);
          return row.element;
        },
        update: (element, stream) => rows.get(element)?.update(stream),
        remove: (element) => {
          observer.unobserve(element);
          rows.get(element)?.end();
        },
      }),
    );
    const [n, all] = [number(found.length), number(streams.length)];
    count.textContent =
      found.length === streams.length ? t('console.streams_count', { n }) : t('console.streams_some', { n, all });
    none.hidden = found.length > 0;
    if (!none.hidden) fill(none, streams.length ? emptyState('search', t('console.nothing_found')) : noStreams(add));
  };
  const load = poller(INTERVAL_SECONDS, signal, errors, async () => {
    ({ streams } = await api.call('api/v1/streams', { signal }));
    draw();
  });
  const loadDays = poller(DAY_INTERVAL_SECONDS, signal, h('div', {}), async () => {
    days = (await api.call('api/v1/uptime', { signal })).streams;
    for (const element of list.children) {
      const name = /** @type {HTMLElement} */ (element).dataset.name ?? '';
      rows.get(element)?.showDay(days[name] ?? []);
    }
  });
  const add = async (name = '') => {
    const { newStream } = await import('./stream_form.js');
    if (await newStream(name)) load();
  };
  const search = searchField((text) => {
    query = text;
    draw();
  });
  const addButton = button('plus', t('console.stream_new'), () => add(), { class: 'primary', id: 'new-stream' });
  fill(main, heading('streams', search, addButton), uploadZone(load), errors, count, list, none, valuesPart(signal));

  // The event contains the whole state; only for an unknown stream the list is loaded again.
  /** @param {Api.Event} event */
  const changed = ({ path, data }) => {
    const known = streams.find(({ name }) => name === path);
    const { state, reason, failure = null } = /** @type {Pick<Api.Stream, 'state' | 'reason' | 'failure'>} */ (data);
    if (!known || state === 'removed') return load();
    Object.assign(known, { state, reason, failure });
    draw();
  };
  signal.addEventListener('abort', listen(['stream.state'], changed, { onGap: load }));
  addresses = await api.call('api/v1/addresses').catch(() => null);
  await load();
  loadDays();
  const name = args.get('new');
  if (name !== null) add(name === '1' ? '' : name);
}

/**
 * The values of texts on pictures, which few need: loaded when they are opened.
 *
 * @param {AbortSignal} signal
 */
function valuesPart(signal) {
  const place = h('div', { class: 'stack' });
  const part = h('details', { class: 'card values' }, h('summary', {}, t('console.values')), place);
  const open = async () => {
    const { showValues } = await import('./values.js');
    await showValues(place, signal);
  };
  part.addEventListener('toggle', open, { once: true });
  return part;
}

/** @param {() => void} add */
function noStreams(add) {
  const action = button('plus', t('console.stream_new'), () => add());
  return emptyState('camera', t('console.streams_none'), t('console.streams_none_about'), action);
}

/**
 * Uploads a picture to a new or an existing stream: dropped, pasted, chosen, or taken with the camera of a phone.
 *
 * @param {() => void} changed
 */
function uploadZone(changed) {
  const name = h('input', {
    id: 'upload-name',
    value: 'hello',
    required: true,
    'aria-label': t('console.upload_name'),
    autocapitalize: 'none',
    spellcheck: false,
  });
  const file = h('input', {
    type: 'file',
    id: 'upload-file',
    accept: 'image/*',
    class: 'visually-hidden',
    tabIndex: -1,
    'aria-label': t('console.choose_picture'),
  });
  const status = h('span', { id: 'upload-told', role: 'status', class: 'hint' }, t('console.upload_about'));
  /** @param {File | undefined} picture */
  const take = async (picture) => {
    if (!picture || !name.reportValidity()) return;
    status.textContent = t('console.sending', { name: picture.name || t('console.picture') });
    status.textContent = (await upload(picture, name.value)) ?? t('console.upload_about');
    changed();
  };
  file.addEventListener('change', () => {
    take(file.files?.[0]);
    file.value = '';
  });
  const choose = button('upload', t('console.choose_picture'), () => name.reportValidity() && file.click());
  const label = h('label', { htmlFor: name.id }, t('console.upload_to'));
  const controls = h('div', { class: 'row upload-row' }, label, name, choose, file);
  const zone = h(
    'section',
    { class: 'drop upload', 'aria-label': t('console.upload') },
    icon('upload'),
    status,
    controls,
  );
  dropTarget(zone, take);
  document.addEventListener('paste', ({ clipboardData }) => {
    if (!zone.isConnected || document.querySelector('dialog[open]')) return;
    take([...(clipboardData?.files ?? [])].find(({ type }) => type.startsWith('image/')));
  });
  return zone;
}
