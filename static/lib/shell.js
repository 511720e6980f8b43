// @ts-check
// The header of every page (links to the other pages, language, theme, account) and the sign-in dialog.

import * as api from './api.js';
import { openDialog } from './dialog.js';
import { h, storeText } from './dom.js';
import { controlOf, exactValueOf, field, onSubmit, passwordField, valueOf } from './form.js';
import { chooseLanguage, language, languages, load, t } from './i18n.js';
import { icon } from './icons.js';

/** Themes and their icons, in the order of the button. */
const THEMES = /** @type {const} */ ([
  ['auto', 'auto'],
  ['light', 'sun'],
  ['dark', 'moon'],
]);

/**
 * Loads the texts, resumes a sign-in, and draws the page's <header>. `page` is 'start', 'viewer' or 'console';
 * `sections` are sections of the catalogue besides 'common'. With `share`, the code of a share link, the page opens
 * that link instead of resuming a sign-in. `problem` is the error of a link that cannot be opened.
 *
 * @param {{ page: string, sections: string[], share?: string | null }} options
 * @returns {Promise<{ problem: unknown }>}
 */
export async function startShell({ page, sections, share = null }) {
  const [problem] = await Promise.all([share ? openShare(share) : resume(), load('common', ...sections)]);
  const header = /** @type {HTMLElement} */ (document.querySelector('body > header'));
  const draw = () => {
    const focused = document.activeElement?.id;
    header.replaceChildren(...parts(page));
    if (focused) document.getElementById(focused)?.focus();
  };
  draw();
  api.session.addEventListener('change', draw);
  askForNewPassword();
  return { problem };
}

/**
 * Asks a user who has to choose a password for one; `present` is the one of the sign-in, if the page knows it.
 *
 * @param {string} [present]
 */
async function askForNewPassword(present = '') {
  if (!api.mustChangePassword()) return;
  const { changePassword } = await import('./account.js');
  await changePassword({ isNeeded: true, present });
}

async function resume() {
  await api.resume();
  return null;
}

/** @param {string} code */
async function openShare(code) {
  try {
    await api.openShare(code);
    return null;
  } catch (error) {
    return error;
  }
}

/** @param {string} page */
function parts(page) {
  const logo = { src: new URL('../icon.svg', import.meta.url).href, alt: '', width: 28, height: 28 };
  /** @type {(path: string, name: string, text: string, shape: Icon) => HTMLElement} */
  const link = (path, name, text, shape) => {
    const properties = { href: api.address(path), 'aria-current': page === name ? 'page' : null };
    return h('a', properties, icon(shape), h('span', {}, text));
  };
  const links = [link('viewer/', 'viewer', t('common.viewer'), 'grid')];
  if (api.may('api')) links.push(link('console/', 'console', t('common.console'), 'settings'));
  return [
    h('a', { class: 'skip', href: '#main' }, t('common.skip')),
    h('a', { class: 'brand', href: api.address('./') }, h('img', logo), h('span', {}, 'mtx-sidecar')),
    h('nav', { 'aria-label': t('common.pages') }, links),
    h('div', { class: 'tools' }, languageSwitch(), themeSwitch(), account()),
  ];
}

function languageSwitch() {
  const options = Object.entries(languages).map(([code, name]) =>
    h('option', { value: code, selected: code === language, lang: code }, name),
  );
  const select = h('select', { id: 'language', onchange: () => chooseLanguage(select.value) }, options);
  const label = h('span', { class: 'visually-hidden' }, t('common.language'));
  return h('label', { class: 'language', title: t('common.language') }, icon('language'), label, select);
}

function themeSwitch() {
  const root = document.documentElement;
  const present = () => THEMES.findIndex(([theme]) => theme === (root.dataset.theme ?? 'auto'));
  const button = h('button', { type: 'button', id: 'theme', class: 'icon-button' });
  const show = () => {
    const [theme, shape] = THEMES[present()];
    const label = t('common.theme', { theme: t(`common.theme_${theme}`) });
    button.replaceChildren(icon(shape));
    button.title = label;
    button.setAttribute('aria-label', label);
  };
  button.addEventListener('click', () => {
    const [next] = THEMES[(present() + 1) % THEMES.length];
    if (next === 'auto') delete root.dataset.theme;
    else root.dataset.theme = next;
    storeText('theme', next);
    show();
  });
  show();
  return button;
}

function account() {
  const name = api.user();
  // A visitor with a link can have an account, too.
  if (name === null || api.isGuest()) {
    const signIn = h('span', {}, t('common.sign_in'));
    return h('button', { type: 'button', id: 'account', onclick: () => askToSignIn() }, icon('user'), signIn);
  }
  const label = t('common.account_of', { user: name });
  const onclick = async () => {
    const { showAccount } = await import('./account.js');
    await showAccount();
  };
  return h(
    'button',
    { type: 'button', id: 'account', title: label, 'aria-label': label, 'aria-haspopup': 'dialog', onclick },
    icon('user'),
    h('span', { class: 'truncate' }, name),
  );
}

/** @type {Promise<boolean> | null} */
let asking = null;

/** Opens the sign-in dialog; gives whether the user signed in. All callers share one dialog. */
export function askToSignIn() {
  asking ??= ask().finally(() => {
    asking = null;
  });
  return asking;
}

async function ask() {
  const user = field({
    label: t('common.user'),
    name: 'user',
    autocomplete: 'username',
    autocapitalize: 'none',
    spellcheck: false,
    required: true,
    autofocus: true,
  });
  const password = passwordField({
    label: t('common.password'),
    name: 'password',
    autocomplete: 'current-password',
    required: true,
  });
  const submit = h('button', { class: 'primary' }, t('common.sign_in'));
  const form = h(
    'form',
    { class: 'stack' },
    user,
    password,
    h('p', { class: 'form-error bad', role: 'alert' }),
    h('div', { class: 'actions' }, submit),
  );
  const { dialog, closed } = openDialog({ title: t('common.sign_in'), body: form, className: 'sign-in' });
  let present = '';
  const send = async () => {
    present = exactValueOf(form, 'password');
    await api.signIn(valueOf(form, 'user'), present);
    dialog.close('done');
  };
  onSubmit(form, submit, send, (error) => {
    controlOf(form, 'password')?.select();
    return api.needsSignIn(error) ? new Error(t('common.error_wrong_password')) : error;
  });
  if ((await closed) !== 'done') return false;
  await askForNewPassword(present);
  return api.user() !== null;
}
