// Who was allowed or denied what, and why.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { number, t } from '../lib/i18n.js';
import { badge, every, failure, head, nothing, search, table, when } from './parts.js';

const EVERY_SECONDS = 10;
const LIMIT = 300;

export async function show(main, { signal }) {
  const told = h('div', {});
  let [entries, decision, wanted] = [[], '', ''];
  const list = table({
    label: t('console.audit'),
    key: ({ seq }) => seq,
    columns: [
      { label: t('console.when'), node: ({ at }) => when(at) },
      {
        label: t('console.decision'),
        node: ({ decision: word }) =>
          badge(t(`console.decision_${word}`), word === 'allowed' ? 'good' : word === 'ask' ? 'warn' : 'bad'),
      },
      {
        label: t('console.who'),
        class: 'wide',
        node: ({ who, user }) => [
          h('span', {}, who),
          user && !who.endsWith(` ${user}`) && h('p', { class: 'hint' }, user),
        ],
      },
      { label: t('console.action'), text: ({ action }) => action },
      { label: t('console.path'), class: 'wide', text: ({ path }) => path || '—' },
      { label: t('console.by'), text: ({ protocol }) => protocol },
      { label: t('console.from'), text: ({ ip }) => ip ?? t('console.unknown') },
      { label: t('console.why'), class: 'wide', text: ({ reason }) => reason },
    ],
    empty: nothing('check', t('console.audit_none')),
  });
  const count = h('p', { class: 'dim', role: 'status' });
  const draw = () =>
    list.show(
      entries.filter(
        (one) =>
          !wanted ||
          `${one.who} ${one.user} ${one.path} ${one.action} ${one.protocol} ${one.ip} ${one.reason}`
            .toLowerCase()
            .includes(wanted),
      ),
    );
  const look = every(
    EVERY_SECONDS,
    signal,
    async () => {
      const found = await api.call(`api/v1/audit?limit=${LIMIT}${decision && `&decision=${decision}`}`, { signal });
      ({ entries } = found);
      count.textContent = found.lost > 0 ? t('console.audit_lost', { n: number(found.lost) }) : '';
      draw();
    },
    (error) => fill(told, error && failure(error, look)),
  );
  const choose = h(
    'select',
    {
      class: 'narrow',
      'aria-label': t('console.decision'),
      onchange: () => {
        decision = choose.value;
        look();
      },
    },
    ['', 'denied', 'allowed'].map((word) => h('option', { value: word }, t(`console.audit_${word || 'all'}`))),
  );
  fill(
    main,
    head(
      'audit',
      choose,
      search((text) => {
        wanted = text;
        draw();
      }),
    ),
    told,
    count,
    list.element,
  );
  await look();
}
