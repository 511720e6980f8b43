// Files of the media folders: looking through them, putting some there, and making channels of them.

import * as api from '../lib/api.js';
import { confirmed } from '../lib/dialog.js';
import { dropTarget, fill, h } from '../lib/dom.js';
import { field } from '../lib/form.js';
import { bytes, number, t, words } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { toast, tried } from '../lib/toast.js';
import { button, failure, formDialog, head, iconButton, nothing, since } from './parts.js';

const PAGE = 60;
const SHAPES = { folder: 'grid', picture: 'camera', video: 'film', audio: 'sound' };

const query = (values) =>
  new URLSearchParams(Object.entries(values).filter(([, value]) => value !== undefined && value !== ''));
const below = (folder, name) => (folder ? `${folder}/${name}` : name);

export async function show(main, { args, signal }) {
  const [root, path, type] = [args.get('root'), args.get('path') ?? '', args.get('type') ?? ''];
  const place = h('div', { class: 'stack' });
  const to = (more) => `#/media?${query({ root: root ?? undefined, path, type, ...more })}`;
  const file = h('input', {
    type: 'file',
    multiple: true,
    class: 'visually-hidden',
    tabIndex: -1,
    'aria-label': t('console.upload_files'),
  });
  const told = h('p', { class: 'hint', role: 'status' });
  // Empty until it is known that files can be put here; nothing is changed on a NAS.
  const changing = h('span', { class: 'row' });
  let writable = false;
  const again = () => list(0);
  const send = async (files) => {
    for (const one of files) {
      told.textContent = t('console.sending', { name: one.name });
      await tried(
        () =>
          api.call(`api/v1/media/file?${query({ root, path: below(path, one.name) })}`, { method: 'PUT', body: one }),
        t('console.stored', { name: one.name }),
      );
    }
    told.textContent = '';
    again();
  };
  file.addEventListener('change', () =>
    send([...file.files]).then(() => {
      file.value = '';
    }),
  );
  fill(
    main,
    head(
      'media',
      root !== null && [
        h(
          'select',
          {
            'aria-label': t('console.media_type'),
            class: 'narrow',
            onchange: ({ target }) => {
              location.hash = to({ type: target.value });
            },
          },
          ['', 'picture', 'video', 'audio'].map((one) =>
            h('option', { value: one, selected: one === type }, t(`console.media_${one || 'all'}`)),
          ),
        ),
        changing,
      ],
    ),
    crumbs(),
    told,
    place,
  );

  function crumbs() {
    if (root === null) return null;
    const parts = path ? path.split('/') : [];
    const link = (text, href, here) =>
      h('li', {}, here ? h('span', { 'aria-current': 'page' }, text) : h('a', { href }, text));
    return h(
      'nav',
      { class: 'crumbs', 'aria-label': t('console.folders') },
      h(
        'ol',
        {},
        link(t('console.folders'), '#/media'),
        link(root, to({ path: '' }), parts.length === 0),
        parts.map((part, i) => link(part, to({ path: parts.slice(0, i + 1).join('/') }), i === parts.length - 1)),
      ),
    );
  }

  async function list(start) {
    try {
      if (root === null) {
        const { roots } = await api.call('api/v1/media', { signal });
        const total = roots.length;
        return fill(
          place,
          total === 0
            ? nothing('film', t('console.media_none'), t('console.media_none_about'))
            : h(
                'div',
                { class: 'grid' },
                roots.map(({ name, kind, available, problem }) =>
                  h(
                    'a',
                    { class: 'card root', href: `#/media?${query({ root: name })}` },
                    icon('grid', 24),
                    h('b', { class: 'truncate' }, name),
                    kind === 'nas' && h('span', { class: 'badge' }, 'NAS'),
                    !available && h('span', { class: 'badge bad' }, t('console.media_away')),
                    problem && h('span', { class: 'hint' }, problem),
                  ),
                ),
              ),
        );
      }
      const found = await api.call(`api/v1/media?${query({ root, path, type, start, limit: PAGE })}`, { signal });
      if (found.writable && !writable) {
        writable = true;
        fill(
          changing,
          file,
          button('upload', t('console.upload_files'), () => file.click()),
        );
        dropTarget(main, (one) => send([one]));
      }
      const more = start + found.entries.length < found.total;
      const entries = h(
        'div',
        { class: 'media-list' },
        found.entries.map((entry) => item(entry)),
      );
      const next =
        more &&
        h(
          'div',
          { class: 'actions' },
          button('more', t('console.more', { n: number(found.total - start - found.entries.length) }), () =>
            list(start + PAGE),
          ),
        );
      if (start > 0) {
        place.querySelector('.media-list').append(...entries.children);
        place.lastElementChild.remove();
        if (next) place.append(next);
        return null;
      }
      return fill(
        place,
        found.total === 0
          ? nothing('film', t('console.folder_empty'), t('console.folder_empty_about'))
          : [entries, next],
      );
    } catch (error) {
      return signal.aborted ? null : fill(place, failure(error, again));
    }
  }

  function item({ name, kind, size, modified }) {
    const at = below(path, name);
    const picture = h('div', { class: 'media-picture' }, icon(SHAPES[kind] ?? 'info', 30));
    if (kind === 'picture') seen.observe(Object.assign(picture, { at }));
    const channel =
      ['picture', 'video', 'audio', 'folder'].includes(kind) &&
      iconButton('play', t('console.channel_of', { name }), () => makeChannel(root, at, name, kind));
    return h(
      'article',
      { class: 'card media-item' },
      kind === 'folder'
        ? h('a', { href: to({ path: at }), class: 'media-open', 'aria-label': name }, picture)
        : picture,
      h(
        'div',
        { class: 'media-words' },
        kind === 'folder'
          ? h('a', { class: 'truncate', href: to({ path: at }), title: name }, name)
          : h('b', { class: 'truncate', title: name }, name),
        h(
          'span',
          { class: 'hint' },
          kind === 'folder' ? t('console.folder') : `${bytes(size)}${modified ? ` · ${since(modified)}` : ''}`,
        ),
      ),
      h(
        'div',
        { class: 'row media-actions' },
        channel,
        ['video', 'audio'].includes(kind) && iconButton('info', t('console.info_of', { name }), () => info(at, name)),
        writable &&
          iconButton('trash', t('console.delete_of', { name }), async () => {
            if (
              !(await confirmed({
                title: t('console.delete_of', { name }),
                text: t('console.file_delete_about'),
                action: t('console.delete'),
              }))
            )
              return;
            await tried(
              () => api.call(`api/v1/media/file?${query({ root, path: at })}`, { method: 'DELETE' }),
              t('console.deleted', { name }),
            );
            again();
          }),
      ),
    );
  }

  const info = (at, name) =>
    tried(async () => {
      const facts = await api.call(`api/v1/media/info?${query({ root, path: at })}`);
      toast(
        `${name}: ${Object.entries(facts)
          .filter(([, value]) => value !== null && typeof value !== 'object')
          .map(([key, value]) => `${key.replaceAll('_', ' ')} ${value}`)
          .join(' · ')}`,
        'info',
      );
    });

  // Thumbnails of what is seen, and of nothing else.
  const seen = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        seen.unobserve(target);
        thumbnail(target);
      }
    },
    { rootMargin: '150px' },
  );
  const urls = [];
  signal.addEventListener('abort', () => {
    seen.disconnect();
    urls.forEach((url) => URL.revokeObjectURL(url));
  });
  async function thumbnail(target) {
    const response = await api
      .request(`api/v1/media/thumbnail?${query({ root, path: target.at })}`, { signal })
      .catch(() => null);
    if (!response?.ok || signal.aborted) return;
    const url = URL.createObjectURL(await response.blob());
    urls.push(url);
    target.replaceChildren(h('img', { src: url, alt: '', decoding: 'async' }));
  }

  await list(0);
}

