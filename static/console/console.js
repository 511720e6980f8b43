// @ts-check
// The console: shows one section and the links to the others. A section is a module with the name of its address
// (#/NAME), which is loaded when the user opens it and exports `show`.

import * as api from '../lib/api.js';
import { byId, fill, h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { askToSignIn, startShell } from '../lib/shell.js';
import { failure } from './parts.js';
import { describes } from './schema.js';
import { watchServer } from './server_watch.js';

/**
 * Groups of sections. The name of a section is that of its module, of its address, and of its texts.
 *
 * @type {{ name: string, sections: [string, Icon][] }[]}
 */
const GROUPS = [
  { name: '', sections: [['overview', 'gauge']] },
  {
    name: 'pictures',
    sections: [
      ['streams', 'camera'],
      ['publish', 'screen'],
      ['media', 'grid'],
      ['discovery', 'search'],
      ['mqtt', 'link'],
    ],
  },
  {
    name: 'mediamtx',
    sections: [
      ['paths', 'arrow'],
      ['sessions', 'play'],
      ['recordings', 'film'],
    ],
  },
  {
    name: 'access',
    sections: [
      ['users', 'user'],
      ['tokens', 'key'],
      ['shares', 'link'],
      ['audit', 'check'],
    ],
  },
  {
    name: 'system',
    sections: [
      ['cluster', 'grid'],
      ['events', 'info'],
      ['log', 'menu'],
      ['settings', 'settings'],
    ],
  },
];
const NAMES = GROUPS.flatMap(({ sections }) => sections.map(([name]) => name));

/** Pages of a checkout (http.static_dir) have this section, too, in no list. The program does not contain it. */
const GALLERY = 'parts';
const isCheckout = import.meta.url.includes('/static/dev/');

const main = byId('main');
const nav = byId('sections');
let leaving = new AbortController();
/** How often the module of a section could not be loaded. @type {Map<string, number>} */
const attempts = new Map();

await startShell({ page: 'console', sections: ['console'] });
nav.setAttribute('aria-label', t('console.sections'));
fill(nav, GROUPS.map(navGroup));
document.title = `${t('common.console')} · mtx-sidecar`;
addEventListener('hashchange', ({ oldURL }) => {
  if (location.hash === '' || location.hash.startsWith('#/')) return open(true);
  // The link that skips the header (#main) is not the address of a section.
  history.replaceState(null, '', oldURL);
  main.focus();
});
api.session.addEventListener('change', () => open(false));
watchServer({ again: () => main.querySelector('.section-failed') && open(false) });
await open(false);

/** @param {typeof GROUPS[number]} group */
function navGroup({ name, sections }) {
  const title = name && h('p', { class: 'group-name', 'aria-hidden': 'true' }, t(`console.group_${name}`));
  return h('div', { class: 'group' }, title, sections.map(navLink));
}

/** @param {[string, Icon]} section */
function navLink([name, shape]) {
  return h(
    'a',
    { href: `#/${name}`, dataset: { section: name }, hidden: name === 'discovery' },
    icon(shape),
    h('span', {}, t(`console.${name}`)),
    h('span', { class: 'count', hidden: true }),
  );
}

function route() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const isKnown = NAMES.includes(path) || (isCheckout && path === GALLERY);
  return { name: isKnown ? path : 'overview', args: new URLSearchParams(query) };
}

/**
 * Opens the section of the address.
 *
 * @param {boolean} moveFocus
 */
async function open(moveFocus) {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  nav.hidden = !api.may('api');
  if (!api.may('api')) return showAccessDenied();
  const { name, args } = route();
  markLink(name);
  document.title = `${name === GALLERY ? name : t(`console.${name}`)} · mtx-sidecar`;
  try {
    const section = await load(name);
    if (signal.aborted) return;
    const page = h('div', { class: `section section-${name}` });
    main.replaceChildren(page);
    scrollTo(0, 0);
    if (moveFocus) main.focus({ preventScroll: true });
    await section.show(page, { args, signal });
  } catch (error) {
    if (!signal.aborted)
      fill(
        main,
        h(
          'div',
          { class: 'section section-failed' },
          failure(error, () => open(false)),
        ),
      );
  }
  showDiscovery();
}

/**
 * The module of a section. A module that could not be loaded is not asked for again under its address (HTML, 8.1.3.8), so further
 * attempts have another one.
 *
 * @param {string} name
 * @returns {Promise<{ show: Section }>}
 */
async function load(name) {
  if (name === GALLERY) return import('../development/gallery.js');
  try {
    return await import(attempts.has(name) ? `./${name}.js?again=${attempts.get(name)}` : `./${name}.js`);
  } catch (error) {
    attempts.set(name, (attempts.get(name) ?? 0) + 1);
    console.warn(error);
    throw new api.ApiError(t('common.error_unreachable'), 0, 'unreachable');
  }
}

/** @param {string} name */
function markLink(name) {
  for (const link of nav.querySelectorAll('a')) {
    if (link.dataset.section === name) {
      link.setAttribute('aria-current', 'page');
      link.scrollIntoView({ block: 'nearest', inline: 'center' });
    } else link.removeAttribute('aria-current');
  }
}

/** Shows the link to the discovery of cameras if the server can search. */
async function showDiscovery() {
  const link = nav.querySelector('a[data-section=discovery]');
  if (!(link instanceof HTMLElement) || !link.hidden) return;
  link.hidden = !(await describes('/api/v1/discover').catch(() => false));
}

/** The page for users who are not administrators. */
function showAccessDenied() {
  const user = api.user();
  const text = user === null ? t('console.sign_in_first') : t('console.not_for_you', { user });
  const signIn = h(
    'button',
    { type: 'button', class: 'primary', onclick: () => askToSignIn() },
    icon('user'),
    t('common.sign_in'),
  );
  const viewer = h('a', { class: 'button', href: api.address('viewer/') }, icon('grid'), t('common.viewer'));
  const actions = h('div', { class: 'row' }, user === null && signIn, viewer);
  fill(main, h('div', { class: 'empty' }, icon('key'), h('h1', {}, t('common.console')), h('p', {}, text), actions));
}
