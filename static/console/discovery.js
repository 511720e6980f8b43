// @ts-check
// Cameras on the network: the devices that the server finds, and what the console can make of them. Only servers that
// can search have this section.

import * as api from '../lib/api.js';
import { fill, h, keyed } from '../lib/dom.js';
import { serverSentEvents } from '../lib/events.js';
import { exactValueOf, field, valueOf } from '../lib/form.js';
import { number, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { toast } from '../lib/toast.js';
import { makeOrReplace } from './make.js';
import { badge, button, emptyState, failure, formDialog, heading, nameField, notice } from './parts.js';

/** @type {Section} */
export async function show(main, { signal }) {
  /** @type {Map<string, Api.DiscoveredDevice>} */
  const devices = new Map();
  const list = h('div', { class: 'grid cameras', 'aria-live': 'polite' });
  const status = h('div', { class: 'stack tight', role: 'status' });
  const none = emptyState('search', t('console.discovery_none'), t('console.discovery_none_about'));
  const draw = () => {
    keyed(list, [...devices.values()], {
      key: (device) => JSON.stringify(device),
      make: (device) => card(device, add),
    });
    none.hidden = devices.size > 0;
  };
  /** @param {Api.DiscoveredDevice} device */
  const add = (device) => {
    devices.set(device.id, device);
    draw();
  };

  /** @type {AbortController | null} */
  let search = null;
  const word = h('span', {}, t('console.discover'));
  /** @param {string} [address] */
  const run = async (address = '') => {
    const ending = new AbortController();
    search = ending;
    signal.addEventListener('abort', () => ending.abort());
    word.textContent = t('console.discover_stop');
    fill(status, h('p', { class: 'dim' }, t('console.discovering')));
    /** @type {HTMLElement[]} */
    const problems = [];
    try {
      for await (const { event, data } of find(address, ending.signal)) {
        const report = JSON.parse(data);
        if (event === 'found' || event === 'detail') add(report);
        else if (event === 'problem') problems.push(problemNotice(report));
        else if (event === 'done') fill(status, h('p', { class: 'dim' }, summary(report)));
      }
    } catch (error) {
      if (ending.signal.aborted) status.replaceChildren();
      else
        fill(
          status,
          failure(error, () => run(address)),
        );
    }
    status.append(...problems);
    word.textContent = t('console.discover');
    search = null;
  };
  const toggle = () => (search ? search.abort() : run());
  const start = h('button', { type: 'button', class: 'primary', onclick: toggle }, icon('search', 18), word);

  const address = h('input', {
    class: 'search',
    placeholder: '192.168.1.20',
    'aria-label': t('console.discover_address'),
    autocapitalize: 'none',
    spellcheck: false,
  });
  /** @param {SubmitEvent} event */
  const onsubmit = (event) => {
    event.preventDefault();
    if (address.value.trim() && !search) run(address.value.trim());
  };
  const byAddress = h(
    'form',
    { class: 'row by-address', onsubmit },
    address,
    h('button', {}, t('console.discover_one')),
  );
  fill(main, heading('discovery', byAddress, start), status, list, none);
}

/**
 * The events of a search.
 *
 * @param {string} address
 * @param {AbortSignal} signal
 */
async function* find(address, signal) {
  const query = address ? `?address=${encodeURIComponent(address)}` : '';
  const headers = { Accept: 'text/event-stream' };
  const response = await api.request(`api/v1/discover${query}`, { signal, headers });
  if (!response.ok) throw await api.refusal(response);
  yield* serverSentEvents(response);
}

/** @param {{ found: number, others: number, seconds: number }} report */
function summary({ found, others, seconds }) {
  return t('console.discovered', { n: number(found), others: number(others), seconds: number(seconds, 1) });
}

/** @param {{ address?: string, message: string }} problem */
function problemNotice({ address, message }) {
  return notice('warn', h('p', {}, address && h('b', {}, `${address} `), message));
}

/**
 * The card of a device. `add` gets the device again after it was asked with a password.
 *
 * @param {Api.DiscoveredDevice} device
 * @param {(device: Api.DiscoveredDevice) => void} add
 */
function card(device, add) {
  const { address, name, manufacturer, model, hardware, firmware, location } = device;
  const facts = [
    [t('console.address'), address],
    [t('console.maker'), manufacturer],
    [t('console.model'), model ?? hardware],
    [t('console.firmware'), firmware],
    [t('console.location'), location],
  ].filter(([, value]) => value);
  const title = h('h2', {}, name ?? model ?? hardware ?? address);
  const locked = device.needs_credentials && badge(t('console.needs_password'), 'warn');
  const suggestions = device.offers.map((suggestion) =>
    button('plus', suggestion.title, () => accept(suggestion), { class: 'small offer' }),
  );
  return h(
    'article',
    { class: 'card stack tight camera' },
    h('div', { class: 'spread' }, title, locked),
    h(
      'dl',
      { class: 'facts' },
      facts.flatMap(([term, value]) => [h('dt', {}, term), h('dd', {}, value)]),
    ),
    device.profiles.map(profileLine),
    device.problems?.map((problem) => h('p', { class: 'hint warn' }, problem)),
    h('div', { class: 'stack tight' }, suggestions),
    h(
      'div',
      {},
      button('key', t('console.ask_device'), () => inquire(device, add), { class: 'small' }),
    ),
  );
}

/** @param {Api.DiscoveredDevice['profiles'][number]} profile */
function profileLine({ name, token, codec, width, height, fps }) {
  const size = width && `${width} × ${height}`;
  const rate = fps && t('console.per_second', { n: number(fps) });
  const facts = [name ?? token, codec, size, rate].filter(Boolean);
  return h('p', { class: 'hint number' }, facts.join(' · '));
}

/**
 * Makes a suggestion's stream or path, under a name that the user can change.
 *
 * @param {Api.Suggestion} suggestion
 */
function accept({ title, name, makes, body }) {
  const about = makes === 'path' ? t('console.offer_path') : t('console.offer_stream');
  return formDialog({
    title,
    action: t('console.make'),
    body: [
      nameField({ label: t('console.name'), name: 'name', value: name, required: true, autofocus: true }),
      h('p', { class: 'hint' }, about),
    ],
    send: async (form) => {
      const chosen = valueOf(form, 'name');
      const address = api.encoded(chosen);
      const wanted = /** @type {any} */ (body);
      await makeOrReplace(chosen, async (headers) => {
        if (makes === 'path') await api.send('PUT', `api/v1/paths/${address}`, wanted, headers);
        else await api.send('PUT', `api/v1/streams/${address}`, wanted, headers);
      });
      toast(t('console.made', { name: chosen }));
      return true;
    },
  });
}

/**
 * Asks a device with a user name and password.
 *
 * @param {Api.DiscoveredDevice} device
 * @param {(device: Api.DiscoveredDevice) => void} add
 */
function inquire({ id, name, address, device_service: service }, add) {
  return formDialog({
    title: name ?? address,
    action: t('console.ask_device'),
    body: [
      h('p', { class: 'hint' }, t('console.ask_about')),
      nameField({ label: t('common.user'), name: 'user', autocomplete: 'off', autofocus: true }),
      field({ label: t('common.password'), name: 'pass', type: 'password', autocomplete: 'off' }),
    ],
    send: async (form) => {
      const login = { user: valueOf(form, 'user'), pass: exactValueOf(form, 'pass') };
      const device = await api.send('POST', 'api/v1/discover/onvif', { address: service ?? address, ...login });
      add({ ...device, id });
      return true;
    },
  });
}
