// The console: which section is shown, and the way to the others. A section is a module of its own, loaded when it is wanted;
// it exports `show(main, { args, signal })`, and `signal` is aborted when it is left.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { askToSignIn, startShell } from '../lib/shell.js';
import { failure } from './parts.js';
import { describes } from './schema.js';

/** Groups of sections: name and icon. The name is that of the module, of the address (#/name), and of its words. */
const GROUPS = [
  ['', [['overview', 'gauge']]],
  [
    'pictures',
    [
      ['streams', 'camera'],
      ['publish', 'screen'],
      ['media', 'grid'],
      ['discovery', 'search'],
    ],
  ],
  [
    'mediamtx',
    [
      ['paths', 'arrow'],
      ['sessions', 'play'],
      ['recordings', 'film'],
    ],
  ],
  [
    'access',
    [
      ['users', 'user'],
      ['tokens', 'key'],
      ['shares', 'link'],
      ['audit', 'check'],
    ],
  ],
  [
    'system',
    [
      ['events', 'info'],
      ['settings', 'settings'],
    ],
  ],
];
const NAMES = GROUPS.flatMap(([, sections]) => sections.map(([name]) => name));

const main = document.getElementById('main');
const nav = document.getElementById('sections');
let leaving = new AbortController();

await startShell({ page: 'console', sections: ['console'] });
nav.setAttribute('aria-label', t('console.sections'));
drawNav();
document.title = `${t('common.console')} · mtx-sidecar`;
addEventListener('hashchange', ({ oldURL }) => {
  if (location.hash === '' || location.hash.startsWith('#/')) return go(true);
  // The way past the header is no section.
  history.replaceState(null, '', oldURL);
  return main.focus();
});
api.session.addEventListener('change', () => go(false));
await go(false);

function drawNav() {
  fill(
    nav,
    GROUPS.map(([group, sections]) =>
      h(
        'div',
        { class: 'group' },
        group && h('p', { class: 'group-name', 'aria-hidden': 'true' }, t(`console.group_${group}`)),
        sections.map(([name, shape]) =>
          h(
            'a',
            { href: `#/${name}`, dataset: { section: name }, hidden: name === 'discovery' },
            icon(shape),
            h('span', {}, t(`console.${name}`)),
            h('span', { class: 'count', hidden: true }),
          ),
        ),
      ),
    ),
  );
}

function place() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  return { name: NAMES.includes(path) ? path : 'overview', args: new URLSearchParams(query) };
}

async function go(moveFocus) {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  nav.hidden = !api.may('api');
  if (!api.may('api')) return showDoor();
  const { name, args } = place();
  for (const link of nav.querySelectorAll('a')) {
    const here = link.dataset.section === name;
    if (here) {
      link.setAttribute('aria-current', 'page');
      link.scrollIntoView({ block: 'nearest', inline: 'center' });
    } else link.removeAttribute('aria-current');
  }
  document.title = `${t(`console.${name}`)} · mtx-sidecar`;
  try {
    const section = await import(`./${name}.js`);
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
        failure(error, () => go(false)),
      );
  }
  showDiscovery();
}

/** Discovery of cameras is there where the server has it. */
async function showDiscovery() {
  const link = nav.querySelector('[data-section=discovery]');
  if (link.hidden) link.hidden = !(await describes('/api/v1/discover').catch(() => false));
}

/** What is shown to whoever is no administrator. */
function showDoor() {
  const user = api.user();
  fill(
    main,
    h(
      'div',
      { class: 'empty' },
      icon('key'),
      h('h1', {}, t('common.console')),
      h('p', {}, user === null ? t('console.sign_in_first') : t('console.not_for_you', { user })),
      h(
        'div',
        { class: 'row' },
        user === null &&
          h(
            'button',
            { type: 'button', class: 'primary', onclick: () => askToSignIn() },
            icon('user'),
            t('common.sign_in'),
          ),
        h('a', { class: 'button', href: api.address('viewer/') }, icon('grid'), t('common.viewer')),
      ),
    ),
  );
}
