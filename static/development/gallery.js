// @ts-check
// All parts of the pages in all of their states, at /console/#/parts while pages are served from a checkout (http.static_dir). Tests
// photograph it, and people look at it after a change of a style. Nothing here asks the server for anything.

import { drawBeats } from '../lib/beats.js';
import { fill, h } from '../lib/dom.js';
import { copyButton, field, passwordField, showProblem, snippet } from '../lib/form.js';
import { load, t } from '../lib/i18n.js';
import { icon, names } from '../lib/icons.js';
import { loadStyle } from '../lib/style.js';
import * as parts from '../console/parts.js';
import { durationField } from '../console/duration.js';
import { rows } from './gallery_rows.js';
import { tiles } from './gallery_tiles.js';

/** Words of several lengths: of one letter, usual, too long for a line, and without a place to break. */
const WORDS = ['A', t('console.streams'), t('console.publish_insecure'), 'Site-A/Camera-005/Entrance/North/'.repeat(4)];

/** @type {Section} */
export async function show(main) {
  await load('viewer');
  const style = (/** @type {string} */ name) => loadStyle(new URL(name, import.meta.url));
  const sheets = ['viewer/viewer', 'viewer/recordings', 'viewer/wall_uptime', 'console/streams', 'console/media'];
  await Promise.all([style('gallery.css'), ...sheets.map((sheet) => style(`../${sheet}.css`))]);
  const about = h('p', { class: 'dim' }, 'All parts of the pages, in all of their states.');
  fill(main, h('h1', {}, 'Parts'), about, [
    part(
      'heading',
      h(
        'div',
        {},
        parts.heading(
          'streams',
          parts.searchField(() => {}),
          add(),
        ),
      ),
    ),
    part(
      'text',
      WORDS.map((word) => h('p', {}, word)),
      h('p', { class: 'dim' }, WORDS[2]),
      h('code', {}, WORDS[3]),
    ),
    part('buttons', buttons()),
    part(
      'icons',
      h(
        'div',
        { class: 'row' },
        names.map((name) => h('span', { title: name }, icon(name))),
      ),
    ),
    part('fields', fields()),
    part(
      'badges',
      h(
        'div',
        { class: 'row' },
        BADGES.map((kind) => parts.badge(kind || 'plain', kind)),
      ),
    ),
    part('notices', notices()),
    part('empty', parts.emptyState('film', t('console.recordings_none'), t('console.recordings_none_about'), add())),
    part('table', tables()),
    part('facts', h('div', { class: 'grid' }, card(), card())),
    part(
      'beats',
      days().map((slots) => beats(slots)),
    ),
    part('switches', segmented(), tabs(), ticks()),
    part('copy', snippet('rtsp://mediamtx.test:8554/pictures/Front/Door'), copyButton('text')),
    part('messages', toasts()),
    part('dialog', dialog()),
    part('streams', rows()),
    part('tiles', tiles()),
  ]);
}

/**
 * @param {string} name
 * @param {...Dom.Child} content
 */
const part = (name, ...content) =>
  h('section', { class: 'gallery-part', dataset: { part: name } }, h('h2', {}, name), content);

const add = () => parts.button('plus', t('console.word_edit'), () => {}, { class: 'primary' });

function buttons() {
  /** @type {Dom.Properties<HTMLButtonElement>[]} */
  const kinds = [
    {},
    { class: 'primary' },
    { class: 'danger' },
    { class: 'plain' },
    { class: 'small' },
    { disabled: true },
    { class: 'primary', disabled: true },
    { 'aria-pressed': 'true' },
  ];
  const word = t('console.delete');
  return h(
    'div',
    { class: 'row' },
    kinds.map((kind) => parts.button('camera', word, () => {}, kind)),
    parts.iconButton('trash', `${word} 1`, () => {}),
    h(
      'div',
      { class: 'stream-actions' },
      parts.iconButton('trash', `${word} 2`, () => {}, word),
      parts.iconLink('play', t('console.word_watch'), '#/parts', t('console.word_watch')),
    ),
  );
}

function fields() {
  const options = /** @type {[string, string][]} */ ([
    ['one', 'One'],
    ['two', t('console.publish_insecure')],
  ]);
  const wrong = h(
    'form',
    { class: 'stack' },
    field({ label: t('console.name'), name: 'wrong', value: 'no such name', hint: t('console.recordings_none_about') }),
    h('p', { class: 'form-error bad' }),
  );
  const shown = h(
    'div',
    { class: 'gallery-fields' },
    field({ label: t('console.name'), value: 'Front/Door', hint: t('console.recordings_none_about') }),
    field({ label: t('console.name'), placeholder: 'Front/Door' }),
    field({ label: t('console.name'), value: 'Front/Door', disabled: true }),
    parts.nameField({ label: t('console.path'), value: '玄関 Tür 大门' }),
    passwordField({ label: t('common.password'), value: 'secret' }),
    field({ label: t('console.size'), options, value: 'two' }),
    durationField({ label: t('console.length'), name: 'interval', value: '10s' }),
    field({ label: t('console.record'), type: 'checkbox', checked: true, hint: t('console.file_delete_about') }),
    field({ label: t('console.first'), type: 'date' }),
    field({ label: t('console.files'), rows: 3, value: WORDS[3] }),
    wrong,
  );
  // The focus stays where it is: a page of parts is no form.
  showProblem(wrong, { field: 'wrong', message: t('console.publish_insecure') });
  return shown;
}

