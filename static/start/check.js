// MediaMTX: whether it answers, and what in its configuration would not work, with lines to copy.

import * as api from '../lib/api.js';
import { dropTarget, fill, h } from '../lib/dom.js';
import { snippet } from '../lib/form.js';
import { t, words } from '../lib/i18n.js';
import { icon } from '../lib/icons.js';

export function mediaMtxCard() {
  const badge = h('span', { class: 'badge' }, '…');
  const told = h('p', { class: 'dim' });
  const text = h('textarea', {
    id: 'mediamtx-yml',
    rows: 7,
    spellcheck: false,
    placeholder: 'authMethod: http\nauthHTTPAddress: …',
    'aria-label': t('start.paste_yml'),
  });
  const found = h('div', { class: 'result', role: 'status' });

  async function look() {
    try {
      const { reachable, version, problem } = await api.call('api/v1/mediamtx');
      badge.textContent = reachable ? t('start.mediamtx_answers', { version }) : t('start.mediamtx_away');
      badge.className = `badge ${reachable ? 'good' : 'warn'}`;
      told.textContent = reachable ? '' : problem;
    } catch (error) {
      told.textContent = words(error);
    }
  }

  async function check() {
    try {
      const { findings } = await api.call('api/v1/mediamtx/check', {
        method: 'POST',
        headers: { 'Content-Type': 'application/yaml' },
        body: text.value,
      });
      fill(
        found,
        findings.length
          ? h('ul', { class: 'findings' }, findings.map(shown))
          : h('p', { class: 'notice good' }, icon('check'), t('start.check_fine')),
      );
    } catch (error) {
      fill(found, h('p', { class: 'notice bad' }, icon('alert'), words(error)));
    }
  }

  dropTarget(text, async (file) => {
    text.value = await file.text();
    check();
  });
  look();
  return h(
    'section',
    { class: 'card wide', 'aria-labelledby': 'mediamtx-title' },
    h('div', { class: 'card-head' }, icon('film', 24), h('h2', { id: 'mediamtx-title' }, 'MediaMTX'), badge),
    told,
    h('label', { htmlFor: 'mediamtx-yml' }, t('start.check_text')),
    text,
    h('div', { class: 'actions' }, h('button', { type: 'button', class: 'primary', onclick: check }, t('start.check'))),
    found,
    h('p', { class: 'hint' }, t('start.check_command')),
    snippet('mtx-sidecar check mediamtx.yml'),
  );
}

function shown({ severity, key, advice, fix }) {
  return h(
    'li',
    { class: ['finding', severity] },
    h(
      'div',
      { class: 'row' },
      h(
        'span',
        { class: `badge ${severity === 'error' ? 'bad' : 'warn'}` },
        severity === 'error' ? t('start.error') : t('start.warning'),
      ),
      h('code', {}, key),
    ),
    h('p', {}, advice),
    fix && snippet(fix),
  );
}
