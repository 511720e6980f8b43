// Cameras on the network: what was found, and what can be made of it. The section is there where the server can search.

import * as api from '../lib/api.js';
import { fill, h, keyed } from '../lib/dom.js';
import { field } from '../lib/form.js';
import { number, t } from '../lib/i18n.js';
import { toast, tried } from '../lib/toast.js';
import { badge, button, failure, formDialog, head, notice, nothing } from './parts.js';

export async function show(main, { signal }) {
  const cards = new Map();
  const list = h('div', { class: 'grid cameras', 'aria-live': 'polite' });
  const told = h('div', { class: 'stack tight', role: 'status' });
  const none = nothing('search', t('console.discovery_none'), t('console.discovery_none_about'));
  const draw = () => {
    keyed(list, [...cards.values()], { key: (card) => JSON.stringify(card), make: (card) => cardOf(card, replace) });
    none.hidden = cards.size > 0;
  };
  const replace = (card) => {
    cards.set(card.id, card);
    draw();
  };
  let searching = null;
  const start = button('search', t('console.discover'), () => (searching ? searching.abort() : find()), {
    class: 'primary',
  });
  const named = h('input', {
    class: 'search',
    placeholder: '192.168.1.20',
    'aria-label': t('console.discover_address'),
    autocapitalize: 'none',
    spellcheck: false,
  });
  const find = async (address = '') => {
    searching = new AbortController();
    const ended = searching;
    signal.addEventListener('abort', () => ended.abort());
    start.lastChild.textContent = t('console.discover_stop');
    fill(told, h('p', { class: 'dim' }, t('console.discovering')));
    const problems = [];
    try {
      for await (const { type, data } of search(address, ended.signal)) {
        if (type === 'found' || type === 'detail') replace(data);
        else if (type === 'problem') problems.push(data);
        else if (type === 'done')
          fill(
            told,
            h(
              'p',
              { class: 'dim' },
              t('console.discovered', {
                n: number(data.found),
                others: number(data.others),
                seconds: number(data.seconds, 1),
              }),
            ),
          );
      }
    } catch (error) {
      if (!ended.signal.aborted)
        fill(
          told,
          failure(error, () => find(address)),
        );
    }
    if (ended.signal.aborted && told.isConnected) told.replaceChildren();
    problems.forEach(({ address: where, message }) =>
      told.append(notice('warn', h('p', {}, where && h('b', {}, `${where} `), message))),
    );
    start.lastChild.textContent = t('console.discover');
    searching = null;
  };
  const byAddress = h(
    'form',
    {
      class: 'row by-address',
      onsubmit: (event) => {
        event.preventDefault();
        if (named.value.trim() && !searching) find(named.value.trim());
      },
    },
    named,
    h('button', {}, t('console.discover_one')),
  );
  fill(main, head('discovery', byAddress, start), told, list, none);
}

/** The events of a search. */
async function* search(address, signal) {
  const response = await api.request(`api/v1/discover${address ? `?address=${encodeURIComponent(address)}` : ''}`, {
    signal,
    headers: { Accept: 'text/event-stream' },
  });
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new api.ApiError(problem.detail ?? response.statusText, response.status, problem.code);
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    const blocks = (rest + next.value).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) {
      const of = (name) =>
        block
          .split('\n')
          .find((line) => line.startsWith(`${name}:`))
          ?.slice(name.length + 1)
          .trim();
      if (of('data')) yield { type: of('event'), data: JSON.parse(of('data')) };
    }
  }
}

function cardOf(card, replace) {
  const title = card.name ?? card.model ?? card.hardware ?? card.address;
  const facts = [
    [t('console.address'), card.address],
    [t('console.maker'), card.manufacturer],
    [t('console.model'), card.model ?? card.hardware],
    [t('console.firmware'), card.firmware],
    [t('console.location'), card.location],
  ].filter(([, value]) => value);
  return h(
    'article',
    { class: 'card stack tight camera' },
    h(
      'div',
      { class: 'spread' },
      h('h2', {}, title),
      card.needs_credentials && badge(t('console.needs_password'), 'warn'),
    ),
    h(
      'dl',
      { class: 'facts' },
      facts.flatMap(([term, value]) => [h('dt', {}, term), h('dd', {}, value)]),
    ),
    (card.profiles ?? []).map(({ name, token, codec, width, height, fps }) =>
      h(
        'p',
        { class: 'hint number' },
        [name ?? token, codec, width && `${width} × ${height}`, fps && t('console.per_second', { n: number(fps) })]
          .filter(Boolean)
          .join(' · '),
      ),
    ),
    (card.problems ?? []).map((problem) => h('p', { class: 'hint warn' }, problem)),
    h(
      'div',
      { class: 'stack tight' },
      (card.offers ?? []).map((offer) => button('plus', offer.title, () => take(offer), { class: 'small offer' })),
    ),
    h(
      'div',
      {},
      button('key', t('console.ask_device'), () => ask(card, replace), { class: 'small' }),
    ),
  );
}

/** Makes what is offered, under a name that can be changed. */
function take(offer) {
  return formDialog({
    title: offer.title,
    action: t('console.make'),
    body: [
      field({
        label: t('console.name'),
        name: 'name',
        value: offer.name,
        required: true,
        autocapitalize: 'none',
        spellcheck: false,
        autofocus: true,
      }),
      h('p', { class: 'hint' }, offer.makes === 'path' ? t('console.offer_path') : t('console.offer_stream')),
    ],
    send: async (form) => {
      const name = form.elements.name.value.trim();
      await api.send(
        offer.method ?? 'PUT',
        `api/v1/${offer.makes === 'path' ? 'paths' : 'streams'}/${api.encoded(name)}`,
        offer.body,
      );
      toast(t('console.made', { name }));
    },
  });
}

/** Asks a device with a user and password. */
async function ask(card, replace) {
  await tried(() =>
    formDialog({
      title: card.name ?? card.address,
      action: t('console.ask_device'),
      body: [
        h('p', { class: 'hint' }, t('console.ask_about')),
        field({
          label: t('common.user'),
          name: 'username',
          autocomplete: 'off',
          autocapitalize: 'none',
          spellcheck: false,
          autofocus: true,
        }),
        field({ label: t('common.password'), name: 'password', type: 'password', autocomplete: 'off' }),
      ],
      send: async (form) => {
        const told = await api.send('POST', 'api/v1/discover/onvif', {
          address: card.device_service ?? card.address,
          user: form.elements.username.value,
          password: form.elements.password.value,
        });
        replace({ ...told, id: card.id });
      },
    }),
  );
}