/** One question, one request: a file becomes a channel. */
function makeChannel(root, path, name, kind) {
  const proposed =
    path
      .replace(/\.[a-z0-9]+$/i, '')
      .replaceAll(/[^A-Za-z0-9_./-]+/g, '-')
      .replaceAll(/^-+|-+$/g, '') || 'channel';
  return formDialog({
    title: t('console.channel_of', { name }),
    action: t('console.channel_make'),
    body: [
      h('p', { class: 'hint' }, t('console.channel_about')),
      field({
        label: t('console.name'),
        name: 'name',
        value: proposed,
        required: true,
        autocapitalize: 'none',
        spellcheck: false,
        autofocus: true,
      }),
      kind === 'folder' &&
        field({
          label: t('console.channel_as'),
          name: 'as',
          options: [
            ['', t('console.channel_as_holds')],
            ['slideshow', t('console.channel_as_slideshow')],
            ['playlist', t('console.channel_as_playlist')],
          ],
        }),
    ],
    send: async (form) => {
      const made = await api.send('POST', 'api/v1/media/channel', {
        root,
        path,
        name: form.elements.name.value.trim(),
        as: form.elements.as?.value || undefined,
      });
      toast(t('console.channel_made', { name: made.name }));
    },
  }).catch((error) => toast(words(error), 'bad'));
}
