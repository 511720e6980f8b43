// @ts-check
// Words of the server in the reader's language, where the catalogue has them.

import { agoText } from './parts.js';
import { causeText, t } from '../lib/i18n.js';

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
 * Why a stream has no picture, and when it failed: also after its state has gone back to idle, which it does without watchers.
 *
 * @param {Api.Stream} stream
 */
export function failureText({ state, reason, failure }) {
  if (!failure) return state === 'failing' ? reason : '';
  const { at, cause, reason: words } = failure;
  const why = causeText(cause, words);
  return at ? t('console.last_failed', { ago: agoText(at), why }) : why;
}
