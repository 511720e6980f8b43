// The first page: streams as thumbnails, upload by drop, paste or file, a live view, and snippets.
// Relative addresses throughout, so that it works below any path.

import * as session from './session.js';

const { address, call } = session;

const LIST_EVERY_MS = 2000;

const $ = (id) => document.getElementById(id);
const tiles = new Map(); // by stream name
let shown = null; // name of the stream in the dialog

const encoded = (name) => name.split('/').map(encodeURIComponent).join('/');
const askToSignIn = session.signInDialog();

// Only what can be seen is looked at: a thumbnail off screen costs nothing, neither here nor at the camera.
const visible = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const tile = tiles.get(entry.target.dataset.name);
    if (tile) tile.visible = entry.isIntersecting;
  }
});

class Tile {
  constructor(name) {
    this.name = name;
    this.visible = false;
    this.loading = false;
    this.element = $('tile').content.firstElementChild.cloneNode(true);
    this.element.dataset.name = name;
    this.image = this.element.querySelector('img');
    this.element.querySelector('h2').textContent = name;
    this.image.alt = `Latest picture of ${name}`;
    const button = this.element.querySelector('button');
    button.addEventListener('click', () => show(name));
    button.setAttribute('aria-label', `Watch ${name} live`);
    dropTarget(this.element, (file) => upload(file, name));
    visible.observe(this.element);
  }

  update(stream) {
    const state = this.element.querySelector('.state');
    state.textContent = stream.state;
    state.className = `state ${stream.state}`;
    state.title = stream.reason;
    this.element.querySelector('.facts').textContent = facts(stream);
    if (this.visible && !document.hidden) this.refresh(stream);
  }

  /** Loads a picture; a camera is asked for one only while its tile is on screen. */
  async refresh(stream) {
    const key = stream.kind === 'upload' ? stream.picture?.seq : null;
    if (this.loading || (key !== null && key !== undefined && key === this.key)) return;
    this.loading = true;
    try {
      const response = await session.request(`snapshot/${encoded(this.name)}.jpg`);
      if (!response.ok) return;
      const url = URL.createObjectURL(await response.blob());
      const old = this.image.src;
      this.image.src = url;
      await this.image.decode();
      if (old.startsWith('blob:')) URL.revokeObjectURL(old);
      this.key = key;
    } catch {
      // The server is away; the summary says so.
    } finally {
      this.loading = false;
    }
  }

  remove() {
    visible.unobserve(this.element);
    this.element.remove();
  }
}

function facts(stream) {
  const words = [stream.kind];
  if (stream.picture) {
    words.push(`${stream.picture.width} × ${stream.picture.height}`, ago(stream.picture.age_seconds));
  }
  if (stream.fps >= 0.05) words.push(`${stream.fps.toFixed(1)}/s`);
  if (stream.watchers) words.push(`${stream.watchers} watching`);
  return words.join(' · ');
}

function ago(seconds) {
  if (seconds < 2) return 'just now';
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

async function list() {
  try {
    const { streams } = await call('api/v1/streams');
    const names = new Set(streams.map((stream) => stream.name));
    for (const [name, tile] of tiles) {
      if (!names.has(name)) {
        tile.remove();
        tiles.delete(name);
      }
    }
    for (const stream of streams) {
      let tile = tiles.get(stream.name);
      if (!tile) {
        tile = new Tile(stream.name);
        tiles.set(stream.name, tile);
        // In the list's order, which is by name.
        const next = streams.slice(streams.indexOf(stream) + 1).find((s) => tiles.has(s.name));
        $('streams').insertBefore(tile.element, next ? tiles.get(next.name).element : null);
      }
      tile.update(stream);
      if (stream.name === shown) $('reason').textContent = `${facts(stream)} — ${stream.reason}`;
    }
    $('empty').hidden = streams.length > 0;
    $('summary').textContent = streams.length === 1 ? '1 stream' : `${streams.length} streams`;
  } catch (error) {
    $('summary').textContent = error.status === 401 ? error.message : `The server does not answer as it should: ${error.message}`;
  }
}

function showAccount() {
  const name = session.user();
  $('account').textContent = name === null ? 'Sign in' : `Sign out ${name}`;
}

async function upload(file, name) {
  const result = $('result');
  result.className = '';
  result.textContent = `Sending ${file.name || 'the picture'} …`;
  try {
    const done = await call(`api/v1/streams/${encoded(name)}/frame`, { method: 'PUT', body: file });
    result.className = 'good';
    result.textContent = `${done.stream} shows it: ${done.width} × ${done.height}`;
    await list();
  } catch (error) {
    result.className = 'bad';
    result.textContent = error.message;
  }
}

function dropTarget(element, take) {
  const over = (on) => (event) => {
    event.preventDefault();
    element.classList.toggle('over', on);
  };
  element.addEventListener('dragover', over(true));
  element.addEventListener('dragleave', over(false));
  element.addEventListener('drop', (event) => {
    over(false)(event);
    event.stopPropagation();
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
}

function show(name) {
  shown = name;
  $('viewer-name').textContent = name;
  $('live').src = session.media(`stream/${encoded(name)}.mjpeg`);
  $('live').alt = `${name}, live`;
  const url = (path) => address(path + encoded(name));
  const snippets = {
    'In a page': `<img src="${url('stream/')}.mjpeg">`,
    'One picture': `curl -o picture.jpg ${url('snapshot/')}.jpg`,
    'Send a picture': `curl -T picture.jpg ${url('api/v1/streams/')}/frame`,
    'Send what a program makes': `ffmpeg -i INPUT -f mpjpeg - | mtx-sidecar push ${name} -`,
    'Through MediaMTX, with the shipped mediamtx.yml': `rtsp://${location.hostname}:8554/pictures/${name}`,
  };
  $('snippets').replaceChildren(...Object.entries(snippets).flatMap(([title, text]) => {
    const [term, line, code, copy] = ['dt', 'dd', 'code', 'button'].map((tag) => document.createElement(tag));
    term.textContent = title;
    code.textContent = text;
    copy.type = 'button';
    copy.textContent = 'Copy';
    copy.addEventListener('click', async () => {
      await navigator.clipboard.writeText(text);
      copy.textContent = 'Copied';
    });
    line.append(code, copy);
    return [term, line];
  }));
  $('viewer').showModal();
  list();
}

$('viewer').addEventListener('close', () => {
  shown = null;
  // An image that is removed keeps its connection; one without a source lets the stream go.
  $('live').removeAttribute('src');
});
$('close').addEventListener('click', () => $('viewer').close());
$('file').addEventListener('change', () => {
  const [file] = $('file').files;
  if (file && $('upload').reportValidity()) upload(file, $('name').value);
  $('file').value = '';
});
$('upload').addEventListener('submit', (event) => event.preventDefault());
document.addEventListener('paste', (event) => {
  const [file] = event.clipboardData.files;
  if (file && $('upload').reportValidity()) upload(file, $('name').value);
});
dropTarget($('upload'), (file) => $('upload').reportValidity() && upload(file, $('name').value));

$('account').addEventListener('click', async () => {
  if (session.user() === null) await askToSignIn();
  else await session.signOut();
  showAccount();
  await list();
});

await session.resume();
showAccount();
await list();
setInterval(() => document.hidden || list(), LIST_EVERY_MS);
