// @ts-check
// The tools above the wall: layout, search, arranging, fullscreen, kiosk links, the list of keys.

import { h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { castButton } from './cast.js';
import { showKeys } from './keys.js';

export const LAYOUTS = ['auto', '1', '4', '9', '16'];

/** Orders: the user's own, and by name alone. */
export const SORTS = ['own', 'name'];

/**
 * Makes the tools.
 *
 * @param {{
 *   search: () => void, sort: (order: string) => void, chooseLayout: (layout: string) => void, arrange: () => void, fullscreen: () => void, kiosk: () => void,
 *   shown: () => Api.WallItem[], wall: () => Api.Wall | null,
 * }} on
 */
export function wallTools(on) {
  const label = t('viewer.search');
  const search = h('input', {
    type: 'search',
    class: 'search',
    placeholder: label,
    'aria-label': label,
    hidden: true,
    oninput: on.search,
  });
  const sort = h(
    'select',
    { class: 'sort', 'aria-label': t('viewer.sort'), title: t('viewer.sort'), hidden: true },
    SORTS.map((order) => h('option', { value: order }, t(`viewer.sort_${order}`))),
  );
  sort.addEventListener('change', () => on.sort(sort.value));
  const count = h('span', { class: 'dim', role: 'status' });
  const layouts = layoutButtons(on.chooseLayout);
  const arrange = iconButton('move', t('viewer.arrange'), on.arrange);
  arrange.setAttribute('aria-pressed', 'false');
  const cast = castButton({ shown: on.shown, wall: on.wall });
  const keys = iconButton('keyboard', t('viewer.keys'), showKeys);
  keys.classList.add('do-keys');
  const kiosk = iconButton('grid', t('viewer.kiosk'), on.kiosk);
  kiosk.classList.add('do-kiosk');
  const full = iconButton('fullscreen', t('viewer.fullscreen'), on.fullscreen);
  const tools = h('div', { class: 'row' }, layouts, arrange, cast, kiosk, full, keys);
  const bar = h('div', { class: 'wall-bar', hidden: true }, count, search, sort, tools);
  return { bar, count, search, sort, layouts, arrange };
}

/** @param {(layout: string) => void} choose */
function layoutButtons(choose) {
  const buttons = LAYOUTS.map((layout) => {
    const isAuto = layout === 'auto';
    const label = isAuto ? null : t('viewer.layout_n', { n: layout });
    const onclick = () => choose(layout);
    const properties = { dataset: { layout }, 'aria-label': label, onclick };
    return h('button', { type: 'button', ...properties }, isAuto ? t('viewer.layout_auto') : layout);
  });
  return h('div', { class: 'segmented', role: 'group', 'aria-label': t('viewer.layout') }, buttons);
}

/** @type {(shape: Icon, label: string, onclick: () => void) => HTMLElement} */
export function iconButton(shape, label, onclick) {
  return h('button', { type: 'button', class: 'icon-button', 'aria-label': label, title: label, onclick }, icon(shape));
}
