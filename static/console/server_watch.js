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
  let timer = 0;
  const showSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      banner.hidden = !api.may('api');
    }, PATIENCE_MS);
  };
  const onConnection = (/** @type {boolean} */ isConnected) => {
    if (!isConnected) return showSoon();
    clearTimeout(timer);
    const isBack = !banner.hidden;
    banner.hidden = true;
    if (isBack) again();
  };
  let stop = () => {};
  const follow = () => {
    stop();
    clearTimeout(timer);
    const isFollowing = api.may('api');
    stop = isFollowing ? listen([], () => {}, { onConnection }) : () => {};
    // A connection that never comes is not reported.
    if (isFollowing) showSoon();
    else banner.hidden = true;
  };
  api.session.addEventListener('change', follow);
  follow();
}
