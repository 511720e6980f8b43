// What somebody may watch, live: all of it after signing in, or what a share link is for. One stream fills the page.

import * as session from '../session.js';

const LIST_EVERY_MS = 5000;

const $ = (id) => document.getElementById(id);
const encoded = (name) => name.split('/').map(encodeURIComponent).join('/');
const tiles = new Map(); // by stream name
let pathsAwayUntil = 0;
const askToSignIn = session.signInDialog();

// What is off screen costs nothing: without a source its connection is closed.
const visible = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const image = target.querySelector('img');
    if (isIntersecting && !image.src) image.src = session.media(`stream/${encoded(target.dataset.name)}.mjpeg`);
    if (!isIntersecting) image.removeAttribute('src');
  }
});

function tile(name) {
  const figure = $('tile').content.firstElementChild.cloneNode(true);
  figure.dataset.name = name;
  const image = figure.querySelector('img');
  image.alt = `${name}, live`;
  image.addEventListener('error', () => {
    // Ended, or the token has: tried again with the token of then.
    image.removeAttribute('src');
    setTimeout(() => {
      visible.unobserve(figure);
      if (figure.isConnected) visible.observe(figure);
    }, 3000);
  });
  figure.querySelector('figcaption').textContent = name;
  visible.observe(figure);
  return figure;
}

function show(streams) {
  const names = streams.map((stream) => stream.name);
  for (const [name, figure] of tiles) {
    if (!names.includes(name)) {
      visible.unobserve(figure);
      figure.querySelector('img').removeAttribute('src');
      figure.remove();
      tiles.delete(name);
    }
  }
  names.forEach((name, i) => {
    if (tiles.has(name)) return;
    tiles.set(name, tile(name));
    // In the list's order; those that are there stay where they are, or their pictures would begin anew.
    const next = names.slice(i + 1).find((other) => tiles.has(other));
    $('wall').insertBefore(tiles.get(name), next ? tiles.get(next) : null);
  });
  $('wall').classList.toggle('single', names.length === 1);
}

/** Paths of MediaMTX that are no streams of ours are watched with its own player. */
function showPaths(paths, streams) {
  const ours = new Set(streams.flatMap(({ name }) => [name, `pictures/${name}`]));
  const others = paths.filter((path) => path.available && !ours.has(path.name));
  $('paths').replaceChildren(...others.map(({ name }) => {
    const [item, link] = ['li', 'a'].map((tag) => document.createElement(tag));
    const player = new URL(`http://${location.hostname}:8889/${encoded(name)}`);
    player.search = new URL(session.media('')).search;
    link.href = player.href;
    link.rel = 'noreferrer';
    link.textContent = name;
    item.append(link);
    return item;
  }));
  $('paths').hidden = others.length === 0;
  return others.length;
}

/** MediaMTX's paths. Without MediaMTX there are none, which is fine; it is asked again after a minute. */
async function listPaths() {
  if (Date.now() < pathsAwayUntil) return [];
  try {
    return (await session.call('mediamtx-get-path', { method: 'POST' })).list;
  } catch {
    pathsAwayUntil = Date.now() + 60_000;
    return [];
  }
}

async function list() {
  try {
    const { streams } = await session.call('api/v1/streams');
    show(streams);
    const count = streams.length + showPaths(await listPaths(), streams);
    $('summary').textContent = count === 0 ? 'Nothing to watch at the moment' : count === 1 ? '' : `${count} streams`;
  } catch (error) {
    show([]);
    $('summary').textContent = error.message;
    if (error.status === 401 && (await askToSignIn())) await start();
  }
  const name = session.user();
  $('account').hidden = name === null;
  $('account').textContent = name === null ? '' : 'Sign out';
}

async function start() {
  const name = session.user();
  if (name !== null) $('title').textContent = name;
  await list();
}

$('account').addEventListener('click', async () => {
  await session.signOut();
  location.reload();
});

const code = new URLSearchParams(location.hash.slice(1)).get('share');
if (code) {
  // Not left in the address bar, the history, or a bookmark of somebody who looks over a shoulder.
  history.replaceState(null, '', location.pathname);
  try {
    await session.openShare(code);
    await start();
  } catch (error) {
    $('summary').textContent = error.message;
  }
} else {
  await session.resume();
  await start();
}
setInterval(() => document.hidden || document.querySelector('dialog[open]') || (code && session.user() === null) || list(), LIST_EVERY_MS);
