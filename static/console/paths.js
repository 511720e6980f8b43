// Paths that MediaMTX shall have: what is wanted, what it has, and where the two differ.

import * as api from '../lib/api.js';
import { confirmed } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { field } from '../lib/form.js';
import { number, t } from '../lib/i18n.js';
import { toast, tried } from '../lib/toast.js';
import {
  badge,
  button,
  every,
  failure,
  formDialog,
  head,
  iconButton,
  notice,
  nothing,
  search,
  table,
} from './parts.js';

const EVERY_SECONDS = 10;

const COLOUR = { applied: 'good', pending: 'warn', conflict: 'bad', refused: 'bad', disabled: '' };

const address = (name) => `api/v1/paths/${api.encoded(name)}`;

export async function show(main, { args, signal }) {
  const told = h('div', {});
  let [paths, wanted] = [[], ''];
  const list = table({
    label: t('console.paths'),
    key: ({ name }) => name,
    columns: [
      {
        label: t('console.name'),
        class: 'wide',
        node: ({ name, note }) => [h('b', {}, name), note && h('p', { class: 'hint' }, note)],
        sign: ({ name, note }) => [name, note],
      },
      {
        label: t('console.wanted'),
        class: 'wide',
        node: (path) => wantedOf(path),
        sign: ({ kind, stream, url, fields, record }) => [kind, stream, url, fields, record],
      },
      {
        label: t('console.state'),
        node: (path) => [
          badge(t(`console.path_${path.state}`), COLOUR[path.state]),
          path.error && h('p', { class: 'hint bad' }, path.error),
          path.differs?.length > 0 &&
            h('p', { class: 'hint' }, t('console.differs', { fields: path.differs.join(', ') })),
        ],
        sign: ({ state, error, differs }) => [state, error, differs],
      },
      { label: t('console.actual'), text: ({ actual }) => actualOf(actual) },
      {
        label: t('console.enabled'),
        node: ({ name, enabled }) => toggle(name, enabled),
        sign: ({ enabled }) => enabled,
      },
      {
        label: '',
        class: 'row-actions',
        node: ({ name }) =>
          h(
            'div',
            { class: 'actions' },
            iconButton('edit', t('console.edit_of', { name }), () =>
              edit(paths.find((path) => path.name === name)).then((done) => done && look()),
            ),
            iconButton('trash', t('console.delete_of', { name }), () => remove(name)),
          ),
      },
    ],
    empty: nothing(
      'arrow',
      t('console.paths_none'),
      t('console.paths_none_about'),
      button('plus', t('console.path_new'), () => add()),
    ),
  });
  const toggle = (name, enabled) =>
    h('input', {
      type: 'checkbox',
      role: 'switch',
      checked: enabled,
      'aria-label': t('console.enabled_of', { name }),
      onchange: async ({ target }) => {
        target.disabled = true;
        if (!(await tried(() => api.send('PATCH', address(name), { enabled: target.checked }))))
          target.checked = enabled;
        target.disabled = false;
        look();
      },
    });
  const remove = async (name) => {
    if (
      !(await confirmed({
        title: t('console.delete_of', { name }),
        text: t('console.path_delete_about'),
        action: t('console.delete'),
      }))
    )
      return;
    await tried(() => api.call(address(name), { method: 'DELETE' }), t('console.deleted', { name }));
    look();
  };
  const add = async () => (await edit(null)) && look();
  const draw = () =>
    list.show(
      paths.filter(
        (path) =>
          !wanted || `${path.name} ${path.kind} ${path.state} ${path.note ?? ''}`.toLowerCase().includes(wanted),
      ),
    );
  const look = every(
    EVERY_SECONDS,
    signal,
    async () => {
      const found = await api.call('api/v1/paths', { signal });
      ({ paths } = found);
      draw();
      const { mediamtx } = found;
      fill(
        told,
        !mediamtx.reachable &&
          notice(
            'warn',
            h('p', {}, t('console.paths_away')),
            mediamtx.error && h('p', { class: 'hint' }, mediamtx.error),
          ),
      );
    },
    (error) => error && fill(told, failure(error, look)),
  );
  fill(
    main,
    head(
      'paths',
      search((text) => {
        wanted = text;
        draw();
      }),
      button('download', t('console.import'), async () => {
        await tried(async () => {
          const { imported, skipped } = await api.call('api/v1/paths/import', { method: 'POST' });
          toast(
            imported.length
              ? t('console.imported', { names: imported.join(', ') })
              : t('console.imported_none', { n: Object.keys(skipped ?? {}).length }),
            'info',
          );
        });
        look();
      }),
      button('edit', t('console.bulk'), async () => (await bulk(paths)) && look()),
      button('plus', t('console.path_new'), add, { class: 'primary' }),
    ),
    told,
    list.element,
  );
  signal.addEventListener(
    'abort',
    api.listen(['path.drift', 'path.available', 'path.unavailable'], () => look()),
  );
  await look();
  if (args.has('new')) add();
}

