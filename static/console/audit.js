// @ts-check
// The audit log: who was allowed or denied which action, and why.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { number, t } from '../lib/i18n.js';
import { badge, emptyState, heading, matches, poller, searchField, table, timeAgo } from './parts.js';

const INTERVAL_SECONDS = 10;
const LIMIT = 300;

/** @typedef {Api.Answer<'api/v1/audit'>['entries'][number]} Entry */

/** @type {Section} */
export async function show(main, { signal }) {
  const errors = h('div', {});
  const lost = h('p', { class: 'dim', role: 'status' });
  /** @type {Entry[]} */
  let entries = [];
  let [decision, query] = ['', ''];
  const list = table({
    label: t('console.audit'),
    key: ({ seq }) => seq,
    columns: columns(),
    empty: emptyState('check', t('console.audit_none')),
  });
  const draw = () => {
    const found = entries.filter(({ who, user, path, request, action, protocol, ip, reason }) =>
      matches(query, who, user, path, request, action, protocol, ip, reason),
    );
    list.show(found);
  };
  const load = poller(INTERVAL_SECONDS, signal, errors, async () => {
    const filter = new URLSearchParams({ limit: String(LIMIT), ...(decision && { decision }) });
    const found = await api.call(`api/v1/audit?${filter}`, { signal });
    ({ entries } = found);
    lost.textContent = found.lost > 0 ? t('console.audit_lost', { n: number(found.lost) }) : '';
    draw();
  });
  const choice = h(
    'select',
    {
      class: 'narrow',
      'aria-label': t('console.decision'),
      onchange: () => {
        decision = choice.value;
        load();
      },
    },
    ['', 'denied', 'allowed'].map((word) => h('option', { value: word }, t(`console.audit_${word || 'all'}`))),
  );
  const search = searchField((text) => {
    query = text;
    draw();
  });
  fill(main, heading('audit', choice, search), errors, lost, list.element);
  await load();
}

/** @returns {Column<Entry>[]} */
function columns() {
  return [
    { label: t('console.when'), node: ({ at }) => timeAgo(at) },
    { label: t('console.decision'), node: ({ decision }) => decisionBadge(decision) },
    { label: t('console.who'), class: 'wide', node: caller },
    { label: t('console.action'), text: ({ action }) => action },
    { label: t('console.path'), class: 'wide', text: ({ path, request }) => path || request || '—' },
    { label: t('console.protocol'), text: ({ protocol }) => protocol },
    { label: t('console.from'), text: ({ ip }) => ip ?? t('console.unknown') },
    { label: t('console.why'), class: 'wide', text: ({ reason }) => reason },
  ];
}

/** @param {string} decision */
function decisionBadge(decision) {
  const kind = decision === 'allowed' ? 'good' : decision === 'ask' ? 'warn' : 'bad';
  return badge(t(`console.decision_${decision}`), kind);
}

/**
 * The principal, and the user name of the request if it is another one.
 *
 * @param {Entry} entry
 */
const caller = ({ who, user }) => [
  h('span', {}, who),
  user && !who.endsWith(` ${user}`) && h('p', { class: 'hint' }, user),
];
