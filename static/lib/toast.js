// @ts-check
// Short messages about the results of actions.

import { h } from './dom.js';
import { errorText, t } from './i18n.js';
import { icon } from './icons.js';

const SHOWN_MS = 5000;
const MOST = 4;

const ICONS = /** @type {const} */ ({ good: 'check', bad: 'alert', info: 'info' });

/** @type {HTMLElement | undefined} */
let list;

/** The list of messages. It is a popover, because an open dialog covers everything else. */
function messages() {
  list = h('div', {
    class: 'toasts',
    role: 'log',
    'aria-live': 'polite',
    'aria-label': t('common.messages'),
    popover: 'manual',
  });
  document.body.append(list);
  return list;
}

/**
 * Shows a text for some seconds. A message of kind 'bad' stays until it is closed.
 *
 * @param {string} text
 * @param {'good' | 'bad' | 'info'} [kind]
 */
export function toast(text, kind = 'good') {
  const all = list ?? messages();
  const close = () => {
    message.remove();
    if (!all.childElementCount) all.hidePopover?.();
  };
  const message = h(
    'div',
    { class: ['toast', kind] },
    icon(ICONS[kind]),
    h('span', {}, text),
    h(
      'button',
      { type: 'button', class: 'icon-button', 'aria-label': t('common.close'), onclick: close },
      icon('close'),
    ),
  );
  all.append(message);
  // Shown again, above a dialog that was opened since.
  all.hidePopover?.();
  all.showPopover?.();
  while (all.childElementCount > MOST) all.firstElementChild?.remove();
  if (kind !== 'bad') setTimeout(close, SHOWN_MS);
}

/**
 * Runs an action and shows its error, if it has one; gives whether it succeeded. `done` is shown after a success.
 *
 * @param {() => unknown} action
 * @param {string} [done]
 */
export async function attempt(action, done) {
  try {
    await action();
  } catch (error) {
    toast(errorText(error), 'bad');
    return false;
  }
  if (done) toast(done);
  return true;
}
