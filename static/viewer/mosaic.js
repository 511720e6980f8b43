// @ts-check
// The wall as one stream, for a screen that plays one: finds or makes the mosaic of the shown tiles, and gives its addresses.

import * as api from '../lib/api.js';
import { openDialog } from '../lib/dialog.js';
import { h } from '../lib/dom.js';
import { snippet } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { openLinkDialog } from '../lib/links.js';

/** The server's limit. */
const MAX_TILES = 36;

/** Names of mosaics that are made here: the first free one is taken. */
const NAME = 'cast';

/** @typedef {{ kind: string, tiles?: string[], [member: string]: unknown }} Definition */

/**
 * The names that a mosaic can show: not a mosaic, and not a camera that only calls show.
 *
 * @param {Api.WallItem[]} items
 */
export const castable = (items) =>
  items
    .filter(({ stream, path }) => (stream ? stream.kind !== 'mosaic' : path))
    .map(({ name }) => name)
    .slice(0, MAX_TILES);

/**
 * The mosaic with exactly these tiles in this order, which is made if there is none.
 *
 * @param {string[]} tiles
 * @returns {Promise<string>}
 */
export async function mosaicOf(tiles) {
  const { streams } = await api.call('api/v1/streams');
  const wanted = JSON.stringify(tiles);
  for (const { name, kind } of streams) {
    if (kind !== 'mosaic') continue;
    const { definition } = await api.call(`api/v1/streams/${api.encoded(name)}`);
    const present = /** @type {Definition | null} */ (/** @type {unknown} */ (definition));
    if (JSON.stringify(present?.tiles) === wanted) return name;
  }
  const taken = new Set(streams.map(({ name }) => name));
  let name = NAME;
  for (let n = 2; taken.has(name); n++) name = `${NAME}-${n}`;
  const definition = { kind: 'mosaic', tiles, w: 1920, h: 1080 };
  await api.send('PUT', `api/v1/streams/${api.encoded(name)}`, /** @type {any} */ (definition));
  return name;
}

/**
 * Shows the addresses of a mosaic.
 *
 * @param {string} name
 * @param {Api.Wall} wall
 */
export function show(name, wall) {
  const there = wall.path_prefix ? `${wall.path_prefix}/${name}` : name;
  const path = api.encoded(there);
  const addresses = wall.mediamtx ? wall : undefined;
  const lines = [
    ['WebRTC', `${wall.webrtc}/${path}`],
    ['HLS', `${wall.hls}/${path}/index.m3u8`],
    ...(wall.rtsp ? [['RTSP', `${wall.rtsp}/${path}`]] : []),
    ['MJPEG', api.address(`stream/${api.encoded(name)}.mjpeg`)],
  ];
  const share = h(
    'button',
    {
      type: 'button',
      onclick: () => openLinkDialog({ name, isStream: true, hasStills: true, path: there, addresses }),
    },
    icon('link', 18),
    h('span', {}, t('viewer.cast_link')),
  );
  openDialog({
    title: t('viewer.cast_title', { name }),
    wide: true,
    body: [
      h('p', {}, t('viewer.cast_about')),
      lines
        .filter(([kind]) => wall.mediamtx || kind === 'MJPEG')
        .flatMap(([kind, address]) => [h('h3', {}, kind), snippet(address)]),
      h('p', { class: 'hint' }, t('viewer.cast_hint')),
      h('div', { class: 'row' }, share),
    ],
  });
}
