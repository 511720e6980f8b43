// @ts-check
// Words of the server in the reader's language, where the catalogue has them.

import { agoText } from './parts.js';
import { t } from '../lib/i18n.js';

/**
 * A text of the catalogue, or `otherwise` if there is none.
 *
 * @param {string} key
 * @param {string} otherwise
 */
export function known(key, otherwise) {
  const text = t(key);
  return text === key ? otherwise : text;
}

/**
 * What the reasons of cameras are about, and their texts. The server's own words have more details and are English.
 *
 * @type {[RegExp, string][]}
 */
const REASONS = [
  [/requires a user name/i, 'console.reason_password_needed'],
  [/password/i, 'console.reason_password'],
  [/fetch\.networks|udp\.networks/i, 'console.reason_networks'],
  [/\b404\b|not found/i, 'console.reason_not_found'],
  [/no address|lookup|resolve|name or service/i, 'console.reason_no_host'],
  [/connect|unreachable|no route|refused|timed out|does not answer/i, 'console.reason_unreachable'],
  [/no picture/i, 'console.reason_no_picture'],
];

/**
 * A reason in the reader's language, with the server's words behind it.
 *
 * @param {string} reason
 */
export function reasonText(reason) {
  const found = REASONS.find(([pattern]) => pattern.test(reason));
  return found ? t('console.reason_with_detail', { reason: t(found[1]), detail: reason }) : reason;
}

/**
 * Why a stream has no picture, and when it failed: also after its state has gone back to idle, which it does without watchers.
 *
 * @param {Api.Stream} stream
 */
export function failureText({ state, reason, failure }) {
  if (!failure) return state === 'failing' ? reasonText(reason) : '';
  const why = reasonText(failure.reason);
  const { at } = /** @type {{ at?: string }} */ (failure);
  return at ? t('console.last_failed', { ago: agoText(at), why }) : why;
}
