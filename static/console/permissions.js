// @ts-check
// The editor of permissions: streams and paths with boxes to tick, and below them rows for everything else, such as regular
// expressions.

import * as api from '../lib/api.js';
import { fill, h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { streamAndPath } from '../lib/links.js';
import { button, iconButton, matches, searchField } from './parts.js';

const ACTIONS = ['read', 'publish', 'playback', 'api', 'metrics', 'pprof'];
const WITH_PATH = ['read', 'publish', 'playback'];

/** The columns of boxes, in the order of the page. */
const TICKS = ['read', 'playback', 'publish'];

/** What the box of a name stands for. */
const PURPOSES = /** @type {const} */ ({
  viewer: ['read'],
  recordings: ['read', 'playback'],
  camera: ['publish'],
  home_assistant: ['read'],
});

/** From this number of names on there is a search field. */
const MANY = 8;

/**
 * A name to tick: `path` is that of its permission to publish, and `watch` that of the others.
 *
 * @typedef {{ name: string, title: string, path: string, watch: string }} Target
 */

/**
 * The streams and paths that there are.
 *
 * @returns {Promise<Target[]>}
 */
async function targets() {
  const [{ streams }, { paths }, addresses] = await Promise.all([
    api.call('api/v1/streams').catch(() => ({ streams: [] })),
    api.call('api/v1/mediamtx/paths').catch(() => ({ paths: [] })),
    api.call('api/v1/addresses').catch(() => null),
  ]);
  const prefix = addresses?.path_prefix;
  // WebRTC and HLS play the path of a stream: who can watch the one can watch the other.
  const ours = streams.map(({ name, title }) => ({
    name,
    title: title ?? '',
    path: name,
    watch: streamAndPath(name, prefix),
  }));
  const names = new Set(ours.map(({ name }) => name));
  const others = paths
    .filter(({ name, stream }) => !stream && !name.startsWith('~') && !names.has(name))
    .map(({ name }) => ({ name, title: '', path: name, watch: name }));
  return [...ours, ...others];
}

/**
 * An editor: `element` for a form, and `value()` for the API.
 *
 * @param {Api.Permission[]} [permissions]
 */
export async function permissionEditor(permissions = []) {
  const all = await targets();
  const ticks = new Ticks(all, permissions);
  const rows = rowEditor(ticks.others, ticks.others.length > 0 || !all.length);
  const element = h(
    'fieldset',
    { class: 'stack tight' },
    h('legend', {}, t('console.permissions')),
    all.length > 0 && ticks.element,
    rows.element,
  );
  return { element, value: () => [...ticks.value(), ...rows.value()] };
}

/** The boxes. */
class Ticks {
  #targets;
  /** @type {Map<Target, Set<string>>} */
  #chosen = new Map();
  /** @type {readonly string[]} */
  #purpose = PURPOSES.viewer;
  #list = h('div', { class: 'ticks', role: 'group', 'aria-label': t('console.permission_streams') });
  #query = '';

  /**
   * @param {Target[]} all
   * @param {Api.Permission[]} permissions
   */
  constructor(all, permissions) {
    this.#targets = all;
    /** What no box stands for. */
    this.others = permissions.filter((permission) => !this.#take(permission));
    const purpose = h(
      'select',
      {
        'aria-label': t('console.purpose'),
        onchange: () => {
          this.#purpose = PURPOSES[/** @type {keyof typeof PURPOSES} */ (purpose.value)];
          for (const [target, actions] of this.#chosen)
            if (actions.size) this.#chosen.set(target, new Set(this.#purpose));
          this.#draw();
        },
      },
      Object.keys(PURPOSES).map((word) => h('option', { value: word }, t(`console.purpose_${word}`))),
    );
    const search = searchField((text) => {
      this.#query = text;
      this.#draw();
    });
    this.element = h(
      'div',
      { class: 'stack tight' },
      h('div', { class: 'row' }, purpose, all.length > MANY && search),
      this.#list,
    );
    this.#draw();
  }

  /**
   * Takes a permission over, if a box stands for it.
   *
   * @param {Api.Permission} permission
   */
  #take({ action, path }) {
    if (!TICKS.includes(action) || !path) return false;
    const target = this.#targets.find(
      (one) => path === (action === 'publish' ? one.path : one.watch) || path === one.name,
    );
    if (!target) return false;
    this.#set(target, action, true);
    return true;
  }

  /**
   * @param {Target} target
   * @param {string} action
   * @param {boolean} isOn
   */
  #set(target, action, isOn) {
    const actions = this.#chosen.get(target) ?? new Set();
    if (isOn) actions.add(action);
    else actions.delete(action);
    this.#chosen.set(target, actions);
  }

  #draw() {
    const found = this.#targets.filter(({ name, title }) => matches(this.#query, name, title));
    fill(this.#list, found.length ? found.map((target) => this.#row(target)) : t('console.nothing_found'));
  }

  /** @param {Target} target */
  #row(target) {
    const actions = this.#chosen.get(target) ?? new Set();
    const boxes = TICKS.map((action) => this.#box(target, action, actions.has(action)));
    const all = h('input', {
      type: 'checkbox',
      checked: actions.size > 0,
      onchange: () => {
        this.#chosen.set(target, new Set(all.checked ? this.#purpose : []));
        row.replaceWith(this.#row(target));
        const box = this.#list.querySelector(`[data-name="${CSS.escape(target.name)}"] input`);
        if (box instanceof HTMLElement) box.focus();
      },
    });
    const words = [
      h('span', {}, target.title || target.name),
      target.title && h('span', { class: 'hint' }, target.name),
    ];
    const row = h(
      'div',
      { class: 'tick-row', dataset: { name: target.name } },
      h('label', { class: 'tick-name' }, all, words),
      h('span', { class: 'tick-boxes' }, boxes),
    );
    return row;
  }

  /**
   * @param {Target} target
   * @param {string} action
   * @param {boolean} isOn
   */
  #box(target, action, isOn) {
    const onchange = () => this.#set(target, action, box.checked);
    const box = h('input', { type: 'checkbox', checked: isOn, dataset: { action }, onchange });
    return h('label', { class: 'tick' }, box, t(`console.may_${action}`));
  }

  /** @returns {Api.Permission[]} */
  value() {
    const all = [...this.#chosen].flatMap(([target, actions]) =>
      [...actions].map((action) => ({ action, path: action === 'publish' ? target.path : target.watch })),
    );
    return all;
  }
}

