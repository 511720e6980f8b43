// @ts-check
// Keeping paths of MediaMTX: a list with boxes, of which nothing is taken that has no tick.

import * as api from '../lib/api.js';
import { h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { toast } from '../lib/toast.js';
import { openDialog } from '../lib/dialog.js';
import { formDialog } from './parts.js';

/** Asks which paths are kept, and keeps them; gives whether there were any. */
export async function importPaths() {
  const [{ imported: possible, skipped }, { paths }] = await Promise.all([
    api.send('POST', 'api/v1/paths/import?dry_run=1', { names: null }),
    api.call('api/v1/mediamtx/paths'),
  ]);
  // Paths of clients have no entry in MediaMTX's configuration.
  const made = paths.filter(({ name, kept, stream, configured_as: entry }) => !kept && !stream && entry !== name);
  const names = [...possible, ...made.map(({ name }) => name)];
  const refused = Object.entries(skipped);
  const about = new Map(
    paths.map(({ name, from, configured_as: entry }) => [name, entry === name ? (from ?? '') : (entry ?? '')]),
  );
  const others = refused.length > 0 && skippedList(refused);
  if (!names.length) {
    await openDialog({ title: t('console.import'), body: [h('p', {}, t('console.import_none')), others] }).closed;
    return false;
  }
  const boxes = names.map((name) => box(name, about.get(name) ?? '', isUsual(name)));
  const done = await formDialog({
    title: t('console.import'),
    action: t('console.import_chosen'),
    body: [h('p', { class: 'hint' }, t('console.import_about')), h('div', { class: 'ticks' }, boxes), others],
    send: async () => {
      const chosen = boxes.flatMap((row) => [...row.querySelectorAll('input')]).filter(({ checked }) => checked);
      if (!chosen.length) throw new Error(t('console.import_nothing'));
      return api.send('POST', 'api/v1/paths/import', { names: chosen.map(({ value }) => value) });
    },
  });
  if (!done) return false;
  const left = Object.entries(done.skipped);
  if (done.imported.length) toast(t('console.imported', { names: done.imported.join(', ') }), 'info');
  if (left.length) toast(left.map(([name, why]) => `${name}: ${why}`).join('\n'), 'bad');
  return true;
}

/**
 * Regular expressions stand for any number of paths, and are no paths that people look for.
 *
 * @param {string} name
 */
const isUsual = (name) => !name.startsWith('~');

/**
 * @param {string} name
 * @param {string} from
 * @param {boolean} checked
 */
function box(name, from, checked) {
  const input = h('input', { type: 'checkbox', value: name, checked });
  const words = [h('span', {}, name), from && h('span', { class: 'hint' }, from)];
  return h('div', { class: 'tick-row' }, h('label', { class: 'tick-name' }, input, words));
}

/** @param {[string, string][]} refused */
function skippedList(refused) {
  const items = refused.map(([name, why]) => h('li', { class: 'hint' }, h('b', {}, name), ` ${why}`));
  return h('details', {}, h('summary', {}, t('console.import_skipped', { n: refused.length })), h('ul', {}, items));
}
