// Publishing from this browser, by WHIP. What was begun goes on while other sections are looked at, and ends with the page.

import * as api from '../lib/api.js';
import { fill, h, remember, remembered } from '../lib/dom.js';
import { copyButton, field, showProblem } from '../lib/form.js';
import { number, t, words } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { head, notice, nothing } from './parts.js';
import { Publication } from './publication.js';
import { SOURCES, devices } from './sources.js';

const SHAPES = { still: 'pip', camera: 'camera', screen: 'screen', audio: 'sound', video: 'film' };

/** All that goes on, whatever is shown: name to { publication, card }. */
const running = new Map();

/** Draws the list of them where it is shown at the moment. */
let refresh = () => {};

addEventListener('beforeunload', (event) => running.size > 0 && event.preventDefault());
const stopAll = () => [...running.values()].forEach(({ publication }) => publication.stop());
addEventListener('pagehide', stopAll);
api.session.addEventListener('change', () => api.user() === null && stopAll());

export async function show(main, { signal }) {
  const list = h('div', { class: 'publications' });
  const none = nothing('screen', t('console.publish_none'), t('console.publish_none_about'));
  const told = h('div', {});
  refresh = () => {
    for (const { card } of running.values()) if (card.parentElement !== list) list.append(card);
    none.hidden = running.size > 0;
    mark();
  };
  const addresses = await api.call('api/v1/addresses', { signal });
  if (!window.isSecureContext) fill(told, notice('warn', h('p', {}, t('console.publish_insecure'))));
  fill(
    main,
    head('publish'),
    told,
    h(
      'div',
      { class: 'publish' },
      chooser(addresses),
      h('section', { class: 'stack', 'aria-label': t('console.publish_running') }, list, none),
    ),
  );
  refresh();
}

/** Says in the list of sections how many there are. */
function mark() {
  const count = document.querySelector('#sections [data-section=publish] .count');
  if (!count) return;
  count.textContent = running.size;
  count.hidden = running.size === 0;
}

/** The form: what, from which device, to which path. */
function chooser(addresses) {
  const last = remembered('publish', { kind: 'still', path: 'studio' });
  let kind = last.kind in SOURCES ? last.kind : 'still';
  const kinds = h('div', { class: 'kinds', role: 'radiogroup', 'aria-label': t('console.publish_what') });
  const options = h('div', { class: 'stack' });
  const send = h('button', { class: 'primary', id: 'publish-start' }, icon('play'), t('console.publish_start'));
  const drawKinds = () =>
    fill(
      kinds,
      Object.keys(SOURCES).map((one) =>
        h(
          'label',
          { class: 'kind' },
          h('input', {
            type: 'radio',
            name: 'kind',
            value: one,
            checked: one === kind,
            onchange: () => {
              kind = one;
              drawOptions();
            },
          }),
          icon(SHAPES[one], 22),
          h('span', {}, t(`console.source_${one}`)),
        ),
      ),
    );
  const drawOptions = async () => {
    const asked = kind;
    fill(options, h('p', { class: 'hint' }, t(`console.source_${kind}_about`)));
    const found = SOURCES[kind].takesDevices ? await devices() : { video: [], audio: [] };
    if (asked !== kind) return;
    const choice = (name, label, list, more = []) => field({ label, name, options: [...more, ...list] });
    fill(
      options,
      h('p', { class: 'hint' }, t(`console.source_${kind}_about`)),
      kind === 'still' &&
        field({ label: t('console.picture'), name: 'file', type: 'file', accept: 'image/*', required: true }),
      kind === 'audio' &&
        field({ label: t('console.audio_file'), name: 'file', type: 'file', accept: 'audio/*', required: true }),
      kind === 'video' &&
        field({ label: t('console.video_file'), name: 'file', type: 'file', accept: 'video/*', required: true }),
      kind === 'camera' && [
        choice('video', t('console.camera'), found.video, [['', t('console.as_usual')]]),
        choice('size', t('console.size'), [
          ['1280x720', '1280 × 720'],
          ['1920x1080', '1920 × 1080'],
          ['640x360', '640 × 360'],
        ]),
        choice('audio', t('console.microphone'), found.audio, [
          ['', t('console.as_usual')],
          ['none', t('console.no_sound')],
        ]),
      ],
      kind === 'screen' && field({ label: t('console.with_sound'), name: 'sound', type: 'checkbox', checked: true }),
      kind !== 'audio' &&
        field({
          label: t('console.max_kbps'),
          name: 'kbps',
          type: 'number',
          min: 100,
          max: 20000,
          step: 100,
          placeholder: '2500',
          hint: t('console.max_kbps_about'),
        }),
    );
  };
  const form = h(
    'form',
    { class: 'card stack publish-form', noValidate: true },
    h('h2', {}, t('console.publish_new')),
    kinds,
    options,
    field({
      label: t('console.path'),
      name: 'path',
      required: true,
      value: last.path,
      pattern: '[A-Za-z0-9_.\\-\\/]+',
      hint: t('console.publish_path_about'),
      autocapitalize: 'none',
      spellcheck: false,
    }),
    field({
      label: t('console.make_path'),
      name: 'make',
      type: 'checkbox',
      checked: true,
      hint: t('console.make_path_about'),
    }),
    h('p', { class: 'form-error bad', role: 'alert' }),
    h('div', { class: 'actions' }, send),
  );
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    showProblem(form, null);
    const wrong = [...form.elements].find((element) => element.willValidate && !element.checkValidity());
    if (wrong) return showProblem(form, Object.assign(new Error(wrong.validationMessage), { field: wrong.name }));
    const path = form.elements.path.value.trim();
    if (running.has(path))
      return showProblem(form, Object.assign(new Error(t('console.publish_twice', { path })), { field: 'path' }));
    send.disabled = true;
    try {
      const chosen = kind;
      const of = (name) => form.elements[name];
      const source = await SOURCES[chosen].open({
        file: of('file')?.files?.[0],
        video: of('video')?.value,
        audio: of('audio')?.value,
        size: of('size')?.value,
        sound: of('sound')?.checked,
      });
      const kbps = Number(of('kbps')?.value) || undefined;
      remember('publish', { kind: chosen, path });
      begin({
        path,
        kind: chosen,
        source,
        kbps,
        addresses,
        makePath: of('make').checked ? () => makePath(path) : null,
      });
      const next = path.match(/^(.*?)(\d+)$/);
      form.elements.path.value = next ? `${next[1]}${Number(next[2]) + 1}` : `${path}-2`;
      drawOptions();
    } catch (error) {
      const text =
        error.name === 'NotAllowedError'
          ? t('console.publish_denied')
          : error.name === 'NotFoundError'
            ? t('console.publish_no_device')
            : words(error);
      showProblem(form, Object.assign(new Error(text), { field: error.field }));
    } finally {
      send.disabled = false;
    }
  });
  drawKinds();
  drawOptions();
  navigator.mediaDevices?.addEventListener?.(
    'devicechange',
    () => form.isConnected && kind === 'camera' && drawOptions(),
  );
  return form;
}

