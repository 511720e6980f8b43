// How everything is.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { snippet } from '../lib/form.js';
import { bytes, dateTime, number, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { tried } from '../lib/toast.js';
import { badge, button, every, failure, formDialog, head, notice, since } from './parts.js';

const EVERY_SECONDS = 4;

export async function show(main, { signal }) {
  const told = h('div', {});
  const host = h('section', { class: 'card host' });
  const figures = h('div', { class: 'figures' });
  const curve = traffic();
  const check = h('section', { class: 'card stack tight', 'aria-live': 'polite' });
  const begin = h('div', {});
  fill(
    main,
    head(
      'overview',
      button('search', t('console.check_file'), () => checkFile()),
    ),
    told,
    begin,
    host,
    figures,
    curve.element,
    check,
  );

  let reachable = null;
  await every(
    EVERY_SECONDS,
    signal,
    async () => {
      const now = await api.call('api/v1/overview', { signal });
      showHost(host, now);
      showFigures(figures, now);
      curve.show(now.traffic);
      showBegin(begin, now);
      if (now.mediamtx.reachable !== reachable) {
        reachable = now.mediamtx.reachable;
        await checkLive(check, reachable);
      }
    },
    (error) => fill(told, error && failure(error)),
  )();
}

function showHost(place, { version, started, mediamtx }) {
  const sign = JSON.stringify([version, started, mediamtx]);
  if (place.sign === sign) return;
  place.sign = sign;
  fill(
    place,
    h(
      'div',
      { class: 'host-part' },
      h('h2', {}, 'MediaMTX'),
      mediamtx.reachable
        ? [
            badge(t('console.reachable'), 'good'),
            h(
              'span',
              { class: 'dim' },
              `${mediamtx.version?.trim()} · ${t('console.started', { when: dateTime(mediamtx.started) })}`,
            ),
          ]
        : [badge(t('console.away'), 'bad'), h('span', { class: 'dim' }, mediamtx.error ?? '')],
    ),
    h(
      'div',
      { class: 'host-part' },
      h('h2', {}, 'mtx-sidecar'),
      badge(t('console.reachable'), 'good'),
      h('span', { class: 'dim' }, `v${version} · ${t('console.started', { when: dateTime(started) })}`),
    ),
  );
}

function showFigures(place, now) {
  const figure = (value, label, to, more) =>
    h(
      to ? 'a' : 'div',
      { class: 'card figure-card', href: to },
      h('span', { class: 'figure' }, value),
      h('span', {}, label),
      more && h('span', { class: 'hint' }, more),
    );
  const { streams, paths } = now;
  const parts = [
    [streams.live, 'live'],
    [streams.starting, 'starting'],
    [streams.failing, 'failing'],
  ]
    .filter(([n]) => n)
    .map(([n, word]) => `${n} ${t(`console.state_${word}`)}`);
  const sign = JSON.stringify([streams, paths, now.watchers, now.readers, now.picture_memory]);
  if (place.sign === sign) return;
  place.sign = sign;
  fill(
    place,
    figure(number(streams.total), t('console.streams'), '#/streams', parts.join(' · ') || t('console.all_idle')),
    figure(
      number(paths.available),
      t('console.paths_available'),
      '#/paths',
      paths.kept > 0
        ? t('console.paths_kept', { n: paths.kept, differing: paths.differing })
        : t('console.paths_present', { n: paths.present }),
    ),
    figure(
      number(now.watchers + now.readers),
      t('console.watching'),
      '#/sessions',
      t('console.watching_split', { here: now.watchers, there: now.readers }),
    ),
    figure(
      bytes(now.picture_memory),
      t('console.picture_memory'),
      null,
      t('console.of', { limit: bytes(now.picture_memory_limit) }),
    ),
  );
}

/** What to do first, where nothing is yet. */
function showBegin(place, { streams }) {
  if (streams.total > 0) return place.replaceChildren();
  if (place.childElementCount) return;
  fill(
    place,
    h(
      'section',
      { class: 'notice begin' },
      icon('info'),
      h(
        'div',
        { class: 'notice-text' },
        h('h2', {}, t('console.begin')),
        h('p', {}, t('console.begin_about')),
        h(
          'div',
          { class: 'row' },
          button('camera', t('console.begin_card'), () =>
            tried(async () => {
              await api.send('PUT', 'api/v1/streams/test-card', { kind: 'test-card' });
              location.hash = '#/streams';
            }),
          ),
          h('a', { class: 'button', href: '#/streams?new=1' }, icon('plus', 18), t('console.stream_new')),
        ),
      ),
    ),
  );
}

async function checkLive(place, reachable) {
  if (!reachable) {
    return fill(
      place,
      h('h2', {}, t('console.check')),
      notice('warn', h('p', {}, t('console.check_away')), snippet('mtx-sidecar init && mediamtx mediamtx.yml')),
    );
  }
  try {
    const { findings } = await api.call('api/v1/mediamtx/check');
    fill(place, h('h2', {}, t('console.check')), found(findings));
  } catch (error) {
    fill(
      place,
      h('h2', {}, t('console.check')),
      failure(error, () => checkLive(place, reachable)),
    );
  }
}

const found = (findings) =>
  findings.length === 0
    ? notice('good', h('p', {}, t('console.check_fine')))
    : findings.map((finding) =>
        notice(
          finding.severity === 'error' ? 'bad' : 'warn',
          h('p', {}, h('code', {}, finding.key), ' ', finding.advice),
          finding.fix && snippet(finding.fix),
        ),
      );

async function checkFile() {
  const answer = h('div', { class: 'stack tight', 'aria-live': 'polite' });
  await formDialog({
    title: t('console.check_file'),
    action: t('console.check'),
    wide: true,
    body: [
      h(
        'div',
        { class: 'field' },
        h('label', { htmlFor: 'pasted' }, t('console.check_paste')),
        h('textarea', { id: 'pasted', name: 'body', rows: 12, required: true, spellcheck: false }),
        h('p', { class: 'field-error' }),
      ),
      answer,
    ],
    send: async (form) => {
      const { findings } = await api.call('api/v1/mediamtx/check', {
        method: 'POST',
        headers: { 'Content-Type': 'application/yaml' },
        body: form.elements.body.value,
      });
      fill(answer, found(findings));
      // It stays open, for the findings.
      throw Object.assign(new Error(''), { field: null });
    },
  });
}

/** The curve of traffic: two lines of SVG, drawn anew when there is a new value. */
function traffic() {
  const SVG = 'http://www.w3.org/2000/svg';
  const [width, height] = [600, 90];
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('role', 'img');
  svg.classList.add('curve');
  const lines = ['inbound', 'outbound'].map((name) => {
    const line = document.createElementNS(SVG, 'polyline');
    line.classList.add(name);
    svg.append(line);
    return [name, line];
  });
  const legend = h('div', { class: 'row legend' });
  const peak = h('span', { class: 'hint number' });
  return {
    element: h(
      'section',
      { class: 'card stack tight' },
      h('div', { class: 'spread' }, h('h2', {}, t('console.traffic')), peak),
      svg,
      legend,
    ),
    show(now) {
      const most = Math.max(1000, ...now.inbound, ...now.outbound);
      for (const [name, line] of lines) {
        const values = now[name];
        const step = width / 149;
        const begin = width - (values.length - 1) * step;
        line.setAttribute(
          'points',
          values
            .map(
              (value, i) =>
                `${(begin + i * step).toFixed(1)},${(height - 2 - (value / most) * (height - 6)).toFixed(1)}`,
            )
            .join(' '),
        );
      }
      const rate = (values) => `${bytes(values.at(-1) ?? 0)}/s`;
      const item = (name, word) =>
        h(
          'span',
          { class: 'legend-item' },
          h('span', { class: `dot ${name}` }),
          h('span', {}, word),
          h('b', { class: 'number' }, rate(now[name])),
          h('span', { class: 'hint number' }, t('console.in_all', { n: bytes(now[`total_${name}`]) })),
        );
      fill(legend, item('inbound', t('console.inbound')), item('outbound', t('console.outbound')));
      peak.textContent = t('console.peak', { rate: `${bytes(most)}/s` });
      svg.setAttribute(
        'aria-label',
        t('console.traffic_label', { inbound: rate(now.inbound), outbound: rate(now.outbound) }),
      );
    },
  };
}
