// @ts-check
// The viewer: shows one of its three parts, the wall, one stream, or the recordings.

import * as api from '../lib/api.js';
import { byId, fill, h } from '../lib/dom.js';
import { listen } from '../lib/events.js';
import { errorText, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { askToSignIn, startShell } from '../lib/shell.js';
import { Banner } from './banner.js';
import { routeOf } from './route.js';
import { Stage } from './stage.js';
import { Wall } from './wall.js';

/** The list is also loaded at this interval: events do not report the pictures of uploads. */
const LIST_INTERVAL_MS = 30_000;

/** The same while the sidecar does not answer, or no longer hears of MediaMTX: both can be back at any moment. */
const AWAY_INTERVAL_MS = 2000;

/** What changes the list. */
const KINDS = /** @type {const} */ ([
  'path.available',
  'path.unavailable',
  'stream.state',
  'server.state',
  'recording.segment',
]);

/** Events arrive in bursts: the page is redrawn once for all of this time. */
const COLLECT_MS = 400;

/** @type {Api.Wall | null} */
let data = null;
/**
 * The latest event of each stream since the list was asked for: an event can overtake an answer that was written before it.
 *
 * @type {Map<string, Api.Event>}
 */
const heard = new Map();
/** @type {(() => void) | null} */
let unlisten = null;
let timer = 0;
let redraw = 0;
let hadMediaMtx = false;
/** The stream that was open, whose tile gets the focus when the wall is shown again. */
let last = '';

const shared = new URLSearchParams(location.hash.slice(1));
const code = shared.get('share');
// The code must not stay in the address bar, in the history, or in a bookmark.
const target = shared.get('to');
if (code) history.replaceState(null, '', location.pathname + location.search + (target ? `#/${target}` : ''));
let { problem: shareProblem } = await startShell({ page: 'viewer', sections: ['viewer'], share: code });

const banner = new Banner(() => drawAll());
const wall = new Wall();
const stage = new Stage();
/** The page of recordings, which is loaded when it is opened. */
const recordedPart = h('div', { class: 'recorded-part' });
/** @type {import('./recordings.js').Recordings | null} */
let recordings = null;
/** @type {import('./phone.js').Phone | null} */
let phone = null;
const notice = h('p', { class: 'notice warn', role: 'status', hidden: true });
const tabLinks = [tab('', 'grid', t('viewer.live')), tab('recordings', 'film', t('viewer.recordings'))];
const tabs = h('nav', { class: 'tabs', hidden: true, 'aria-label': t('viewer.parts') }, tabLinks);
const heading = h('h1', { class: 'visually-hidden' }, t('common.viewer'));

/** @type {(kind: string, shape: Icon, text: string) => HTMLElement} */
function tab(kind, shape, text) {
  return h('a', { href: kind ? `#/${kind}` : '#/', dataset: { kind } }, icon(shape, 18), text);
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
  let { kind, name, query, isReadable } = routeOf(location.hash);
  const only = api.isGuest() && !wall.isKiosk && data?.items.length === 1 ? data.items[0] : null;
  // A share link of one stream opens that stream.
  if (kind === '' && only) [kind, name] = ['watch', only.name];
  const isRecordings = kind === 'recordings';
  const isPhone = kind === 'publish' && name !== '';
  const item = kind === 'watch' ? itemOf(name) : undefined;
  const wasOnStage = !stage.element.hidden;
  wall.hidden = isRecordings || isPhone || item !== undefined;
  document.body.classList.toggle('has-stage', item !== undefined);
  tabs.hidden = item !== undefined || isPhone || (isRecordings && name !== '') || !hasRecordings();
  for (const link of tabLinks) {
    if (link.dataset.kind === (isRecordings ? 'recordings' : '')) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  stage.back.hidden = only !== null;
  document.title = `${item || isPhone || (isRecordings && name) ? name : t('common.viewer')} · mtx-sidecar`;
  if (data) sayRoute(kind, name, isReadable, item !== undefined);
  if (item && data) {
    last = name;
    stage.open(item, data, { isAway: banner.isAway, neighbours: wall.neighboursOf(name) });
  } else stage.close();
  if (isRecordings && data) openRecordings(name || null, data, query);
  else recordings?.close();
  if (isPhone && data) openPhone(name);
  else phone?.close();
  if (wasOnStage && stage.element.hidden && !isRecordings) wall.focus(last);
}

/**
 * @param {string | null} name
 * @param {Api.Wall} wallData
 * @param {URLSearchParams} query
 */
async function openRecordings(name, wallData, query) {
  if (!recordings) {
    const { Recordings } = await import('./recordings.js');
    recordings ??= new Recordings();
    recordedPart.append(recordings.element);
  }
  // The user can have gone on meanwhile.
  if (routeOf(location.hash).kind === 'recordings') recordings.open(name, wallData, query);
}

/**
 * This device as a camera.
 *
 * @param {string} path
 */
async function openPhone(path) {
  if (!phone) {
    const { Phone } = await import('./phone.js');
    phone ??= new Phone();
    if (!phone.element.isConnected) byId('main').append(phone.element);
  }
  const route = routeOf(location.hash);
  if (route.kind === 'publish' && route.name === path) phone.open(path);
}

/** Whether there can be something on the page of recordings. A visitor's link is for what it opens. */
function hasRecordings() {
  if (!data?.mediamtx) return false;
  return !api.isGuest() || api.may('playback') || data.items.some(({ path }) => path?.recordings);
}

/**
 * Says that an address leads nowhere.
 *
 * @param {string} kind
 * @param {string} name
 * @param {boolean} isReadable
 * @param {boolean} isFound
 */
function sayRoute(kind, name, isReadable, isFound) {
  let text = '';
  if (!isReadable || !['', 'watch', 'recordings', 'publish'].includes(kind)) text = t('viewer.no_such_page');
  else if (kind === 'watch' && !isFound) text = t('viewer.no_such_stream', { name });
  notice.hidden = !text;
  if (notice.textContent !== text) fill(notice, text && [icon('info'), h('span', {}, text)]);
}

async function list() {
  listAfter(LIST_INTERVAL_MS);
  if (document.hidden) return;
  heard.clear();
  try {
    const found = await api.call('api/v1/wall');
    keepPaths(found);
    data = found;
    for (const event of heard.values()) takeOver(event);
    hadMediaMtx ||= data.mediamtx;
    if (hadMediaMtx && !data.mediamtx) listAfter(AWAY_INTERVAL_MS);
    banner.sidecar(true);
    banner.mediaMtx(data.mediamtx);
    wall.update(data, banner.isAway);
    if (!data.items.length) sayEmpty();
    unlisten ??= listen(KINDS, changed, {
      seen: data.event,
      onGap: listSoon,
      onConnection: connected,
    });
  } catch (error) {
    if (api.needsSignIn(error)) return askFirst();
    // 403: the user may watch nothing at all, or only recordings.
    if (error instanceof api.ApiError && error.status === 403) sayNone();
    else sayAway(error);
  }
  show();
}

/**
 * A MediaMTX that is away lists no paths: those that are shown stay, and say so.
 *
 * @param {Api.Wall} found
 */
function keepPaths({ items, mediamtx }) {
  if (mediamtx || !data) return;
  for (const { stream, path, ...item } of data.items) {
    if (stream || !path || items.some(({ name }) => name === item.name)) continue;
    items.push({ ...item, path: { ...path, available: false, on_demand: false } });
  }
}

/** @param {unknown} error */
function sayAway(error) {
  listAfter(AWAY_INTERVAL_MS);
  banner.sidecar(false);
  if (data) return;
  const again = h('button', { type: 'button', onclick: list }, icon('refresh'), t('viewer.try_again'));
  wall.say(t('viewer.away_title'), errorText(error), again);
}

/**
 * The stream of events tells first that the sidecar is gone, and that it is back.
 *
 * @param {boolean} isConnected
 * @param {boolean} isRefused
 */
function connected(isConnected, isRefused) {
  if (document.hidden || isRefused) return;
  if (isConnected && !banner.isAway) return banner.sidecar(true);
  if (isConnected) return listSoon();
  lost();
}

/** The list tells whether the sidecar answers: a browser without a network still reaches its own machine. */
function lost() {
  banner.sidecar(false);
  listAfter(AWAY_INTERVAL_MS);
}

function drawAll() {
  if (!data) return;
  wall.update(data, banner.isAway);
  show();
}

/** Nothing can be watched live. A link to recordings opens those, and one for a camera takes its picture. */
function sayNone() {
  sayEmpty();
  const { kind } = routeOf(location.hash);
  const isPhone = kind === 'publish' && api.may('publish');
  if (!isPhone && !(api.isGuest() && api.may('playback'))) return;
  data = { items: [], mediamtx: true, ice_servers: [], event: 0, hls: '', path_prefix: '', playback: '', webrtc: '' };
  if (!isPhone && kind !== 'recordings') location.hash = '#/recordings';
}

function sayEmpty() {
  if (!api.may('api')) {
    const isHere = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname) && api.user() === null;
    return wall.say(
      t('viewer.nothing_title'),
      isHere ? t('viewer.nothing_here') : t('viewer.nothing'),
      firstSteps(isHere),
    );
  }
  return wall.say(t('viewer.nothing_title'), t('viewer.nothing_admin'), firstSteps(true));
}

/** @param {boolean} isFor */
const firstSteps = (isFor) =>
  isFor && h('a', { class: 'button primary', href: api.address('./') }, t('viewer.first_steps'));

/** @param {Api.Event} event */
function changed(event) {
  if (event.type === 'stream.state') heard.set(event.path, event);
  if (!takeOver(event)) return listSoon();
  if (redraw) return;
  redraw = setTimeout(() => {
    redraw = 0;
    drawAll();
  }, COLLECT_MS);
}

/**
 * Takes an event over. The event of a stream contains its whole state, so that frequent changes need no request. Returns whether the
 * list is right with it.
 *
 * @param {Api.Event} event
 */
function takeOver({ type, path, data: change }) {
  const { state, reason, failure, stalled } = /** @type {Partial<NonNullable<Api.WallItem['stream']>>} */ (change);
  const stream = data?.items.find(({ name }) => name === path)?.stream;
  if (type !== 'stream.state' || !stream || !state || /** @type {string} */ (state) === 'removed') return false;
  Object.assign(stream, { state, reason, failure, stalled });
  if (state === 'live' || state === 'lingering') stream.picture = true;
  return true;
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

/** A visitor sees what the link is called. */
function showVisitor() {
  const isGuest = api.isGuest();
  document.body.classList.toggle('is-guest', isGuest);
  heading.className = isGuest && !wall.isKiosk ? 'guest-label' : 'visually-hidden';
  heading.textContent = (isGuest && api.user()) || t('common.viewer');
}

fill(byId('main'), banner.element, notice, heading, tabs, wall.element, stage.element, recordedPart);
showVisitor();

addEventListener('hashchange', show);
addEventListener('offline', lost);
addEventListener('online', listSoon);
api.session.addEventListener('change', () => {
  shareProblem = null;
  showVisitor();
  stopListening();
  list();
});
document.addEventListener('visibilitychange', () => document.hidden || list());
if ('serviceWorker' in navigator && window.isSecureContext) {
  // It shows a word of ours in place of the browser's error while the server is away.
  navigator.serviceWorker.register(api.address('viewer/worker.js')).catch(() => {});
}
await list();
performance.mark('wall');
