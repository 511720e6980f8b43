// @ts-check
// The first page: sign-in with the printed password, a first stream, and whether MediaMTX is set up for the sidecar.

import * as api from '../lib/api.js';
import { byId, fill, h } from '../lib/dom.js';
import { snippet } from '../lib/form.js';
import { errorText, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';
import { askToSignIn, startShell } from '../lib/shell.js';
import { card, mediaMtxCard } from './check.js';
import { Hero } from './hero.js';
import { links, uploadCard } from './upload.js';

const TEST_CARD = 'demo/test-card';

function signInCard() {
  const button = h('button', { type: 'button', class: 'primary', onclick: () => askToSignIn() }, t('common.sign_in'));
  const recovery = h('p', { class: 'hint' }, t('start.password_lost_text'));
  const lost = h('div', { class: 'stack' }, recovery, snippet('mtx-sidecar user add me --role admin'));
  return card(
    { id: 'sign-in-title', shape: 'key', title: t('start.sign_in_title'), wide: true },
    h('p', {}, t('start.sign_in_text')),
    h('div', { class: 'row' }, button),
    h('details', {}, h('summary', {}, t('start.password_lost')), lost),
  );
}

function linksCard() {
  /** @type {(path: string, shape: Icon, title: string) => HTMLElement} */
  const link = (path, shape, title) =>
    h('a', { class: 'button', href: api.address(path) }, icon(shape), h('span', {}, title));
  return card(
    { id: 'go-title', shape: 'arrow', title: t('start.go_title') },
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
      if (!streams.some(({ name }) => name === TEST_CARD)) {
        await api.send('PUT', `api/v1/streams/${api.encoded(TEST_CARD)}`, { kind: 'test-card' });
      }
      fill(result, await links(TEST_CARD, false));
      hero.show(TEST_CARD);
    } catch (error) {
      if (api.needsSignIn(error) && (await askToSignIn())) return make();
      fill(result, h('p', { class: 'notice bad' }, icon('alert'), errorText(error)));
    }
  };
  const button = h(
    'button',
    { type: 'button', id: 'make-test-card', onclick: make },
    icon('plus'),
    t('start.test_card_make'),
  );
  return card(
    { id: 'test-card-title', shape: 'screen', title: t('start.test_card_title') },
    h('p', {}, t('start.test_card_text')),
    h('div', { class: 'row' }, button),
    result,
  );
}

await startShell({ page: 'start', sections: ['start'] });
// Made once: the result of an upload, and the picture, stay after a sign-in.
const hero = new Hero();
const [upload, testCard] = [uploadCard((name) => hero.show(name)), testCardCard()];

/** On this machine, pictures can be sent and watched without an account: a sign-in is for the console. */
const isHere = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);

function draw() {
  const isAdmin = api.may('api');
  const signIn = api.user() === null && signInCard();
  fill(
    byId('main'),
    h('div', { class: 'intro' }, h('h1', {}, t('start.title')), h('p', {}, t('start.text'))),
    h(
      'div',
      { class: 'steps' },
      !isHere && signIn,
      hero.element,
      upload,
      testCard,
      linksCard(),
      isHere && signIn,
      isAdmin && mediaMtxCard(),
    ),
  );
}

/** Shows a picture to those who can see one. */
const showPicture = () => (isHere || api.user() !== null) && hero.showAny();

draw();
showPicture();
api.session.addEventListener('change', () => {
  draw();
  showPicture();
});
