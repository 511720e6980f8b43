// A stream's definition as a form, made of what the server says of each kind.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { field } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { toast } from '../lib/toast.js';
import { formDialog } from './parts.js';
import { collect, control, kindAbout, kindName, streamKinds } from './schema.js';

/** MediaMTX's grammar for names, as the server checks it: said while one types. */
const NAME = '(?!.*(^|/)[.]{1,2}(/|$))[A-Za-z0-9_.\\-]+(/[A-Za-z0-9_.\\-]+)*';

/** Makes one; says whether it was made. */
export const newStream = (name = '') => edit({ name, definition: {}, isNew: true });

/** Changes one. */
export async function editStream(name) {
  try {
    const { definition } = await api.call(`api/v1/streams/${api.encoded(name)}`);
    return await edit({ name, definition: definition ?? {}, isNew: false });
  } catch (error) {
    toast(error.message, 'bad');
    return false;
  }
}

async function edit({ name, definition, isNew }) {
  const kinds = await streamKinds();
  const fields = h('div', { class: 'stack' });
  const about = h('p', { class: 'hint', 'aria-live': 'polite' });
  const kindField = field({
    label: t('console.kind'),
    name: 'kind',
    value: definition.kind ?? kinds[0].kind,
    options: kinds.map(({ kind }) => [kind, kindName(kind)]),
  });
  const select = kindField.querySelector('select');
  let chosen;
  const choose = () => {
    chosen = kinds.find(({ kind }) => kind === select.value);
    about.textContent = kindAbout(chosen);
    const present = chosen.kind === definition.kind ? definition : {};
    fill(
      fields,
      chosen.fields.map((one) => control(one, present[one.name])),
    );
  };
  select.addEventListener('change', choose);
  choose();
  return formDialog({
    title: isNew ? t('console.stream_new') : t('console.edit_of', { name }),
    action: isNew ? t('console.make') : t('console.save'),
    body: [
      isNew &&
        field({
          label: t('console.name'),
          name: 'name',
          value: name,
          required: true,
          pattern: NAME,
          hint: t('console.name_about'),
          placeholder: 'front/door',
          autocapitalize: 'none',
          spellcheck: false,
          autofocus: true,
        }),
      kindField,
      about,
      fields,
    ],
    send: async (form) => {
      const target = isNew ? form.elements.name.value.trim() : name;
      const wanted = { kind: chosen.kind, ...collect(form, chosen.fields) };
      await api.send('PUT', `api/v1/streams/${api.encoded(target)}`, wanted);
      toast(isNew ? t('console.made', { name: target }) : t('console.saved', { name: target }));
    },
  });
}
