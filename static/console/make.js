// @ts-check
// Making an object under a name that the user has chosen: an object that has the name is not replaced without a question.

import * as api from '../lib/api.js';
import { confirmed } from '../lib/dialog.js';
import { FieldError } from '../lib/form.js';
import { t } from '../lib/i18n.js';

/** The header with which the server makes only what is new (RFC 9110, section 13.1.2). */
const ONLY_NEW = { 'If-None-Match': '*' };

/** @param {unknown} error */
const isTaken = (error) => error instanceof api.ApiError && error.code === 'precondition_failed';

/** The error at the field of the name. */
const taken = () => new FieldError('name', t('console.name_taken'));

/**
 * Calls `send` with the header that makes only what is new. If the name is in use, asks whether that object is replaced, and calls
 * `send` again without the header. The error of a name that stays in use is for its field.
 *
 * @template R
 * @param {string} name
 * @param {(headers: Record<string, string>) => Promise<R>} send
 * @returns {Promise<R>}
 */
export async function makeOrReplace(name, send) {
  try {
    return await send(ONLY_NEW);
  } catch (error) {
    if (!isTaken(error)) throw error;
  }
  const title = t('console.replace_of', { name });
  if (!(await confirmed({ title, text: t('console.replace_about', { name }), action: t('console.replace_it') })))
    throw taken();
  return send({});
}

/**
 * The same without the question: what has the name stays.
 *
 * @template R
 * @param {(headers: Record<string, string>) => Promise<R>} send
 * @returns {Promise<R>}
 */
export async function makeNew(send) {
  try {
    return await send(ONLY_NEW);
  } catch (error) {
    throw isTaken(error) ? taken() : error;
  }
}
