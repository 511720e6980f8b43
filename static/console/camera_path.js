// @ts-check
// Lets MediaMTX read the camera of a stream: makes a path of it, which the stream then shows.

import * as api from '../lib/api.js';
import { openDialog } from '../lib/dialog.js';
import { h } from '../lib/dom.js';
import { valueOf } from '../lib/form.js';
import { errorText, t } from '../lib/i18n.js';
import { toast } from '../lib/toast.js';
import { formDialog, nameField } from './parts.js';

/** The code of a failure that MediaMTX can perhaps do better (docs/errors.md). */
const UNREADABLE = 'rtsp_unreadable';

/**
 * Whether MediaMTX may be able to read the camera that the sidecar cannot read.
 *
 * @param {Api.Stream} stream
 */
export const mediaMtxMayRead = ({ failure }) => failure?.code === UNREADABLE;

/**
 * Makes a path of MediaMTX with the stream's camera; asks for another name if the stream's own is taken. Gives whether it
 * was made.
 *
 * @param {Api.Stream} stream
 */
export async function letMediaMtxRead({ name, origin }) {
  // The definitions of sidecar.yml are changed there only.
  const replace = origin !== 'file';
  const address = /** @type {const} */ (`api/v1/streams/${api.encoded(name)}/mediamtx-path`);
  const make = async (/** @type {string} */ path) => {
    const made = await api.send('POST', address, { name: path, replace });
    tell(name, made.path.name, replace);
    return true;
  };
  try {
    return await make(name);
  } catch (error) {
    if (!(error instanceof api.ApiError) || error.code !== 'path_exists') {
      toast(errorText(error), 'bad');
      return false;
    }
  }
  const text = h('p', {}, t('console.mediamtx_read_taken', { name }));
  const field = nameField({
    label: t('console.name'),
    name: 'name',
    value: `${name}-camera`,
    required: true,
    autofocus: true,
  });
  const send = (/** @type {HTMLFormElement} */ form) => make(valueOf(form, 'name'));
  return Boolean(
    await formDialog({ title: t('console.mediamtx_read'), action: t('console.make'), body: [text, field], send }),
  );
}

/**
 * Shows the result. What the user still has to do stays on the page until it is closed.
 *
 * @param {string} name
 * @param {string} path
 * @param {boolean} isReplaced
 */
function tell(name, path, isReplaced) {
  if (isReplaced) return toast(t('console.mediamtx_reads', { name, path }));
  const body = [h('p', {}, t('console.mediamtx_reads_file', { name, path })), h('pre', {}, `path: ${path}`)];
  openDialog({ title: t('console.mediamtx_read'), body });
}
