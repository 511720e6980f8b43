// Streams: what there is, live; making, changing and removing them; sending pictures to them.

import * as api from '../lib/api.js';
import { confirmed } from '../lib/dialog.js';
import { dropTarget, fill, h, keyed } from '../lib/dom.js';
import { ago, bytes, number, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { openLinkDialog } from '../lib/links.js';
import { toast, tried } from '../lib/toast.js';
import { Thumbnail } from '../viewer/thumbnails.js';
import { every, failure, head, iconButton, button, nothing, search } from './parts.js';
import { kindName } from './schema.js';
import { openSnippets } from './snippets.js';
import { editStream, newStream } from './stream_form.js';

/** Events tell at once; figures are looked at so often. */
const FIGURES_SECONDS = 5;

/** A picture that nobody watches anyway is not asked for more often than this. */
const THUMBNAIL_MS = { live: 5000, other: 30_000, upload: 3_600_000 };

export async function show(main, { args, signal }) {
  const told = h('div', {});
  const list = h('div', { class: 'stream-list', role: 'list', 'aria-label': t('console.streams') });
  const none = h('div', { hidden: true });
  const count = h('span', { class: 'dim', role: 'status' });
  let [streams, wanted, addresses] = [[], '', null];
  const found = search((text) => {
    wanted = text;
    draw();
  });
  const look = every(
    FIGURES_SECONDS,
    signal,
    async () => {
      ({ streams } = await api.call('api/v1/streams', { signal }));
      draw();
    },
    (error) => fill(told, error && failure(error, look)),
  );
  const make = async (name = '') => (await newStream(name)) && look();
  fill(
    main,
    head(
      'streams',
      found,
      button('plus', t('console.stream_new'), () => make(), { class: 'primary', id: 'new-stream' }),
    ),
    dropZone(look),
    told,
    count,
    list,
    none,
  );

  const tiles = new WeakMap();
  const seen = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) tiles.get(target)?.see(isIntersecting);
    },
    { rootMargin: '120px' },
  );
  signal.addEventListener('abort', () => {
    seen.disconnect();
    for (const element of list.children) tiles.get(element)?.end();
  });

  function draw() {
    const chosen = streams.filter(
      ({ name, kind, state }) => !wanted || `${name} ${kind} ${state}`.toLowerCase().includes(wanted),
    );
    keyed(list, chosen, {
      key: ({ name }) => name,
      make: (stream) => {
        const tile = new Tile(stream, { look, addresses: () => addresses });
        tiles.set(tile.element, tile);
        seen.observe(tile.element);
        return tile.element;
      },
      update: (element, stream) => tiles.get(element).update(stream),
      remove: (element) => {
        seen.unobserve(element);
        tiles.get(element).end();
      },
    });
    count.textContent =
      streams.length === chosen.length
        ? t('console.streams_count', { n: number(streams.length) })
        : t('console.streams_some', { n: number(chosen.length), all: number(streams.length) });
    none.hidden = chosen.length > 0;
    if (!none.hidden)
      fill(
        none,
        streams.length
          ? nothing('search', t('console.nothing_found'))
          : nothing(
              'camera',
              t('console.streams_none'),
              t('console.streams_none_about'),
              button('plus', t('console.stream_new'), () => make()),
            ),
      );
  }

  // An event says all that is different; only of what is not known yet the whole list is asked for.
  const unlisten = api.listen(['stream.state'], ({ path, data }) => {
    const known = streams.find(({ name }) => name === path);
    if (!known || data.state === 'removed') return look();
    Object.assign(known, { state: data.state, reason: data.reason });
    return draw();
  });
  signal.addEventListener('abort', unlisten);
  addresses = await api.call('api/v1/addresses').catch(() => ({ pictures_path: 'pictures' }));
  await look();
  if (args.has('new')) make(args.get('new') === '1' ? '' : args.get('new'));
}

/** A picture for a new or a present stream: dropped, pasted, chosen, or taken with a telephone's camera. */
function dropZone(look) {
  const name = h('input', {
    id: 'upload-name',
    value: 'hello',
    required: true,
    'aria-label': t('console.upload_name'),
    autocapitalize: 'none',
    spellcheck: false,
  });
  const file = h('input', {
    type: 'file',
    id: 'upload-file',
    accept: 'image/*',
    class: 'visually-hidden',
    tabIndex: -1,
    'aria-label': t('console.choose_picture'),
  });
  const told = h('span', { id: 'upload-told', role: 'status', class: 'hint' }, t('console.upload_about'));
  const take = async (chosen) => {
    if (!chosen || !name.reportValidity()) return;
    told.textContent = t('console.sending', { name: chosen.name || t('console.picture') });
    await upload(chosen, name.value, told);
    look();
  };
  file.addEventListener('change', () => {
    take(file.files[0]);
    file.value = '';
  });
  const zone = h(
    'section',
    { class: 'drop upload', 'aria-label': t('console.upload') },
    icon('upload'),
    told,
    h(
      'div',
      { class: 'row upload-row' },
      h('label', { htmlFor: 'upload-name' }, t('console.upload_to')),
      name,
      button('upload', t('console.choose_picture'), () => name.reportValidity() && file.click()),
      file,
    ),
  );
  dropTarget(zone, take);
  document.addEventListener('paste', (event) => {
    if (zone.isConnected && !document.querySelector('dialog[open]'))
      take([...event.clipboardData.files].find((one) => one.type.startsWith('image/')));
  });
  return zone;
}

