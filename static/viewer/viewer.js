// @ts-check
// The viewer: shows one of its three parts, the wall, one stream, or the recordings.

import * as api from '../lib/api.js';
import { byId, fill, h } from '../lib/dom.js';
import { listen } from '../lib/events.js';
import { errorText, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { askToSignIn, startShell } from '../lib/shell.js';
import { Recordings } from './recordings.js';
import { Stage } from './stage.js';
import { Wall } from './wall.js';

/** The list is also loaded at this interval: events do not report the pictures of uploads. */
const LIST_INTERVAL_MS = 30_000;

/** The same while the sidecar does not answer, or no longer hears of MediaMTX: both can be back at any moment. */
const AWAY_INTERVAL_MS = 2000;

/** Events arrive in bursts: the page is redrawn once for all of this time. */
const COLLECT_MS = 400;

/** @type {Api.Wall | null} */
let data = null;
/** @type {(() => void) | null} */
let unlisten = null;
let timer = 0;
let redraw = 0;
let hadMediaMtx = false;

const code = new URLSearchParams(location.hash.slice(1)).get('share');
// The code must not stay in the address bar, in the history, or in a bookmark.
if (code) history.replaceState(null, '', location.pathname);
let { problem: shareProblem } = await startShell({ page: 'viewer', sections: ['viewer'], share: code });

const wall = new Wall();
const stage = new Stage();
const recordings = new Recordings();
const tabLinks = [tab('', 'grid', t('viewer.live')), tab('recordings', 'film', t('viewer.recordings'))];
const tabs = h('nav', { class: 'tabs', hidden: true, 'aria-label': t('viewer.parts') }, tabLinks);

/** @type {(kind: string, shape: Icon, text: string) => HTMLElement} */
function tab(kind, shape, text) {
  return h('a', { href: kind ? `#/${kind}` : '#/', dataset: { kind } }, icon(shape, 18), text);
}

/** The address behind #: empty, 'watch/NAME', 'recordings', 'recordings/PATH'. */
function route() {
  const [kind, ...rest] = location.hash.replace(/^#\/?/, '').split('/');
  return { kind, name: rest.map(decodeURIComponent).join('/') };
}

/**
 * The item of this name. While MediaMTX does not answer, and until it has all of its paths after a restart, a path is in no
 * list: the one that is shown stays, and plays again.
 *
 * @param {string} name
 */
function itemOf(name) {
  const shown = stage.shown(name);
  return data?.items.find((item) => item.name === name) ?? (shown?.stream ? undefined : shown);
}

function show() {
  let { kind, name } = route();
  const only = api.isGuest() && data?.items.length === 1 ? data.items[0] : null;
  // A share link of one stream opens that stream.
  if (kind === '' && only) [kind, name] = ['watch', only.name];
  const isRecordings = kind === 'recordings';
  const item = kind === 'watch' ? itemOf(name) : undefined;
  wall.hidden = isRecordings || item !== undefined;
  tabs.hidden = item !== undefined || (isRecordings && name !== '') || !data?.mediamtx;
  for (const link of tabLinks) {
    if (link.dataset.kind === (isRecordings ? 'recordings' : '')) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  stage.back.hidden = only !== null;
  document.title = `${item || (isRecordings && name) ? name : t('common.viewer')} · mtx-sidecar`;
  if (item && data) stage.open(item, data);
  else stage.close();
  if (isRecordings && data) recordings.open(name || null, data);
  else recordings.close();
}

async function list() {
  listAfter(LIST_INTERVAL_MS);
  if (document.hidden) return;
  try {
    data = await api.call('api/v1/wall');
    hadMediaMtx ||= data.mediamtx;
    if (hadMediaMtx && !data.mediamtx) listAfter(AWAY_INTERVAL_MS);
    wall.update(data);
    if (!data.items.length) sayEmpty();
    unlisten ??= listen(['path.available', 'path.unavailable', 'stream.state'], changed, { onGap: listSoon });
  } catch (error) {
    if (api.needsSignIn(error)) return askFirst();
    // 403: the user may watch nothing at all.
    if (error instanceof api.ApiError && error.status === 403) sayEmpty();
    else {
      const again = h('button', { type: 'button', onclick: list }, icon('refresh'), t('viewer.try_again'));
      wall.say(t('viewer.away_title'), errorText(error), again);
      listAfter(AWAY_INTERVAL_MS);
    }
  }
  show();
}

function sayEmpty() {
  if (!api.may('api')) return wall.say(t('viewer.nothing_title'), t('viewer.nothing'));
  const start = h('a', { class: 'button primary', href: api.address('./') }, t('viewer.first_steps'));
  wall.say(t('viewer.nothing_title'), t('viewer.nothing_admin'), start);
}

/**
 * Takes an event over. The event of a stream contains its whole state, so that frequent changes need no request.
 *
 * @param {Api.Event} event
 */
function changed({ type, path, data: change }) {
  const { state, reason } = /** @type {{ state?: string, reason?: string }} */ (change);
  const stream = data?.items.find(({ name }) => name === path)?.stream;
  if (type !== 'stream.state' || !stream || !state || state === 'removed') return listSoon();
  Object.assign(stream, { state, reason });
  if (state === 'live' || state === 'lingering') stream.picture = true;
  if (redraw) return;
  redraw = setTimeout(() => {
    redraw = 0;
    if (!data) return;
    wall.update(data);
    show();
  }, COLLECT_MS);
}

/** @param {number} ms */
function listAfter(ms) {
  clearTimeout(timer);
  timer = setTimeout(list, ms);
}

const listSoon = () => listAfter(COLLECT_MS);

/** Ends the event stream; the next list starts it again for the present user. */
function stopListening() {
  unlisten?.();
  unlisten = null;
}

/** Shows that the list needs a sign-in. */
function askFirst() {
  data = null;
  wall.clear();
  clearTimeout(timer);
  stopListening();
  show();
  const signIn = h('button', { type: 'button', class: 'primary', onclick: () => askToSignIn() }, t('common.sign_in'));
  if (shareProblem) return wall.say(t('viewer.share_ended_title'), t('viewer.share_ended'), signIn);
  wall.say(t('viewer.sign_in_title'), t('viewer.sign_in_text'), signIn);
  askToSignIn();
}

const heading = h('h1', { class: 'visually-hidden' }, t('common.viewer'));
fill(byId('main'), heading, tabs, wall.element, stage.element, recordings.element);
if (api.isGuest()) document.body.classList.add('is-guest');

addEventListener('hashchange', show);
api.session.addEventListener('change', () => {
  shareProblem = null;
  stopListening();
  list();
});
document.addEventListener('visibilitychange', () => document.hidden || list());
await list();
performance.mark('wall');
