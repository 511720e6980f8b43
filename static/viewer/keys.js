// @ts-check
// The keys of the viewer, and the list of them.

import { openDialog } from '../lib/dialog.js';
import { h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';

/** @type {[string, string][]} */
const KEYS = [
  ['← → ↑ ↓', 'tiles'],
  ['Enter', 'open'],
  ['← →', 'neighbours'],
  ['Esc', 'back'],
  ['F', 'fullscreen'],
  ['M', 'sound'],
  ['S', 'snapshot'],
  ['I', 'stats'],
  ['+ −', 'zoom'],
  ['0', 'zoom_reset'],
  ['/', 'search'],
  ['?', 'help'],
];

/**
 * Whether a key is meant for the page: no modifier, and the focus is in no field and no dialog.
 *
 * @param {KeyboardEvent} event
 */
export function isForPage({ ctrlKey, metaKey, altKey, target }) {
  const isInField = target instanceof Element && target.closest('input, select, textarea, dialog') !== null;
  return !ctrlKey && !metaKey && !altKey && !isInField && !document.querySelector('dialog[open]');
}

/** Opens the list of keys. */
export function showKeys() {
  const rows = KEYS.map(([key, name]) => [
    h(
      'dt',
      {},
      key.split(' ').map((one) => h('kbd', {}, one)),
    ),
    h('dd', {}, t(`viewer.key_${name}`)),
  ]);
  openDialog({ title: t('viewer.keys'), body: h('dl', { class: 'keys' }, rows) });
}
