// @ts-check
// Dialogs: the browser's own <dialog>, which keeps the focus inside and closes with Escape.

import { h } from './dom.js';
import { t } from './i18n.js';
import { icon } from './icons.js';

let count = 0;

/**
 * Opens a dialog. `closed` is fulfilled with its returnValue after it was closed and removed. `wide` is for tables and
 * pictures. A <form> in `body` holds what the user fills in.
 *
 * @param {{ title: string, body: Dom.Child, wide?: boolean, className?: string }} options
 * @returns {{ dialog: HTMLDialogElement, closed: Promise<string> }}
 */
export function openDialog({ title, body, wide = false, className = '' }) {
  const id = `dialog-${++count}`;
  const close = h(
    'button',
    { type: 'button', class: 'icon-button', 'aria-label': t('common.close'), onclick: () => dialog.close('') },
    icon('close'),
  );
  const dialog = h(
    'dialog',
    { class: [wide && 'wide', className], 'aria-labelledby': id },
    h('div', { class: 'dialog-head' }, h('h2', { id }, title), close),
    h('div', { class: 'dialog-body' }, body),
  );
  document.body.append(dialog);
  const closed = new Promise((done) => {
    const end = () => {
      dialog.remove();
      done(dialog.returnValue);
    };
    dialog.addEventListener('close', end, { once: true });
  });
  dialog.showModal();
  return { dialog, closed };
}

/**
 * Asks before an action that cannot be undone; gives whether the user confirmed it. `action` is the text of the button.
 *
 * @param {{ title: string, text: string, action: string }} options
 */
export async function confirmed({ title, text, action }) {
  const cancel = h('button', { type: 'button', autofocus: true, onclick: () => dialog.close('') }, t('common.cancel'));
  const confirm = h('button', { type: 'button', class: 'danger', onclick: () => dialog.close('yes') }, action);
  const { dialog, closed } = openDialog({
    title,
    body: [h('p', {}, text), h('div', { class: 'actions' }, cancel, confirm)],
  });
  return (await closed) === 'yes';
}
