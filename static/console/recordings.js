// What MediaMTX has recorded. Looking at it is the viewer's business; here files are deleted.

import * as api from '../lib/api.js';
import { confirmed, openDialog } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { dateTime, number, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { tried } from '../lib/toast.js';
import { every, failure, head, iconButton, nothing, search, since, table } from './parts.js';

/** MediaMTX walks its disk for each question. */
const EVERY_SECONDS = 60;

export async function show(main, { signal }) {
  const told = h('div', {});
  let [recordings, wanted] = [[], ''];
  const viewer = (path) => `${api.address('viewer/')}#/recordings/${api.encoded(path)}`;
  const list = table({
    label: t('console.recordings'),
    key: ({ path }) => path,
    columns: [
      { label: t('console.path'), class: 'wide', node: ({ path }) => h('b', {}, path) },
      { label: t('console.files'), class: 'number', text: ({ segments }) => number(segments) },
      { label: t('console.first'), text: ({ first }) => (first ? dateTime(first) : '—') },
      { label: t('console.last'), text: ({ last }) => (last ? since(last) : '—') },
      {
        label: '',
        class: 'row-actions',
        node: ({ path }) =>
          h(
            'div',
            { class: 'actions' },
            h(
              'a',
              {
                class: 'button icon-button',
                href: viewer(path),
                title: t('console.play_of', { name: path }),
                'aria-label': t('console.play_of', { name: path }),
              },
              icon('play', 18),
            ),
            iconButton('more', t('console.files_of', { name: path }), () => files(path)),
          ),
      },
    ],
    empty: nothing(
      'film',
      t('console.recordings_none'),
      t('console.recordings_none_about'),
      h('a', { class: 'button', href: '#/paths' }, t('console.paths')),
    ),
  });
  const draw = () => list.show(recordings.filter(({ path }) => !wanted || path.toLowerCase().includes(wanted)));
  const look = every(
    EVERY_SECONDS,
    signal,
    async () => {
      ({ recordings } = await api.call('api/v1/recordings', { signal }));
      draw();
    },
    (error) => fill(told, error && failure(error, look)),
  );
  fill(
    main,
    head(
      'recordings',
      search((text) => {
        wanted = text;
        draw();
      }),
    ),
    told,
    list.element,
  );
  signal.addEventListener(
    'abort',
    api.listen(['recording.segment'], () => look()),
  );
  await look();

  async function files(path) {
    const address = `api/v1/recordings/${api.encoded(path)}`;
    const place = h('div', {});
    const shown = table({
      label: t('console.files_of', { name: path }),
      key: ({ start }) => start,
      columns: [
        { label: t('console.begins'), text: ({ start }) => dateTime(start) },
        {
          label: '',
          class: 'row-actions',
          node: ({ start }) =>
            iconButton('trash', t('console.delete_of', { name: dateTime(start) }), async () => {
              if (
                !(await confirmed({
                  title: t('console.delete_of', { name: dateTime(start) }),
                  text: t('console.file_delete_about'),
                  action: t('console.delete'),
                }))
              )
                return;
              await tried(
                () => api.call(`${address}?start=${encodeURIComponent(start)}`, { method: 'DELETE' }),
                t('console.deleted', { name: dateTime(start) }),
              );
              read();
            }),
        },
      ],
      empty: h('p', { class: 'dim' }, t('console.recordings_none')),
    });
    const read = async () => {
      const { segments } = await api.call(address);
      shown.show(segments.map((one) => (typeof one === 'string' ? { start: one } : one)).reverse());
    };
    if (!(await tried(read))) return;
    place.append(shown.element);
    openDialog({ title: t('console.files_of', { name: path }), body: place }).closed.then(look);
  }
}
