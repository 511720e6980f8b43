// The viewer: who it is for, and which of its three parts is shown: the wall, one stream, recordings.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { t, words } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { askToSignIn, startShell } from '../lib/shell.js';
import { Recordings } from './recordings.js';
import { Stage } from './stage.js';
import { Wall } from './wall.js';

/** Besides what events tell: pictures of uploads and numbers of readers have none. */
const LIST_EVERY_MS = 30_000;

/** Events come in bursts. */
const COLLECT_MS = 400;

const main = document.getElementById('main');
let info = null;
let parts = null;
let unlisten = null;
let timer;
let repainting = null;
let shareProblem = null;

const isShown = (item) => item && parts;

/** The address behind #: '', 'watch/NAME', 'recordings', 'recordings/PATH'. */
function route() {
  const [kind, ...rest] = location.hash.replace(/^#\/?/, '').split('/');
  const name = rest.map(decodeURIComponent).join('/');
  return { kind, name };
}

function show() {
  const { wall, stage, recordings, tabs } = parts;
  let { kind, name } = route();
  // A share of one stream opens straight into it.
  if (kind === '' && api.isGuest() && info?.items.length === 1) [kind, name] = ['watch', info.items[0].name];
  const item = info?.items.find((known) => known.name === name);
  const watches = kind === 'watch' && isShown(item);
  wall.hidden = watches || kind === 'recordings';
  tabs.hidden = watches || (kind === 'recordings' && name !== '') || !info?.mediamtx;
  for (const link of tabs.children) {
    if (link.dataset.kind === (kind === 'recordings' ? 'recordings' : '')) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  stage.back.hidden = api.isGuest() && info?.items.length === 1;
  document.title = `${watches || (kind === 'recordings' && name) ? name : t('common.viewer')} · mtx-sidecar`;
  if (watches) stage.open(item, info);
  else stage.close();
  if (kind === 'recordings' && info) recordings.open(name || null, info);
  else recordings.close();
}

async function list() {
  clearTimeout(timer);
  timer = setTimeout(list, LIST_EVERY_MS);
  if (document.hidden) return;
  const { wall } = parts;
  try {
    info = await api.call('api/v1/wall');
    wall.update(info);
    if (!info.items.length)
      wall.say(
        t('viewer.nothing_title'),
        api.may('api') ? t('viewer.nothing_admin') : t('viewer.nothing'),
        api.may('api') && h('a', { class: 'button primary', href: api.address('./') }, t('viewer.first_steps')),
      );
    unlisten ??= api.listen(['path.available', 'path.unavailable', 'stream.state'], heard);
  } catch (error) {
    if (error.status === 401) {
      info = null;
      wall.clear();
      return askFirst(error);
    }
    wall.say(
      t('viewer.away_title'),
      words(error),
      h('button', { type: 'button', onclick: list }, icon('refresh'), t('viewer.try_again')),
    );
  }
  show();
}

/** A stream's state is all in the event: looking at thumbnails changes it often, and costs no question. */
function heard({ type, path, data }) {
  const item = type === 'stream.state' && info?.items.find(({ name, stream }) => stream && name === path);
  if (!item || data.state === 'removed') return soon();
  Object.assign(item.stream, { state: data.state, reason: data.reason });
  if (['live', 'lingering'].includes(data.state)) item.stream.picture = true;
  repainting ??= setTimeout(() => {
    repainting = null;
    if (!info) return;
    parts.wall.update(info);
    show();
  }, COLLECT_MS);
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(list, COLLECT_MS);
}

function askFirst(error) {
  clearTimeout(timer);
  unlisten?.();
  unlisten = null;
  const { wall } = parts;
  show();
  if (shareProblem) {
    return wall.say(
      t('viewer.share_ended_title'),
      t('viewer.share_ended'),
      h('button', { type: 'button', class: 'primary', onclick: () => askToSignIn() }, t('common.sign_in')),
    );
  }
  wall.say(
    t('viewer.sign_in_title'),
    t('viewer.sign_in_text'),
    h('button', { type: 'button', class: 'primary', onclick: () => askToSignIn() }, t('common.sign_in')),
  );
  if (error.status === 401) askToSignIn();
}

const code = new URLSearchParams(location.hash.slice(1)).get('share');
// Not left in the address bar, the history, or a bookmark of somebody who looks over a shoulder.
if (code) history.replaceState(null, '', location.pathname);
// Asked for together with the words and the sign-in: what is known early is painted early.
shareProblem = (await startShell({ page: 'viewer', sections: ['viewer'], share: code })).problem;

const tab = (kind, shape, text) =>
  h('a', { href: kind ? `#/${kind}` : '#/', dataset: { kind } }, icon(shape, 18), text);
parts = {
  wall: new Wall(),
  stage: new Stage(),
  recordings: new Recordings(),
  tabs: h(
    'nav',
    { class: 'tabs', hidden: true, 'aria-label': t('viewer.parts') },
    tab('', 'grid', t('viewer.live')),
    tab('recordings', 'film', t('viewer.recordings')),
  ),
};
fill(
  main,
  h('h1', { class: 'visually-hidden' }, t('common.viewer')),
  parts.tabs,
  parts.wall.element,
  parts.stage.element,
  parts.recordings.element,
);
if (api.isGuest()) document.body.classList.add('is-guest');

addEventListener('hashchange', show);
api.session.addEventListener('change', () => {
  shareProblem = null;
  // Listened to as somebody else now.
  unlisten?.();
  unlisten = null;
  list();
});
document.addEventListener('visibilitychange', () => document.hidden || list());
await list();
performance.mark('wall');
