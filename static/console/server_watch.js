// @ts-check
// Says at the top of the console that the server does not answer, until it answers again.

import { h } from '../lib/dom.js';
import { listen } from '../lib/events.js';
import { t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import * as api from '../lib/api.js';

/** How long the connection is away before the page says so: a restart takes a second or two. */
const PATIENCE_MS = 2500;

/**
 * Watches the connection for events, which every page has. `again` is called when the server answers again.
 *
 * @param {{ again: () => void }} options
 */
export function watchServer({ again }) {
  const banner = h(
    'div',
    { class: 'notice bad server-away', role: 'alert', hidden: true },
    icon('alert'),
    h('div', { class: 'notice-text' }, t('console.server_away')),
  );
  document.querySelector('body > header')?.after(banner);
  let [timer, wasConnected] = [0, false];
  const onConnection = (/** @type {boolean} */ isConnected) => {
    clearTimeout(timer);
    if (!isConnected) {
      timer = setTimeout(() => {
        banner.hidden = !api.may('api');
      }, PATIENCE_MS);
      return;
    }
    const isBack = wasConnected && !banner.hidden;
    wasConnected = true;
    banner.hidden = true;
    if (isBack) again();
  };
  let stop = () => {};
  const follow = () => {
    stop();
    stop = api.may('api') ? listen([], () => {}, { onConnection }) : () => {};
    if (!api.may('api')) banner.hidden = true;
  };
  api.session.addEventListener('change', follow);
  follow();
}
