// @ts-check
// The dialog that makes a wall display a link with a QR code.

import * as api from '../lib/api.js';
import { h } from '../lib/dom.js';
import { field, valueOf } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { lifetimeOptions, linkDialog, literal } from '../lib/links.js';
import { LAYOUTS } from './wall_tools.js';

/**
 * The address of a kiosk.
 *
 * @param {string} layout
 * @param {string} cycle seconds; empty if pages are not turned
 */
function queryOf(layout, cycle) {
  return `?${new URLSearchParams({ layout, ...(cycle && { cycle: `${cycle}s` }) })}`;
}

/**
 * Asks for a layout, and makes an address: for administrators a share link of these streams that needs no password.
 *
 * @param {{ names: string[], prefix: string }} shown names on the wall, and the first part of our streams' paths at MediaMTX
 */
export function openKioskDialog({ names, prefix }) {
  const isAdmin = api.may('api');
  /** @type {[string, string][]} */
  const layouts = LAYOUTS.slice(1).map((layout) => [layout, t('viewer.layout_n', { n: layout })]);
  /** @type {[string, string][]} */
  const cycles = ['', '10', '20', '60'].map((s) => [s, s ? t('viewer.cycle_n', { n: s }) : t('viewer.cycle_none')]);
  /** @type {[string, string][]} */
  const whose = [
    ['shown', t('viewer.kiosk_shown', { count: names.length })],
    ['all', t('viewer.kiosk_all')],
  ];
  const body = [
    h('p', { class: 'hint' }, t('viewer.kiosk_about')),
    field({ label: t('viewer.layout'), name: 'layout', value: '9', options: layouts }),
    field({ label: t('viewer.cycle'), name: 'cycle', value: '20', options: cycles }),
    isAdmin && field({ label: t('viewer.kiosk_streams'), name: 'whose', options: whose }),
    isAdmin &&
      field({ label: t('common.link_expires'), name: 'expires', value: '365days', options: lifetimeOptions() }),
  ];
  return linkDialog(t('viewer.kiosk'), body, async (form) => {
    const url = new URL(api.address('viewer/'));
    url.search = queryOf(valueOf(form, 'layout'), valueOf(form, 'cycle'));
    if (isAdmin) {
      const path = valueOf(form, 'whose') === 'all' ? '~.' : pathOf(names, prefix);
      const wanted = { path, expires: valueOf(form, 'expires'), label: t('viewer.kiosk') };
      const { code } = await api.send('POST', 'api/v1/shares', wanted);
      url.hash = `share=${code}`;
    }
    return { url: url.href, texts: [url.href] };
  });
}

/**
 * The path of a permission for these streams, here and at MediaMTX.
 *
 * @param {string[]} names
 * @param {string} prefix
 */
function pathOf(names, prefix) {
  const above = prefix ? `(${literal(prefix)}/)?` : '';
  return `~^${above}(${names.map(literal).join('|')})$`;
}
