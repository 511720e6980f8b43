// @ts-check
// Whether a new token works: its first use, which this waits for, and its end.

import * as api from '../lib/api.js';
import { confirmed } from '../lib/dialog.js';
import { h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { attempt } from '../lib/toast.js';
import { agoText, button, poller, refill } from './parts.js';

/** A person sets a program up and looks whether it works: each answer is a row of a table. */
const INTERVAL_SECONDS = 2;

/** Names of protocols that differ from their word in capitals. */
const PROTOCOLS = /** @type {Record<string, string>} */ ({ webrtc: 'WebRTC', websocket: 'WebSocket' });

/** @typedef {NonNullable<Api.Answer<'api/v1/tokens'>['tokens'][number]['last_use']>} LastUse */

/** @param {string} word */
const protocolName = (word) => PROTOCOLS[word] ?? word.toUpperCase();

/**
 * Who used a token or a share last, and how.
 *
 * @param {LastUse} use
 */
export const useFacts = ({ ip, protocol, allowed }) =>
  [ip, protocolName(protocol), !allowed && t('console.refused')].filter(Boolean).join(' · ');

/** @param {LastUse} use */
const useText = ({ at, allowed, action, path, protocol, ip }) =>
  t(allowed ? 'console.use_seen' : 'console.use_refused', {
    ip: ip ?? '?',
    protocol: protocolName(protocol),
    ago: agoText(at),
    asked: `${action} ${path}`,
  });

/**
 * A notice about a new token, which turns green with the first request that shows it, and a button that revokes it.
 *
 * @param {{ id: string, days: number, signal: AbortSignal, revoked: () => void }} options
 */
export function tokenUse({ id, days, signal, revoked }) {
  const path = /** @type {const} */ (`api/v1/tokens/${encodeURIComponent(id)}`);
  const errors = h('div', {});
  const state = h('p', { class: 'token-use waiting', role: 'status' });
  const show = (/** @type {LastUse | null | undefined} */ use) => {
    const kind = !use ? 'waiting' : use.allowed ? 'good' : 'bad';
    // The time grows by itself, and is no news for a screen reader.
    refill(state, [kind, use?.ip, use?.protocol, use?.path], () => [
      icon(kind === 'waiting' ? 'refresh' : kind === 'good' ? 'check' : 'alert', 18),
      h('span', {}, use ? useText(use) : t('console.use_waiting')),
    ]);
    state.className = `token-use ${kind}`;
  };
  show(null);
  const load = poller(INTERVAL_SECONDS, signal, errors, async () => show((await api.call(path, { signal })).last_use));
  const revoke = async () => {
    const text = t('console.revoke_about');
    if (!(await confirmed({ title: t('console.use_revoke'), text, action: t('console.revoke') }))) return;
    if (await attempt(() => api.call(path, { method: 'DELETE' }), t('console.use_revoked'))) revoked();
  };
  load();
  const text = h(
    'div',
    { class: 'notice-text' },
    state,
    h('p', { class: 'hint' }, t('console.snippet_token_made', { days })),
    h('div', { class: 'row' }, button('trash', t('console.use_revoke'), revoke, { class: 'small' })),
    errors,
  );
  return h('div', { class: 'notice' }, text);
}
