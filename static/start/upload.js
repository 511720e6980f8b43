// "Show a picture": dropped, pasted or chosen, it becomes a stream.

import * as api from '../lib/api.js';
import { dropTarget, fill, h } from '../lib/dom.js';
import { snippet } from '../lib/form.js';
import { t, words } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { askToSignIn } from '../lib/shell.js';

export function uploadCard() {
  const name = h('input', {
    id: 'name',
    value: 'hello',
    maxLength: 200,
    pattern: '[0-9A-Za-z_.\\/\\-]+',
    required: true,
    spellcheck: false,
    'aria-label': t('start.stream_name'),
    title: t('start.stream_name_rule'),
  });
  const file = h('input', {
    id: 'file',
    type: 'file',
    accept: 'image/*',
    class: 'visually-hidden',
    'aria-label': t('start.choose'),
    onchange: () => {
      take(file.files[0]);
      file.value = '';
    },
  });
  const result = h('div', { id: 'result', class: 'result', role: 'status' });
  const drop = h(
    'form',
    { class: 'drop', onsubmit: (event) => event.preventDefault() },
    icon('upload', 30),
    h('p', {}, h('strong', {}, t('start.drop')), ' ', t('start.or_paste')),
    h('div', { class: 'named' }, h('label', { class: 'button primary', htmlFor: 'file' }, t('start.choose')), file),
    h('div', { class: 'named' }, h('label', { htmlFor: 'name' }, t('start.as_stream')), name),
  );

  async function send(picture) {
    fill(result, h('p', {}, t('start.sending', { file: picture.name || t('start.the_picture') })));
    try {
      const done = await api.call(`api/v1/streams/${api.encoded(name.value)}/frame`, { method: 'PUT', body: picture });
      fill(
        result,
        h(
          'p',
          { class: 'notice good' },
          icon('check'),
          h('span', {}, t('start.shows', { name: done.stream, width: done.width, height: done.height })),
        ),
        next(done.stream),
      );
    } catch (error) {
      if (error.status === 401 && (await askToSignIn())) return send(picture);
      fill(result, h('p', { class: 'notice bad' }, icon('alert'), h('span', {}, words(error))));
    }
  }

  const take = (picture) => picture && drop.reportValidity() && send(picture);
  dropTarget(drop, take);
  document.addEventListener('paste', (event) => take(event.clipboardData.files[0]));

  return h(
    'section',
    { class: 'card wide', 'aria-labelledby': 'upload-title' },
    h('div', { class: 'card-head' }, icon('camera', 24), h('h2', { id: 'upload-title' }, t('start.picture_title'))),
    drop,
    result,
  );
}

/** What can be done with a stream that has just been made; whether it `takes` pictures. */
export function next(name, takes = true) {
  const path = api.encoded(name);
  const rows = [
    [t('start.in_a_page'), `<img src="${api.address(`stream/${path}.mjpeg`)}">`],
    [t('start.one_picture'), `curl -o picture.jpg ${api.address(`snapshot/${path}.jpg`)}`],
  ];
  if (takes) rows.push([t('start.send_next'), `curl -T picture.jpg ${api.address(`api/v1/streams/${path}/frame`)}`]);
  return h(
    'div',
    { class: 'result' },
    h(
      'div',
      { class: 'row' },
      h(
        'a',
        { class: 'button primary', href: `${api.address('viewer/')}#/watch/${path}` },
        icon('play'),
        t('start.watch'),
      ),
    ),
    h(
      'dl',
      { class: 'snippets' },
      rows.map(([title, text]) => h('div', {}, h('dt', {}, title), h('dd', {}, snippet(text)))),
    ),
  );
}
