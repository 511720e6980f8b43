// @ts-check
// Streams of the console in all of their states, for the page of all parts. They show no pictures: there are no such streams.

import { h } from '../lib/dom.js';
import { StreamRow } from '../console/stream_row.js';

const ago = (/** @type {number} */ seconds) => new Date(Date.now() - seconds * 1000).toISOString();

/** @type {Api.Stream} */
const USUAL = {
  name: 'Front/Door',
  kind: 'http',
  origin: 'api',
  state: 'idle',
  reason: '',
  frames: 0,
  fps: 0,
  bytes: 0,
  dropped: 0,
  watchers: 0,
  damaged: {},
  variants: [],
  video: [],
};

const PICTURE = { seq: 1, width: 1920, height: 1080, bytes: 245_000, age_seconds: 1.5, captured_at: ago(2) };

const FAILURE = { code: 'source_failed', cause: 'wrong_password', reason: '401 Unauthorized', at: ago(120) };

/** @type {Partial<Api.Stream>[]} */
const STATES = [
  { name: 'idle' },
  { name: 'starting', state: 'starting', reason: 'the first picture is awaited', watchers: 1 },
  { name: 'live', state: 'live', picture: PICTURE, fps: 24.9, watchers: 3, dropped: 12, title: '玄関 Haustür' },
  { name: 'lingering', state: 'lingering', picture: PICTURE, fps: 10 },
  { name: 'failing', state: 'failing', failure: FAILURE, watchers: 1 },
  { name: 'failed', failure: FAILURE },
  { name: 'upload', kind: 'upload', picture: PICTURE },
  { name: 'from-file', kind: 'test-card', origin: 'file', state: 'live', picture: PICTURE, fps: 1 },
  { name: 'Site-A/Camera-005/Entrance/North/'.repeat(4), state: 'live', picture: PICTURE },
];

export function rows() {
  const list = STATES.map((state) => {
    const stream = { ...USUAL, ...state };
    const row = new StreamRow(stream, { changed: () => {}, addresses: () => null });
    row.update(stream);
    return row.element;
  });
  return h('div', { class: 'stream-list', role: 'list' }, list);
}
