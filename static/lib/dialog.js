// Dialogs: the browser's own <dialog>, which keeps the focus inside and closes with Escape.

import { h } from './dom.js';
import { icon } from './icons.js';
import { t } from './i18n.js';

let count = 0;

/**
 * Opens a dialog and gives { dialog, closed }: `closed` is fulfilled with the dialog's returnValue when it was closed, and
 * the dialog is gone then. `wide` is for tables and pictures. Put a <form> into `body` for what people fill in.
 */
export function openDialog({ title, body, wide = false, className = '' }) {
  const id = `dialog-${++count}`;
  const dialog = h(
    'dialog',
    { class: [wide && 'wide', className], 'aria-labelledby': id },
    h(
      'div',
      { class: 'dialog-head' },
      h('h2', { id }, title),
      h(
        'button',
        { type: 'button', class: 'icon-button', 'aria-label': t('common.close'), onclick: () => dialog.close('') },
        icon('close'),
      ),
    ),
    h('div', { class: 'dialog-body' }, body),
  );
  document.body.append(dialog);
  const closed = new Promise((done) => {
    dialog.addEventListener(
      'close',
      () => {
        dialog.remove();
        done(dialog.returnValue);
      },
      { once: true },
    );
  });
  dialog.showModal();
  return { dialog, closed };
}

/** Asks before something that cannot be undone; says whether to do it. `action` is the word on the button. */
export async function confirmed({ title, text, action }) {
  const { dialog, closed } = openDialog({
    title,
    body: [
      h('p', {}, text),
      h(
        'div',
        { class: 'actions' },
        h('button', { type: 'button', autofocus: true, onclick: () => dialog.close('') }, t('common.cancel')),
        h('button', { type: 'button', class: 'danger', onclick: () => dialog.close('yes') }, action),
      ),
    ],
  });
  return (await closed) === 'yes';
}