const BADGES = [
  '',
  'live',
  'good',
  'starting',
  'lingering',
  'stalled',
  'warn',
  'failing',
  'away',
  'bad',
  'idle',
  'offline',
];

function notices() {
  const kinds = /** @type {const} */ (['', 'good', 'warn', 'bad']);
  return h(
    'div',
    { class: 'stack' },
    kinds.map((kind) => parts.notice(kind, h('p', {}, WORDS[2]))),
    parts.failure(new Error('MediaMTX does not answer'), () => {}),
    parts.missingNodes([{ node: 'north', reason: 'it does not answer' }]),
  );
}

/** @typedef {{ name: string, at: string, count: string }} Line */

function tables() {
  /** @type {Column<Line>[]} */
  const columns = [
    { label: t('console.name'), class: 'wide', node: ({ name }) => h('b', {}, name) },
    { label: t('console.size'), class: 'number', text: ({ count }) => count },
    { label: t('console.last'), node: ({ at }) => parts.timeAgo(at) },
    { label: t('console.state'), node: () => parts.permissionText({ action: 'read', path: 'front/door' }) },
    {
      label: '',
      class: 'row-actions',
      node: ({ name }) => parts.iconButton('trash', t('console.delete_of', { name }), () => {}),
    },
  ];
  const options = { key: (/** @type {Line} */ { name }) => name, columns, empty: h('p', { class: 'dim' }, WORDS[1]) };
  const at = new Date(Date.now() - 7_200_000).toISOString();
  const full = parts.table({ label: 'full', ...options });
  full.show(WORDS.map((name, i) => ({ name, at, count: i ? '1,234' : '—' })));
  const none = parts.table({ label: 'none', ...options });
  none.show([]);
  return h('div', { class: 'stack' }, full.element, none.element);
}

const card = () =>
  h(
    'div',
    { class: 'card' },
    h('h2', {}, t('console.traffic_of_path')),
    h('p', { class: 'figure' }, '12.4 Mbit/s'),
    h('dl', { class: 'facts' }, h('dt', {}, t('console.name')), h('dd', {}, WORDS[3])),
  );

/** Days of streams: always good, with a gap, failing, short, none. */
function days() {
  const slot = 900;
  const now = Math.floor(Date.now() / 1000 / slot) * slot;
  /** @type {(count: number, of: (i: number) => [number, number, number]) => import('../lib/beats.js').Slot[]} */
  const make = (count, of) =>
    Array.from({ length: count }, (_, i) => {
      const [live, stalled, failing] = of(i);
      return { start: now - (count - i) * slot, live, stalled, failing };
    });
  return [
    make(96, () => [slot, 0, 0]),
    make(96, (i) => (i % 40 ? [slot, 0, 0] : [400, 500, 0])),
    make(96, (i) => (i < 60 ? [slot, 0, 0] : [0, 0, slot])),
    make(5, () => [slot, 0, 0]),
  ];
}

/** @param {import('../lib/beats.js').Slot[]} slots */
function beats(slots) {
  const place = h('div', { class: 'beats' });
  drawBeats(place, slots);
  return place;
}

function segmented() {
  const button = (/** @type {string} */ word, /** @type {boolean} */ isOn) =>
    h('button', { type: 'button', 'aria-pressed': String(isOn) }, word);
  return h('div', { class: 'segmented' }, button('1', false), button('4', true), button('9', false));
}

function tabs() {
  const tab = (/** @type {string} */ word, /** @type {boolean} */ isOn) =>
    h('a', { href: '#/parts', 'aria-current': isOn ? 'page' : null }, icon('film', 18), word);
  return h('nav', { class: 'tabs', 'aria-label': 'tabs' }, tab(WORDS[1], true), tab(t('console.recordings'), false));
}

function ticks() {
  const tick = (/** @type {string} */ word, /** @type {boolean} */ checked) =>
    h(
      'div',
      { class: 'tick-row' },
      h('label', { class: 'tick-name' }, h('input', { type: 'checkbox', checked }), word),
    );
  return h('div', { class: 'ticks' }, tick('Front/Door', true), tick(WORDS[3], false));
}

/** Messages and a dialog as they look, without covering the page. */
function toasts() {
  const kinds = /** @type {const} */ ([
    ['good', 'check'],
    ['bad', 'alert'],
    ['info', 'info'],
  ]);
  const close = () =>
    h('button', { type: 'button', class: 'icon-button', 'aria-label': t('common.close') }, icon('close'));
  return kinds.map(([kind, shape]) =>
    h('div', { class: ['toast', kind] }, icon(shape), h('span', {}, WORDS[2]), close()),
  );
}

function dialog() {
  const actions = h(
    'div',
    { class: 'actions' },
    parts.button('close', t('common.cancel'), () => {}),
    add(),
  );
  const head = h('div', { class: 'dialog-head' }, h('h3', {}, t('console.delete_of', { name: WORDS[3] })));
  const body = h('div', { class: 'dialog-body' }, h('p', {}, t('console.file_delete_about')), actions);
  return h('dialog', { open: true, 'aria-label': 'dialog' }, head, body);
}
