// What is around every page: brand, the ways to other pages, language, theme, account; and the dialog for signing in.

import * as api from './api.js';
import { openDialog } from './dialog.js';
import { h, remember } from './dom.js';
import { field, showProblem } from './form.js';
import { chooseLanguage, language, languages, load, t } from './i18n.js';
import { icon } from './icons.js';

const THEMES = ['auto', 'light', 'dark'];

/**
 * Loads the words, goes on with a sign-in of before, and draws the header into the page's <header>. `page` is 'start',
 * 'viewer' or 'console'; `sections` are those of the catalogue besides 'common'. `share` is a share link's code that is
 * opened instead of a sign-in. Gives { user, problem }: `problem` is the error of a link that cannot be opened.
 */
export async function startShell({ page, sections, share = null }) {
  const signedIn = share
    ? api.openShare(share).then(
        () => null,
        (error) => error,
      )
    : api.resume().then(() => null);
  const [problem] = await Promise.all([signedIn, load('common', ...sections)]);
  const header = document.querySelector('body > header');
  const draw = () => {
    const focused = document.activeElement?.id;
    header.replaceChildren(...parts(page));
    if (focused) document.getElementById(focused)?.focus();
  };
  draw();
  api.session.addEventListener('change', draw);
  return { user: api.user(), problem };
}

function parts(page) {
  const link = (to, name, text, shape) =>
    h('a', { href: api.address(to), 'aria-current': page === name ? 'page' : null }, icon(shape), h('span', {}, text));
  return [
    h('a', { class: 'skip', href: '#main' }, t('common.skip')),
    h(
      'a',
      { class: 'brand', href: api.address('./') },
      h('img', { src: new URL('../icon.svg', import.meta.url).href, alt: '', width: 28, height: 28 }),
      h('span', {}, 'mtx-sidecar'),
    ),
    h(
      'nav',
      { 'aria-label': t('common.pages') },
      link('viewer/', 'viewer', t('common.viewer'), 'grid'),
      api.may('api') && link('console/', 'console', t('common.console'), 'settings'),
    ),
    h('div', { class: 'tools' }, languageSwitch(), themeSwitch(), account()),
  ];
}

function languageSwitch() {
  return h(
    'label',
    { class: 'language', title: t('common.language') },
    icon('language'),
    h('span', { class: 'visually-hidden' }, t('common.language')),
    h(
      'select',
      { id: 'language', onchange: (event) => chooseLanguage(event.target.value) },
      Object.entries(languages).map(([code, name]) =>
        h('option', { value: code, selected: code === language, lang: code }, name),
      ),
    ),
  );
}

function themeSwitch() {
  const root = document.documentElement;
  const present = () => root.dataset.theme ?? 'auto';
  const button = h('button', { type: 'button', id: 'theme', class: 'icon-button' });
  const show = () => {
    const label = t('common.theme', { theme: t(`common.theme_${present()}`) });
    button.replaceChildren(icon({ auto: 'auto', light: 'sun', dark: 'moon' }[present()]));
    button.title = label;
    button.setAttribute('aria-label', label);
  };
  button.addEventListener('click', () => {
    const next = THEMES[(THEMES.indexOf(present()) + 1) % THEMES.length];
    if (next === 'auto') delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem('theme', next);
    } catch {
      remember('theme', null);
    }
    show();
  });
  show();
  return button;
}

function account() {
  const name = api.user();
  // A visitor's way is the link; signing in goes on from there, for who has an account, too.
  if (name === null || api.isGuest()) {
    return h(
      'button',
      { type: 'button', id: 'account', onclick: () => askToSignIn() },
      icon('user'),
      h('span', {}, t('common.sign_in')),
    );
  }
  const label = t('common.sign_out_user', { user: name });
  return h(
    'button',
    { type: 'button', id: 'account', title: label, 'aria-label': label, onclick: () => api.signOut() },
    icon('exit'),
    h('span', {}, t('common.sign_out')),
  );
}

let asking = null;

/** Opens the dialog in which people sign in; true if somebody has. One dialog, however often it is asked for. */
export function askToSignIn() {
  asking ??= ask().finally(() => {
    asking = null;
  });
  return asking;
}

async function ask() {
  const send = h('button', { class: 'primary' }, t('common.sign_in'));
  const form = h(
    'form',
    { class: 'stack' },
    field({
      label: t('common.user'),
      name: 'user',
      autocomplete: 'username',
      autocapitalize: 'none',
      spellcheck: false,
      required: true,
      autofocus: true,
    }),
    field({
      label: t('common.password'),
      name: 'password',
      type: 'password',
      autocomplete: 'current-password',
      required: true,
    }),
    h('p', { class: 'form-error bad', role: 'alert' }),
    h('p', { class: 'hint' }, t('common.sign_in_hint')),
    h('div', { class: 'actions' }, send),
  );
  const { dialog, closed } = openDialog({ title: t('common.sign_in'), body: form, className: 'sign-in' });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    showProblem(form, null);
    send.disabled = true;
    try {
      await api.signIn(form.elements.user.value, form.elements.password.value);
      dialog.close('done');
    } catch (error) {
      showProblem(form, error.status === 401 ? Object.assign(error, { code: 'wrong_password' }) : error);
      form.elements.password.select();
    } finally {
      send.disabled = false;
    }
  });
  return (await closed) === 'done';
}
