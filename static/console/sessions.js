// Who is connected, here and to MediaMTX.

import * as api from '../lib/api.js';
import { confirmed } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { bytes, number, t } from '../lib/i18n.js';
import { tried } from '../lib/toast.js';
import { badge, every, failure, head, iconButton, notice, nothing, search, since, table } from './parts.js';

const EVERY_SECONDS = 5;

export async function show(main, { signal }) {
  const told = h('div', {});
  let [sessions, wanted] = [[], ''];
  const list = table({
    label: t('console.sessions'),
    key: ({ server, protocol, id }) => `${server} ${protocol} ${id}`,
    columns: [
      {
        label: t('console.protocol'),
        node: ({ protocol, server }) => [
          h('b', {}, protocol || '?'),
          h('p', { class: 'hint' }, server === 'sidecar' ? 'mtx-sidecar' : 'MediaMTX'),
        ],
      },
      {
        label: t('console.state'),
        node: ({ state }) =>
          badge(
            t(`console.session_${['read', 'publish', 'idle'].includes(state) ? state : 'idle'}`),
            { read: 'live', publish: 'warn' }[state],
          ),
        sign: ({ state }) => state,
      },
      { label: t('console.path'), class: 'wide', text: ({ path }) => path || '—' },
      { label: t('console.who'), text: ({ user }) => user || '—' },
      {
        label: t('console.remote'),
        class: 'wide',
        node: ({ remote, agent }) => [
          h('span', { class: 'number' }, remote),
          agent && h('p', { class: 'hint agent truncate', title: agent }, agent),
        ],
      },
      { label: t('console.since'), text: ({ since: begun }) => (begun ? since(begun) : '—') },
      { label: t('console.inbound'), class: 'number', text: ({ inbound_bytes: n }) => (n ? bytes(n) : '—') },
      { label: t('console.outbound'), class: 'number', text: ({ outbound_bytes: n }) => (n ? bytes(n) : '—') },
      {
        label: '',
        class: 'row-actions',
        node: (session) => iconButton('exit', t('console.kick_of', { remote: session.remote }), () => kick(session)),
      },
    ],
    empty: nothing('play', t('console.sessions_none'), t('console.sessions_none_about')),
  });
  const count = h('p', { class: 'dim', role: 'status' });
  const draw = () => {
    const chosen = sessions.filter(
      (one) =>
        !wanted ||
        `${one.protocol} ${one.server} ${one.path} ${one.user} ${one.remote} ${one.agent ?? ''}`
          .toLowerCase()
          .includes(wanted),
    );
    list.show(chosen);
    count.textContent = t('console.sessions_count', { n: number(sessions.length) });
  };
  const kick = async ({ server, protocol, id, remote, path }) => {
    if (
      !(await confirmed({
        title: t('console.kick'),
        text: t('console.kick_about', { remote, path: path || '—' }),
        action: t('console.kick'),
      }))
    )
      return;
    await tried(
      () =>
        api.call(`api/v1/sessions/${server === 'sidecar' ? 'sidecar' : protocol}/${encodeURIComponent(id)}`, {
          method: 'DELETE',
        }),
      t('console.kicked', { remote }),
    );
    look();
  };
  const look = every(
    EVERY_SECONDS,
    signal,
    async () => {
      const found = await api.call('api/v1/sessions', { signal });
      ({ sessions } = found);
      draw();
      fill(
        told,
        found.error && notice('warn', h('p', {}, t('console.sessions_away')), h('p', { class: 'hint' }, found.error)),
      );
    },
    (error) => error && fill(told, failure(error, look)),
  );
  fill(
    main,
    head(
      'sessions',
      search((text) => {
        wanted = text;
        draw();
      }),
    ),
    told,
    count,
    list.element,
  );
  signal.addEventListener(
    'abort',
    api.listen(['reader.joined', 'reader.left', 'path.available', 'path.unavailable'], () => look()),
  );
  await look();
}