function wantedOf({ kind, stream, url, fields, record }) {
  const what =
    kind === 'stream'
      ? stream
      : kind === 'camera'
        ? url
        : Object.entries(fields ?? {})
            .map(([key, value]) => `${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)
            .join('\n');
  return [
    h('span', { class: 'dim' }, `${t(`console.path_kind_${kind}`)} `),
    record && badge(t('console.records'), 'bad'),
    h('code', { class: 'what' }, what),
  ];
}

function actualOf(actual) {
  if (!actual) return '—';
  const available = actual.available ?? actual.ready;
  const parts = [available ? t('console.available') : t('console.waiting')];
  if (actual.tracks?.length) parts.push(actual.tracks.join(' + '));
  if (actual.readers?.length) parts.push(t('console.readers_n', { n: number(actual.readers.length) }));
  return parts.join(' · ');
}

/** The form of a path; null for a new one. */
async function edit(path) {
  const isNew = path === null;
  const { streams } = await api.call('api/v1/streams').catch(() => ({ streams: [] }));
  const fields = h('div', { class: 'stack' });
  const kinds = ['camera', 'stream', 'raw'];
  const kindField = field({
    label: t('console.kind'),
    name: 'kind',
    value: path?.kind ?? 'camera',
    options: kinds.map((kind) => [kind, t(`console.path_kind_${kind}`)]),
  });
  const select = kindField.querySelector('select');
  const draw = () =>
    fill(
      fields,
      h('p', { class: 'hint' }, t(`console.path_kind_${select.value}_about`)),
      select.value === 'stream' &&
        field({
          label: t('console.stream'),
          name: 'stream',
          value: path?.stream ?? streams[0]?.name,
          required: true,
          options: [...new Set([path?.stream, ...streams.map(({ name }) => name)].filter(Boolean))].map((name) => [
            name,
            name,
          ]),
        }),
      select.value === 'camera' && [
        field({
          label: t('console.field_url'),
          name: 'url',
          value: path?.url ?? '',
          required: true,
          placeholder: 'rtsp://user:password@192.168.1.30/live',
          hint: t('console.path_url_about'),
          autocapitalize: 'none',
          spellcheck: false,
        }),
        field({
          label: t('console.field_transport'),
          name: 'transport',
          value: path?.transport ?? 'tcp',
          options: ['tcp', 'udp', 'automatic', 'multicast'].map((word) => [word, word]),
        }),
        field({ label: t('console.on_demand'), name: 'on_demand', type: 'checkbox', checked: path?.on_demand ?? true }),
      ],
      select.value === 'raw' &&
        field({
          label: t('console.fields'),
          name: 'fields',
          rows: 6,
          required: true,
          value: JSON.stringify(path?.fields ?? { source: 'publisher' }, null, 2),
          hint: t('console.fields_about'),
        }),
    );
  select.addEventListener('change', draw);
  draw();
  return formDialog({
    title: isNew ? t('console.path_new') : t('console.edit_of', { name: path.name }),
    action: isNew ? t('console.make') : t('console.save'),
    body: [
      isNew &&
        field({
          label: t('console.name'),
          name: 'name',
          required: true,
          placeholder: 'yard',
          autocapitalize: 'none',
          spellcheck: false,
          autofocus: true,
        }),
      kindField,
      fields,
      field({ label: t('console.record'), name: 'record', type: 'checkbox', checked: path?.record ?? false }),
      field({
        label: t('console.enabled'),
        name: 'enabled',
        type: 'checkbox',
        checked: path?.enabled ?? true,
        hint: t('console.enabled_about'),
      }),
      field({ label: t('console.note'), name: 'note', value: path?.note ?? '', maxLength: 1000 }),
    ],
    send: async (form) => {
      const of = (name) => form.elements[name];
      const kind = select.value;
      const wanted = { kind, record: of('record').checked, enabled: of('enabled').checked, note: of('note').value };
      if (path?.labels) wanted.labels = path.labels;
      if (kind === 'stream') wanted.stream = of('stream').value;
      if (kind === 'camera')
        Object.assign(wanted, {
          url: of('url').value.trim(),
          transport: of('transport').value,
          on_demand: of('on_demand').checked,
        });
      if (kind === 'raw') wanted.fields = parsed(of('fields').value, 'fields');
      const name = isNew ? of('name').value.trim() : path.name;
      await api.send('PUT', address(name), wanted);
      toast(isNew ? t('console.made', { name }) : t('console.saved', { name }));
    },
  });
}

function parsed(text, name) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw Object.assign(new Error(error.message), { field: name });
  }
}

/** All of them as a text: what it would change is shown before it does. */
function bulk(paths) {
  const written = Object.fromEntries(paths.map(({ name, state, error, differs, actual, ...wanted }) => [name, wanted]));
  const answer = h('div', { 'aria-live': 'polite' });
  let looked = null;
  const area = field({
    label: t('console.bulk_text'),
    name: 'paths',
    rows: 16,
    value: JSON.stringify(written, null, 2),
    hint: t('console.bulk_about'),
    spellcheck: false,
  });
  area.querySelector('textarea').addEventListener('input', () => {
    looked = null;
    answer.replaceChildren();
  });
  return formDialog({
    title: t('console.bulk'),
    action: t('console.bulk_apply'),
    wide: true,
    body: [area, answer],
    send: async (form) => {
      const text = form.elements.paths.value;
      const all = { paths: parsed(text, 'paths') };
      if (looked !== text) {
        const { added, changed, removed, unchanged } = await api.send('PUT', 'api/v1/paths?dry_run=1', all);
        looked = text;
        const line = (kind, names) =>
          names.length > 0 &&
          h(
            'p',
            {},
            h(
              'b',
              { class: { added: 'good', changed: 'warn', removed: 'bad' }[kind] },
              t(`console.bulk_${kind}`, { n: names.length }),
            ),
            ' ',
            names.join(', '),
          );
        fill(
          answer,
          notice(
            removed.length ? 'bad' : 'warn',
            h('p', {}, h('b', {}, t('console.bulk_would'))),
            line('added', added),
            line('changed', changed),
            line('removed', removed),
            h('p', {}, t('console.bulk_unchanged', { n: unchanged })),
            h('p', { class: 'hint' }, t('console.bulk_again')),
          ),
        );
        throw new Error('');
      }
      await api.send('PUT', 'api/v1/paths', all);
      toast(t('console.bulk_done'));
    },
  });
}