/**
 * The rows of action and path.
 *
 * @param {Api.Permission[]} permissions
 * @param {boolean} isOpen
 */
function rowEditor(permissions, isOpen) {
  /** @type {(() => Api.Permission)[]} */
  let values = [];
  const rows = h('div', { class: 'stack tight' });
  /** @param {Api.Permission} permission */
  const add = (permission) => {
    const { controls, value } = permissionRow(permission);
    const remove = iconButton('close', t('console.remove'), () => {
      values = values.filter((other) => other !== value);
      row.remove();
    });
    const row = h('div', { class: 'permission-row' }, controls, remove);
    rows.append(row);
    values.push(value);
  };
  permissions.forEach(add);
  const addButton = button('plus', t('console.permission_add'), () => add({ action: 'read' }), { class: 'small add' });
  const element = h(
    'details',
    { open: isOpen, class: 'permission-rows' },
    h('summary', {}, t('console.permission_more')),
    h(
      'div',
      { class: 'stack tight' },
      rows,
      h('div', {}, addButton),
      h('p', { class: 'hint' }, t('console.permission_hint')),
    ),
  );
  return { element, value: () => values.map((value) => value()) };
}

/** @param {Api.Permission} permission */
function permissionRow({ action, path }) {
  const name = h('input', {
    value: path ?? '',
    placeholder: t('console.permission_path'),
    'aria-label': t('console.permission_path'),
    autocapitalize: 'none',
    spellcheck: false,
  });
  const allowPath = () => {
    name.disabled = !WITH_PATH.includes(choice.value);
  };
  const choice = h(
    'select',
    { 'aria-label': t('console.action'), onchange: allowPath },
    ACTIONS.map((word) => h('option', { value: word, selected: word === action }, word)),
  );
  allowPath();
  /** @returns {Api.Permission} */
  const value = () => {
    const text = name.disabled ? '' : name.value.trim();
    return text ? { action: choice.value, path: text } : { action: choice.value };
  };
  return { controls: [choice, name], value };
}
