// The words of pages, in the language of who reads them.
//
// A catalogue is locales/LANGUAGE/SECTION.json: flat, `{"key": "Text with {name}"}`. `t(KEY, { name })`, KEY being section.key, gives the
// text; in HTML, data-i18n="section.key" is the text of an element, data-i18n-label its aria-label, data-i18n-title,
// data-i18n-placeholder and data-i18n-alt these attributes. A test looks that no key is missing anywhere.

import { remember } from './dom.js';

/** Languages by code, each in its own words. */
export const languages = { en: 'English', ja: '日本語', zh: '中文' };

/** The language of this page; theme.js has chosen it before the first paint. */
export const language = document.documentElement.lang in languages ? document.documentElement.lang : 'en';

const texts = new Map();

/** Loads sections of the catalogue and puts their words into the page. */
export async function load(...sections) {
  await Promise.all(
    sections.map(async (section) => {
      const response = await fetch(new URL(`../locales/${language}/${section}.json`, import.meta.url));
      for (const [key, text] of Object.entries(await response.json())) texts.set(`${section}.${key}`, text);
    }),
  );
  translate(document);
}

/** The text of a key, with its {placeholders} replaced. A key without a text shows itself. */
export function t(key, values = {}) {
  const text = texts.get(key) ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** The words of an error: ours for its code, where we have some, else the server's own. */
export const words = (error) => texts.get(`common.error_${error.code}`) ?? error.message;

const ATTRIBUTES = { label: 'aria-label', title: 'title', placeholder: 'placeholder', alt: 'alt' };

/** Puts the words into elements of HTML that ask for them. */
export function translate(within) {
  for (const element of within.querySelectorAll('[data-i18n]')) element.textContent = t(element.dataset.i18n);
  for (const [name, attribute] of Object.entries(ATTRIBUTES)) {
    for (const element of within.querySelectorAll(`[data-i18n-${name}]`)) {
      element.setAttribute(attribute, t(element.getAttribute(`data-i18n-${name}`)));
    }
  }
}

/** Chooses a language for this browser; the page is loaded again. */
export function chooseLanguage(code) {
  try {
    localStorage.setItem('language', code);
  } catch {
    remember('language', null);
  }
  location.reload();
}

const relative = new Intl.RelativeTimeFormat(language, { numeric: 'auto', style: 'short' });

/** How long ago something was, given in seconds. */
export function ago(seconds) {
  if (seconds < 2) return t('common.just_now');
  for (const [unit, size, until] of [
    ['second', 1, 90],
    ['minute', 60, 5400],
    ['hour', 3600, 129_600],
  ]) {
    if (seconds < until) return relative.format(-Math.round(seconds / size), unit);
  }
  return relative.format(-Math.round(seconds / 86_400), 'day');
}

/** A number of bytes, in a unit that suits it. */
export function bytes(count) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const step = count > 0 ? Math.min(Math.floor(Math.log2(count) / 10), units.length - 1) : 0;
  return `${number(count / 1024 ** step, step > 0 ? 1 : 0)} ${units[step]}`;
}

/** A number with so many digits behind the point, at most. */
export const number = (value, digits = 0) => value.toLocaleString(language, { maximumFractionDigits: digits });

/** A point in time: a Date, or text of RFC 3339. */
export const dateTime = (when) => new Date(when).toLocaleString(language, { dateStyle: 'medium', timeStyle: 'medium' });
