// Words that come and go: what was done, and what could not be.

import { h } from './dom.js';
import { icon } from './icons.js';
import { t, words } from './i18n.js';

const STAYS_MS = 5000;

let list;

/** Shows a text for some seconds; `kind` is 'good', 'bad' or 'info'. Bad news stays until it is closed. */
export function toast(text, kind = 'good') {
  if (!list) {
    // A popover, because everything else lies below an open dialog.
    list = h('div', { class: 'toasts', role: 'log', 'aria-live': 'polite', 'aria-label': t('common.messages') });
    list.setAttribute('popover', 'manual');
    document.body.append(list);
  }
  const close = () => {
    made.remove();
    if (!list.childElementCount) list.hidePopover?.();
  };
  const made = h(
    'div',
    { class: ['toast', kind] },
    icon(kind === 'bad' ? 'alert' : kind === 'good' ? 'check' : 'info'),
    h('span', {}, text),
    h(
      'button',
      { type: 'button', class: 'icon-button', 'aria-label': t('common.close'), onclick: close },
      icon('close'),
    ),
  );
  list.append(made);
  // Once more on top of a dialog that has been opened since.
  list.hidePopover?.();
  list.showPopover?.();
  while (list.childElementCount > 4) list.firstElementChild.remove();
  if (kind !== 'bad') setTimeout(close, STAYS_MS);
}

/** Does something and shows its error, if it has one. Says whether it was done. */
export async function tried(action, done) {
  try {
    await action();
  } catch (error) {
    toast(words(error), 'bad');
    return false;
  }
  if (done) toast(done);
  return true;
}
