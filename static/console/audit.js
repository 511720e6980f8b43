// @ts-check
// The audit: what administrators have changed, who has signed in, and who was refused.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { number, t } from '../lib/i18n.js';
import { loadStyle } from '../lib/style.js';
import { attempt } from '../lib/toast.js';
import { badge, button, emptyState, heading, loader, table, timeAgo } from './parts.js';
import { known } from './words.js';

await loadStyle(new URL('audit.css', import.meta.url));

const PAGE = 100;

/** Most entries of a file. */
const MOST = 10_000;

/** @typedef {Api.Answer<'api/v1/audit'>['entries'][number]} Entry */

/** Methods by what they do, and the words of what they are done to. */
const VERBS = /** @type {Record<string, string>} */ ({
  PUT: 'saved',
  PATCH: 'changed',
  POST: 'made',
  DELETE: 'deleted',
});

/** @type {Section} */
export async function show(main, { args, signal }) {
  const errors = h('div', {});
  const lost = h('p', { class: 'dim', role: 'status' });
  const list = table({
    label: t('console.audit'),
    key: ({ seq }) => seq,
    columns: columns(),
    empty: emptyState('check', t('console.audit_none'), t('console.audit_none_about')),
  });
  /** @type {Entry[]} */
  let entries = [];
  /** @type {number | undefined} */
  let next;
  const filter = filterForm(args, () => load());
  const more = button('arrow', t('console.audit_more'), () => loadMore(), { hidden: true });
  const read = async () => {
    const query = filter.query({ limit: String(PAGE), ...(entries.length && next && { before: String(next) }) });
    const found = await api.call(`api/v1/audit?${query}`, { signal });
    entries = [...entries, ...found.entries];
    next = found.next ?? undefined;
    more.hidden = !next;
    list.show(entries);
    lost.textContent = [found.lost > 0 && t('console.audit_lost', { n: number(found.lost) }), counted(found.counted)]
      .filter(Boolean)
      .join(' ');
  };
  const loadMore = loader(signal, errors, read);
  const load = () => {
    entries = [];
    return loadMore();
  };
  const save = (/** @type {'csv' | 'json'} */ format) => attempt(() => download(filter, format));
  const actions = [
    button('refresh', t('console.refresh'), load),
    button('download', 'CSV', () => save('csv')),
    button('download', 'JSON', () => save('json')),
  ];
  fill(main, heading('audit', actions), filter.element, errors, list.element, h('div', {}, more), lost);
  await load();
}

/**
 * How often was read and published, which has no entries.
 *
 * @param {Record<string, number>} actions
 */
function counted(actions) {
  const parts = Object.entries(actions)
    .filter(([action]) => ['read', 'publish', 'playback'].includes(action))
    .map(([action, n]) => `${known(`console.may_${action}`, action)} ${number(n)}`);
  return parts.length > 0 && t('console.audit_counted', { counts: parts.join(' · ') });
}

/**
 * The filter: which, who, what, when. `changed` is called for each change.
 *
 * @param {URLSearchParams} args
 * @param {() => void} changed
 */
function filterForm(args, changed) {
  const text = (/** @type {string} */ name, /** @type {string} */ label) =>
    h('input', {
      name,
      type: 'search',
      placeholder: label,
      'aria-label': label,
      value: args.get(name) ?? '',
      spellcheck: false,
    });
  const time = (/** @type {string} */ name, /** @type {string} */ label) =>
    h(
      'label',
      { class: 'audit-time' },
      h('span', { class: 'hint' }, label),
      h('input', { name, type: 'datetime-local' }),
    );
  const which = h(
    'select',
    { name: 'decision', 'aria-label': t('console.decision') },
    ['', 'allowed', 'denied'].map((word) => h('option', { value: word }, t(`console.audit_${word || 'all'}`))),
  );
  const action = h(
    'select',
    { name: 'action', 'aria-label': t('console.action') },
    h('option', { value: '' }, t('console.audit_any_action')),
    ['DELETE', 'PUT', 'PATCH', 'POST', 'sign in', 'read', 'publish'].map((word) =>
      h('option', { value: word }, VERBS[word] ? t(`console.did_${VERBS[word]}_short`) : actionName(word)),
    ),
  );
  const element = h(
    'form',
    { class: 'audit-filter', role: 'search', onsubmit: (event) => event.preventDefault() },
    which,
    action,
    text('who', t('console.who')),
    text('path', t('console.audit_object')),
    time('since', t('console.audit_since')),
    time('until', t('console.audit_until')),
  );
  element.addEventListener('change', changed);
  return {
    element,
    /** @param {Record<string, string>} more */
    query: (more) => {
      const query = new URLSearchParams(more);
      for (const [name, value] of new FormData(element)) {
        const word = String(value).trim();
        if (word) query.set(name, name === 'since' || name === 'until' ? new Date(word).toISOString() : word);
      }
      return query;
    },
  };
}

