// @ts-check
// The button that makes the wall one stream, for a screen that plays one.

import * as api from '../lib/api.js';
import { h } from '../lib/dom.js';
import { errorText, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { toast } from '../lib/toast.js';

/**
 * A button for administrators. `shown` gives the items of the shown tiles in their order, `wall` the server's answer.
 *
 * @param {{ shown: () => Api.WallItem[], wall: () => Api.Wall | null }} options
 */
export function castButton({ shown, wall }) {
  const label = t('viewer.cast');
  const cast = async () => {
    const present = wall();
    if (!present) return;
    const { castable, mosaicOf, show } = await import('./mosaic.js');
    const tiles = castable(shown());
    if (!tiles.length) return toast(t('viewer.cast_nothing'), 'bad');
    button.disabled = true;
    try {
      show(await mosaicOf(tiles), present);
    } catch (error) {
      toast(errorText(error), 'bad');
    }
    button.disabled = false;
  };
  const properties = { class: 'icon-button', id: 'cast', 'aria-label': label, title: label, hidden: !api.may('api') };
  const button = h('button', { type: 'button', ...properties, onclick: cast }, icon('screen'));
  api.session.addEventListener('change', () => {
    button.hidden = !api.may('api');
  });
  return button;
}
