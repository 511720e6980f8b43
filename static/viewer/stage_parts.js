// @ts-check
// The elements of the stage: picture, controls over it, head and foot.

import { h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';

/**
 * @typedef {'toggleSound' | 'setVolume' | 'toggleStats' | 'snapshot' | 'pictureInPicture' | 'fullscreen' | 'resetZoom' |
 *   'link' | 'chooseProtocol'} Action
 */

/** @typedef {ReturnType<typeof stageParts>} Parts */

/**
 * Makes the elements.
 *
 * @param {Record<Action, () => void>} on
 * @param {number} volume from 0 to 1
 */
export function stageParts(on, volume) {
  const parts = {
    video: h('video', { playsInline: true, muted: true }),
    canvas: h('canvas', { hidden: true }),
    message: h('div', { class: 'stage-message', role: 'status' }),
    // Screen readers must not announce the countdown every second.
    retry: h('p', { class: 'stage-retry', 'aria-hidden': 'true' }),
    stats: h('dl', { class: 'stage-stats', hidden: true, 'aria-label': t('viewer.stats') }),
    live: h('span', { class: 'stage-live' }, t('viewer.live_word')),
    name: h('span', { class: 'stage-name', 'aria-hidden': 'true' }),
    ...sound(on, volume),
    statsButton: control('stats', 'gauge', t('viewer.stats'), on.toggleStats),
    zoom: control('zoom', 'search', t('viewer.zoom_reset'), on.resetZoom),
    ...head(on),
    ...foot(on),
    facts: h('p', { class: 'dim' }),
  };
  parts.statsButton.setAttribute('aria-pressed', 'false');
  parts.zoom.hidden = true;
  const { video, canvas, message, stats, name } = parts;
  const screen = h('div', { class: 'screen', tabIndex: -1 }, video, canvas, message, stats, name, bar(parts, on));
  return { ...parts, screen };
}

/**
 * The controls over the picture.
 *
 * @param {{ live: HTMLElement, sound: HTMLElement, statsButton: HTMLElement, zoom: HTMLElement }} parts
 * @param {Record<Action, () => void>} on
 */
function bar({ live, sound: soundPart, statsButton, zoom }, on) {
  const pip = control('pip', 'pip', t('viewer.pip'), on.pictureInPicture);
  pip.hidden = !document.pictureInPictureEnabled;
  const snapshot = control('snapshot', 'camera', t('viewer.snapshot'), on.snapshot);
  const fullscreen = control('fullscreen', 'fullscreen', t('viewer.fullscreen_key'), on.fullscreen);
  const space = h('span', { class: 'grow' });
  return h('div', { class: 'stage-bar' }, live, soundPart, space, zoom, statsButton, snapshot, pip, fullscreen);
}

/**
 * @param {Record<Action, () => void>} on
 * @param {number} value
 */
function sound(on, value) {
  const soundButton = control('sound', 'mute', t('viewer.unmute'), on.toggleSound);
  const label = t('viewer.volume');
  const range = { type: 'range', min: 0, max: 1, step: 0.05, value, 'aria-label': label, oninput: on.setVolume };
  const volume = h('input', { ...range, class: 'volume' });
  return { soundButton, volume, sound: h('span', { class: 'stage-sound' }, soundButton, volume) };
}

/** @param {Record<Action, () => void>} on */
function head(on) {
  /** @type {(shape: Icon, label: string) => HTMLAnchorElement} */
  const way = (shape, label) => {
    const properties = { class: 'button icon-button', href: '#/', 'aria-label': label, title: label };
    return h('a', properties, icon(shape));
  };
  const parts = {
    back: way('back', t('viewer.back')),
    previous: way('previous', t('viewer.previous')),
    next: way('next', t('viewer.next')),
    title: h('h1', { tabIndex: -1 }),
    badge: h('span', { class: 'badge', role: 'status' }),
    recordings: h('a', { class: 'button' }, icon('film'), h('span', {}, t('viewer.recordings'))),
  };
  const { back, previous, next, title, badge, recordings } = parts;
  const link = h('button', { type: 'button', onclick: on.link }, icon('link'), h('span', {}, t('viewer.link')));
  const space = h('span', { class: 'grow' });
  return {
    ...parts,
    head: h('div', { class: 'stage-head' }, back, title, badge, space, previous, next, recordings, link),
  };
}

/** @param {Record<Action, () => void>} on */
function foot(on) {
  const playing = h('p', { class: 'stage-how', role: 'status' });
  const protocols = h('select', { 'aria-label': t('viewer.protocol'), onchange: on.chooseProtocol });
  const label = h('label', { class: 'row' }, h('span', { class: 'dim' }, t('viewer.protocol')), protocols);
  return { playing, protocols, foot: h('div', { class: 'stage-foot' }, playing, label) };
}

/** @type {(name: string, shape: Icon, label: string, onclick: () => void) => HTMLElement} */
function control(name, shape, label, onclick) {
  const properties = { class: ['icon-button', `do-${name}`], 'aria-label': label, title: label, onclick };
  return h('button', { type: 'button', ...properties }, icon(shape));
}
