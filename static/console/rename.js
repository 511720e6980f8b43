// @ts-check
// Another name for a stream, and what refers to it.

import * as api from '../lib/api.js';
import { confirmed } from '../lib/dialog.js';
import { valueOf } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { toast } from '../lib/toast.js';
import { KEEP_OPEN, formDialog, nameField } from './parts.js';

/** @typedef {Api.Answer<'api/v1/stream-rename', 'POST'>} Renamed */

/**
 * Asks for the new name of a stream; gives whether it has one.
 *
 * @param {string} from
 * @param {string} pattern of names
 */
export async function renameStream(from, pattern) {
  const name = nameField({
    label: t('console.rename_to'),
    name: 'to',
    value: from,
    required: true,
    pattern,
    hint: t('console.rename_about'),
    autofocus: true,
  });
  const done = await formDialog({
    title: t('console.rename_of', { name: from }),
    action: t('console.rename'),
    body: name,
    send: async (form) => {
      const to = valueOf(form, 'to');
      const plan = await api.send('POST', 'api/v1/stream-rename', { from, to, dry_run: true });
      const question = {
        title: t('console.rename_of', { name: from }),
        text: words(plan),
        action: t('console.rename'),
      };
      if (question.text && !(await confirmed(question))) return KEEP_OPEN;
      await api.send('POST', 'api/v1/stream-rename', { from, to, dry_run: false });
      toast(t('console.renamed', { from, to }));
      return true;
    },
  });
  return Boolean(done);
}

/**
 * What follows a new name, and what does not; empty if nothing refers to the stream.
 *
 * @param {Renamed} plan
 */
function words({ changed, left }) {
  const list = (/** @type {Renamed['changed']} */ references) =>
    references.map(({ kind, name }) => t(`console.referrer_${kind}`, { name })).join(', ');
  const texts = [
    changed.length > 0 && t('console.rename_follow', { list: list(changed) }),
    left.length > 0 && t('console.rename_left', { list: list(left) }),
  ];
  return texts.filter(Boolean).join(' ');
}