/**
 * Saves the entries of the filter as a file.
 *
 * @param {{ query: (more: Record<string, string>) => URLSearchParams }} filter
 * @param {'csv' | 'json'} format
 */
async function download(filter, format) {
  const response = await api.request(`api/v1/audit?${filter.query({ format, limit: String(MOST) })}`);
  if (!response.ok) throw await api.refusal(response);
  const href = URL.createObjectURL(await response.blob());
  h('a', { href, download: `audit.${format}` }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}

/** @returns {Column<Entry>[]} */
function columns() {
  return [
    { label: t('console.when'), node: ({ at }) => timeAgo(at) },
    { label: t('console.audit_what'), class: 'wide', node: whatCell },
    { label: t('console.who'), class: 'wide', node: caller },
    { label: t('console.from'), text: ({ ip }) => ip ?? t('console.unknown') },
    { label: t('console.why'), class: 'wide', node: whyCell },
  ];
}

/** @param {Entry} entry */
function whatCell(entry) {
  const isFine = entry.decision === 'allowed';
  const kind = isFine ? 'good' : entry.decision === 'ask' ? 'warn' : 'bad';
  return [
    !isFine && badge(t(`console.decision_${entry.decision}`), kind),
    h('span', { title: entry.request ?? '' }, deed(entry)),
    isFine && entry.reason !== 'allowed' && badge(reasonName(entry.reason), 'warn'),
    entry.times > 1 && badge(t('console.times_n', { n: number(entry.times) })),
  ];
}

/**
 * What was done, in words.
 *
 * @param {Entry} entry
 */
export function deed({ request, action, path }) {
  const [method, resource = ''] = (request ?? '').split(' ', 2);
  const what = resource.split(/[/?]/)[0].replaceAll('-', '_');
  const thing = known(`console.thing_${what}`, '');
  if (VERBS[method] && thing) {
    const name = path === resource ? '' : path;
    return t(`console.did_${VERBS[method]}`, { thing, name }).trim();
  }
  if (request) return request;
  return [actionName(action), path].filter(Boolean).join(' ');
}

/** @param {string} action */
const actionName = (action) => known(`console.action_${action.replaceAll(' ', '_')}`, action);

/**
 * A reason of the server in the reader's language.
 *
 * @param {string} reason
 */
function reasonName(reason) {
  const key = reason
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .replaceAll(/^_|_$/g, '');
  return known(`console.why_${key}`, reason);
}

/** @param {Entry} entry */
function whyCell({ decision, reason, protocol }) {
  if (decision === 'allowed') return h('span', { class: 'dim' }, '—');
  return [h('span', {}, reasonName(reason)), protocol && h('p', { class: 'hint' }, protocol)];
}

/**
 * The principal, and the user name of the request if it is another one.
 *
 * @param {Entry} entry
 */
const caller = ({ who, user }) => {
  const [kind, ...rest] = who.split(' ');
  const name = rest.join(' ');
  const shown = kind === 'user' ? name : t(`console.who_${kind.replaceAll('-', '_')}`, { name });
  return [h('span', {}, shown), user && user !== name && h('p', { class: 'hint' }, user)];
};