async function upload(file, name, told) {
  try {
    const done = await api.call(`api/v1/streams/${api.encoded(name)}/frame`, { method: 'PUT', body: file });
    const text = t('console.uploaded', { name: done.stream, width: done.width, height: done.height });
    if (told) told.textContent = text;
    else toast(text);
    return true;
  } catch (error) {
    if (told) told.textContent = t('console.upload_about');
    toast(error.message, 'bad');
    return false;
  }
}

class Tile {
  constructor(stream, { look, addresses }) {
    const { name } = stream;
    Object.assign(this, { name, look });
    this.image = h('img', { alt: t('console.latest_of', { name }), width: 160, height: 90, decoding: 'async' });
    this.image.addEventListener('shown', () => this.element.classList.add('has-picture'));
    this.thumbnail = new Thumbnail(this.image, name);
    this.state = h('span', { class: 'badge' });
    this.reason = h('p', { class: 'hint reason' });
    this.facts = h('p', { class: 'hint number facts-line' });
    const file = h('input', {
      type: 'file',
      accept: 'image/*',
      class: 'visually-hidden',
      tabIndex: -1,
      'aria-label': t('console.upload_for', { name }),
    });
    file.addEventListener('change', async () => {
      if (file.files[0] && (await upload(file.files[0], name))) look();
      file.value = '';
    });
    this.send = iconButton('upload', t('console.upload_for', { name }), () => file.click());
    this.edit = iconButton('edit', t('console.edit_of', { name }), async () => (await editStream(name)) && look());
    this.drop = iconButton('trash', t('console.delete_of', { name }), () => this.remove());
    this.element = h(
      'div',
      { class: 'stream', role: 'listitem', dataset: { name } },
      h(
        'a',
        {
          class: 'stream-picture',
          href: `${api.address('viewer/')}#/watch/${api.encoded(name)}`,
          'aria-label': t('console.watch', { name }),
        },
        this.image,
      ),
      h(
        'div',
        { class: 'stream-words' },
        h('div', { class: 'stream-title' }, h('h2', { class: 'truncate', title: name }, name), this.state),
        this.facts,
        this.reason,
      ),
      h(
        'div',
        { class: 'stream-actions' },
        file,
        this.send,
        iconButton('link', t('console.link_of', { name }), () =>
          openLinkDialog({ name, hasPictures: true, picturesPath: addresses()?.pictures_path }),
        ),
        iconButton('copy', t('console.snippets_of', { name }), () => openSnippets(this.stream, addresses())),
        this.edit,
        this.drop,
      ),
    );
    dropTarget(this.element, async (dropped) => (await upload(dropped, name)) && look());
  }

  update(stream) {
    this.stream = stream;
    const { state, reason } = stream;
    const sign = `${state} ${reason}`;
    if (this.sign !== sign) {
      this.sign = sign;
      this.state.className = `badge ${state}`;
      this.state.textContent = t(`console.state_${state}`);
      this.reason.textContent = reason;
    }
    const text = factsOf(stream);
    if (this.facts.textContent !== text) this.facts.textContent = text;
    this.send.hidden = stream.kind !== 'upload';
    const fixed = stream.origin === 'file';
    this.edit.hidden = this.drop.hidden = fixed;
    const seq = stream.picture?.seq ?? null;
    // A picture that was sent is there at once; a camera's is looked for from time to time.
    if (this.seen && seq !== this.seq && stream.kind === 'upload') this.restart();
    this.seq = seq;
  }

  see(seen) {
    this.seen = seen;
    if (seen) this.restart();
    else this.thumbnail.stop();
  }

  restart() {
    this.thumbnail.stop();
    const isPushed = this.stream?.kind === 'upload';
    if (isPushed && !this.stream.picture && this.stream.frames === 0 && this.stream.state === 'starting') return;
    this.thumbnail.start(
      isPushed
        ? THUMBNAIL_MS.upload
        : this.stream?.state === 'live' && this.stream.watchers > 0
          ? THUMBNAIL_MS.live
          : THUMBNAIL_MS.other,
      320,
    );
  }

  end() {
    this.thumbnail.stop();
    if (this.image.src.startsWith('blob:')) URL.revokeObjectURL(this.image.src);
  }

  async remove() {
    const { name } = this;
    if (
      !(await confirmed({
        title: t('console.delete_of', { name }),
        text: t('console.stream_delete_about'),
        action: t('console.delete'),
      }))
    )
      return;
    await tried(
      () => api.call(`api/v1/streams/${api.encoded(name)}`, { method: 'DELETE' }),
      t('console.deleted', { name }),
    );
    this.look();
  }
}

function factsOf({ kind, picture, fps, watchers, dropped, origin }) {
  const parts = [kindName(kind)];
  if (picture) parts.push(`${picture.width} × ${picture.height}`, bytes(picture.bytes), ago(picture.age_seconds));
  if (fps >= 0.05) parts.push(t('console.per_second', { n: number(fps, 1) }));
  if (watchers) parts.push(t('console.watchers_n', { n: number(watchers) }));
  if (dropped) parts.push(t('console.dropped_n', { n: number(dropped) }));
  if (origin === 'file') parts.push(t('console.defined_in_file'));
  return parts.join(' · ');
}
