// @ts-check
// The texts of the pages in the reader's language.
//
// A catalogue is locales/LANGUAGE/SECTION.json: flat, `{"key": "Text with {name}"}`. `t(KEY, { name })`, KEY being
// section.key, gives the text. A test checks that every key has a text in every language.

import { storeText } from './dom.js';

/** Languages by code, each under its own name. */
export const languages = { en: 'English', ja: '日本語', zh: '中文' };

/** The language of this page; theme.js has chosen it before the first paint. */
export const language = document.documentElement.lang in languages ? document.documentElement.lang : 'en';

/** The language with the reader's region, so that an English page in Britain shows British dates. */
const locale = navigator.languages.find((tag) => tag.split('-')[0] === language) ?? language;

/** @type {Map<string, string>} */
const texts = new Map();

/**
 * Loads sections of the catalogue.
 *
 * @param {...string} sections
 */
export async function load(...sections) {
  const loads = sections.map(async (section) => {
    const response = await fetch(new URL(`../locales/${language}/${section}.json`, import.meta.url));
    for (const [key, text] of Object.entries(await response.json())) texts.set(`${section}.${key}`, text);
  });
  await Promise.all(loads);
}

/**
 * The text of a key, with its {placeholders} replaced. A key without a text is shown itself.
 *
 * @param {string} key
 * @param {Record<string, unknown>} [values]
 */
export function t(key, values = {}) {
  const text = texts.get(key) ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/**
 * The text of an error: ours for its code if there is one, else the server's own.
 *
 * @param {unknown} error
 */
export function errorText(error) {
  const { code, cause, message } = /** @type {{ code?: string, cause?: string, message?: string }} */ (error);
  return texts.get(`common.cause_${cause}`) ?? texts.get(`common.error_${code}`) ?? message ?? String(error);
}

/**
 * Why a source gives no pictures, in the reader's language, with the server's own words behind it if there are any: they have more
 * details, and only administrators get them.
 *
 * @param {string | null | undefined} cause a word of docs/errors.md
 * @param {string} words
 */
export function causeText(cause, words) {
  const reason = texts.get(`common.cause_${cause}`);
  if (!reason || !words) return reason ?? words;
  return t('common.with_detail', { reason: reason.replace(/[.。]$/, ''), detail: words });
}

/**
 * Chooses a language for this browser and loads the page again.
 *
 * @param {string} code
 */
export function chooseLanguage(code) {
  storeText('language', code);
  location.reload();
}

const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' });

/** Units of `ago`: the unit, its seconds, and the seconds up to which it is used. */
const UNITS = /** @type {const} */ ([
  ['second', 1, 90],
  ['minute', 60, 5400],
  ['hour', 3600, 129_600],
  ['day', 86_400, Infinity],
]);

/**
 * How long ago something was.
 *
 * @param {number} seconds
 */
export function ago(seconds) {
  if (seconds < 2) return t('common.just_now');
  const [unit, size] = UNITS.find(([, , limit]) => seconds < limit) ?? UNITS[3];
  return relative.format(-Math.round(seconds / size), unit);
}

/**
 * A number of bytes, in a suitable unit.
 *
 * @param {number} count
 */
export function bytes(count) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const step = count > 0 ? Math.min(Math.floor(Math.log2(count) / 10), units.length - 1) : 0;
  return `${number(count / 1024 ** step, step > 0 ? 1 : 0)} ${units[step]}`;
}

/**
 * A number with at most `digits` decimals.
 *
 * @param {number} value
 */
export const number = (value, digits = 0) => value.toLocaleString(locale, { maximumFractionDigits: digits });

/**
 * A date with its time.
 *
 * @param {Date | string} date text of RFC 3339, or a Date
 */
export const dateTime = (date) => new Date(date).toLocaleString(locale, { dateStyle: 'medium', timeStyle: 'medium' });

/**
 * A time of day.
 *
 * @param {Date | string} date
 */
export const timeOfDay = (date) => new Date(date).toLocaleTimeString(locale);
