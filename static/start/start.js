// The first page: signing in with the password that was printed, a first stream, and whether MediaMTX is set up for it.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { snippet } from '../lib/form.js';
import { t, words } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { askToSignIn, startShell } from '../lib/shell.js';
import { mediaMtxCard } from './check.js';
import { next, uploadCard } from './upload.js';

const TEST_CARD = 'demo/test-card';

function signInCard() {
  return h(
    'section',
    { class: 'card wide', 'aria-labelledby': 'sign-in-title' },
    h('div', { class: 'card-head' }, icon('key', 24), h('h2', { id: 'sign-in-title' }, t('start.sign_in_title'))),
    h('p', {}, t('start.sign_in_text')),
    h(
      'div',
      { class: 'row' },
      h('button', { type: 'button', class: 'primary', onclick: () => askToSignIn() }, t('common.sign_in')),
    ),
    h(
      'details',
      {},
      h('summary', {}, t('start.password_lost')),
      h(
        'div',
        { class: 'stack' },
        h('p', { class: 'hint' }, t('start.password_lost_text')),
        snippet('mtx-sidecar user add me --role admin'),
      ),
    ),
  );
}

function linksCard() {
  const link = (to, shape, title, text) =>
    h(
      'a',
      { class: 'button', href: api.address(to) },
      icon(shape),
      h('span', {}, title),
      text && h('span', { class: 'dim' }, text),
    );
  return h(
    'section',
    { class: 'card', 'aria-labelledby': 'go-title' },
    h('div', { class: 'card-head' }, icon('arrow', 24), h('h2', { id: 'go-title' }, t('start.go_title'))),
    h('p', {}, t('start.go_text')),
    h(
      'div',
      { class: 'row' },
      link('viewer/', 'grid', t('common.viewer')),
      api.may('api') && link('console/', 'settings', t('common.console')),
      link('api/v1/openapi.json', 'info', 'OpenAPI'),
    ),
  );
}

function testCardCard() {
  const result = h('div', { class: 'result', role: 'status' });
  const make = async () => {
    try {
      const { streams } = await api.call('api/v1/streams');
      if (!streams.some(({ name }) => name === TEST_CARD))
        await api.send('PUT', `api/v1/streams/${TEST_CARD}`, { kind: 'test-card' });
      fill(result, next(TEST_CARD, false));
    } catch (error) {
      if (error.status === 401 && (await askToSignIn())) return make();
      fill(result, h('p', { class: 'notice bad' }, icon('alert'), words(error)));
    }
  };
  return h(
    'section',
    { class: 'card', 'aria-labelledby': 'card-title' },
    h('div', { class: 'card-head' }, icon('screen', 24), h('h2', { id: 'card-title' }, t('start.card_title'))),
    h('p', {}, t('start.card_text')),
    h(
      'div',
      { class: 'row' },
      h('button', { type: 'button', id: 'make-test-card', onclick: make }, icon('plus'), t('start.card_make')),
    ),
    result,
  );
}

await startShell({ page: 'start', sections: ['start'] });
// Made once: what somebody has uploaded stays when they sign in.
const [upload, testCard] = [uploadCard(), testCardCard()];

function draw() {
  fill(
    document.getElementById('main'),
    h('div', { class: 'intro' }, h('h1', {}, t('start.title')), h('p', {}, t('start.text'))),
    h(
      'div',
      { class: 'steps' },
      api.user() === null && signInCard(),
      upload,
      testCard,
      linksCard(),
      api.may('api') && mediaMtxCard(),
    ),
  );
}

draw();
api.session.addEventListener('change', draw);