const makePath = (path) =>
  api.send('PUT', `api/v1/paths/${api.encoded(path)}`, { kind: 'raw', fields: { source: 'publisher' } });

function begin({ path, kind, source, kbps, addresses, makePath: make }) {
  const publication = new Publication({ path, source, kbps, addresses, makePath: make });
  const state = h('span', { class: 'badge', role: 'status' });
  const reason = h('p', { class: 'hint' });
  const facts = h('p', { class: 'hint number' });
  const meter = h(
    'div',
    { class: 'meter', hidden: !source.level, role: 'img', 'aria-label': t('console.level') },
    h('span', {}),
  );
  const watch = `${addresses.webrtc}/${api.encoded(path)}/`;
  const file = h('input', {
    type: 'file',
    accept: 'image/*',
    class: 'visually-hidden',
    tabIndex: -1,
    'aria-label': t('console.replace'),
  });
  file.addEventListener('change', async () => {
    if (file.files[0])
      await source.replace(file.files[0]).catch((error) => {
        reason.textContent = words(error);
      });
    file.value = '';
  });
  const card = h(
    'article',
    { class: 'card publication', dataset: { path } },
    h('div', { class: 'publication-picture' }, source.preview ?? icon('sound', 40)),
    h(
      'div',
      { class: 'stack tight' },
      h('div', { class: 'spread' }, h('h2', {}, path), state),
      h('p', { class: 'hint' }, t(`console.source_${kind}`)),
      meter,
      facts,
      reason,
      h(
        'div',
        { class: 'row' },
        source.replace && [
          file,
          h(
            'button',
            { type: 'button', class: 'small', onclick: () => file.click() },
            icon('refresh', 16),
            t('console.replace'),
          ),
        ],
        source.canMute && muteButton(source),
        h(
          'a',
          { class: 'button small', href: watch, target: '_blank', rel: 'noreferrer' },
          icon('play', 16),
          t('console.watch_there'),
        ),
        copyButton(`rtsp://${location.hostname}:8554/${path}`, 'RTSP'),
        h(
          'button',
          { type: 'button', class: 'danger small', onclick: () => publication.stop() },
          icon('close', 16),
          t('console.publish_stop'),
        ),
      ),
    ),
  );
  running.set(path, { publication, card });
  const level = meter.firstElementChild;
  let shown = 0;
  const draw = () => {
    if (!running.has(path)) return;
    // Only what is looked at is drawn.
    if (source.level && card.isConnected && !document.hidden) {
      const now = source.level();
      shown = Math.max(now, shown * 0.85);
      level.style.transform = `scaleX(${shown.toFixed(3)})`;
    }
    requestAnimationFrame(draw);
  };
  if (source.level) draw();
  const timer = setInterval(async () => {
    if (!card.isConnected || document.hidden) return;
    const { width, height, fps, kbps: rate, codec, latencyMs } = await publication.stats();
    facts.textContent = [
      codec,
      width && `${width} × ${height}`,
      fps !== undefined && t('console.per_second', { n: number(fps, 1) }),
      rate !== null && rate !== undefined && `${number(rate)} kbit/s`,
      latencyMs && `${number(latencyMs)} ms`,
    ]
      .filter(Boolean)
      .join(' · ');
  }, 1500);
  publication.addEventListener('state', () => {
    state.textContent = t(`console.publish_${publication.state}`);
    state.className = `badge ${{ live: 'live', failing: 'failing' }[publication.state] ?? 'starting'}`;
    reason.textContent = publication.problem ? t('console.publish_problem', { problem: publication.problem }) : '';
    if (publication.state !== 'ended') return;
    clearInterval(timer);
    running.delete(path);
    card.remove();
    refresh();
  });
  publication.start();
  refresh();
}

function muteButton(source) {
  const button = h(
    'button',
    {
      type: 'button',
      class: 'small',
      'aria-pressed': 'false',
      onclick: () => {
        const muted = source.mute();
        button.setAttribute('aria-pressed', String(muted));
        fill(button, icon(muted ? 'mute' : 'microphone', 16), muted ? t('console.unmute') : t('console.mute'));
      },
    },
    icon('microphone', 16),
    t('console.mute'),
  );
  return button;
}
