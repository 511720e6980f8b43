// @ts-check
// MediaMTX: whether it answers, and what in its configuration has to change, with lines to copy.

import * as api from '../lib/api.js';
import { dropTarget, fill, h } from '../lib/dom.js';
import { snippet } from '../lib/form.js';
import { errorText, t } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';

/**
 * A section of the first page.
 *
 * @param {{ id: string, shape: Icon, title: string, wide?: boolean, badge?: HTMLElement }} head
 * @param {...Dom.Child} content
 */
export function card({ id, shape, title, wide = false, badge }, ...content) {
  return h(
    'section',
    { class: ['card', wide && 'wide'], 'aria-labelledby': id },
    h('div', { class: 'card-head' }, icon(shape, 24), h('h2', { id }, title), badge),
    content,
  );
}

export function mediaMtxCard() {
  const badge = h('span', { class: 'badge' }, '…');
  const problem = h('p', { class: 'dim' });
  const text = h('textarea', {
    id: 'mediamtx-yml',
    rows: 7,
    spellcheck: false,
    placeholder: 'authMethod: http\nauthHTTPAddress: …',
    'aria-label': t('start.paste_yml'),
  });
  const result = h('div', { class: 'result', role: 'status' });
  const check = () => showFindings(result, text.value);
  dropTarget(text, async (file) => {
    text.value = await file.text();
    check();
  });
  showState(badge, problem);
  return card(
    { id: 'mediamtx-title', shape: 'film', title: 'MediaMTX', wide: true, badge },
    problem,
    h('label', { htmlFor: 'mediamtx-yml' }, t('start.check_text')),
    text,
    h('div', { class: 'actions' }, h('button', { type: 'button', class: 'primary', onclick: check }, t('start.check'))),
    result,
    h('p', { class: 'hint' }, t('start.check_command')),
    snippet('mtx-sidecar check mediamtx.yml'),
  );
}

/**
 * Shows whether MediaMTX answers.
 *
 * @param {HTMLElement} badge
 * @param {HTMLElement} place
 */
async function showState(badge, place) {
  try {
    const { reachable, version, problem } = await api.call('api/v1/mediamtx');
    badge.textContent = reachable ? t('start.mediamtx_answers', { version }) : t('start.mediamtx_away');
    badge.className = `badge ${reachable ? 'good' : 'warn'}`;
    place.textContent = problem ?? '';
  } catch (error) {
    place.textContent = errorText(error);
  }
}

/**
 * Checks the text of a mediamtx.yml.
 *
 * @param {HTMLElement} place
 * @param {string} text
 */
async function showFindings(place, text) {
  const headers = { 'Content-Type': 'application/yaml' };
  try {
    const { findings } = await api.call('api/v1/mediamtx/check', { method: 'POST', headers, body: text });
    const none = h('p', { class: 'notice good' }, icon('check'), t('start.check_fine'));
    fill(place, findings.length ? h('ul', { class: 'findings' }, findings.map(findingItem)) : none);
  } catch (error) {
    fill(place, h('p', { class: 'notice bad' }, icon('alert'), errorText(error)));
  }
}

/** @param {Api.Finding} finding */
function findingItem({ severity, key, advice, fix }) {
  const badge =
    severity === 'error'
      ? h('span', { class: 'badge bad' }, t('start.error'))
      : h('span', { class: 'badge warn' }, t('start.warning'));
  return h(
    'li',
    { class: ['finding', severity] },
    h('div', { class: 'row' }, badge, h('code', {}, key)),
    h('p', {}, advice),
    fix && snippet(fix),
  );
}
