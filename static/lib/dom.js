// @ts-check
// Elements, without a framework. Text is always text: nothing here parses HTML.

/** Properties that exist on elements under these names but cannot be assigned there, or mean another thing. */
const ATTRIBUTES = ['form', 'height', 'list', 'role', 'width'];

/**
 * Makes an element.
 *
 * A property is set as a property if the element has it, else as an attribute. `class` (text or a list), `dataset` (an
 * object) and listeners (`onclick`) work as in HTML. `null` and `undefined` leave a property out. Children are
 * elements, text, or lists of both.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Dom.PropertiesByTag[T] | null} properties
 * @param {...Dom.Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) set(element, name, value);
  add(element, children);
  return element;
}

/**
 * @param {HTMLElement} element
 * @param {string} name
 * @param {any} value
 */
function set(element, name, value) {
  if (value === null || value === undefined) return;
  if (name === 'class') element.className = [value].flat().filter(Boolean).join(' ');
  else if (name === 'dataset') Object.assign(element.dataset, value);
  else if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
  else if (name in element && !ATTRIBUTES.includes(name)) Reflect.set(element, name, value);
  else element.setAttribute(name, value);
}

/**
 * @param {Element} parent
 * @param {readonly Dom.Child[]} children
 */
function add(parent, children) {
  for (const child of children) {
    if (Array.isArray(child)) add(parent, child);
    else if (child || child === 0) parent.append(/** @type {Node | string} */ (child));
  }
}

/**
 * Replaces the content of an element.
 *
 * @template {Element} E
 * @param {E} parent
 * @param {...Dom.Child} children
 * @returns {E}
 */
export function fill(parent, ...children) {
  parent.replaceChildren();
  add(parent, children);
  return parent;
}

/**
 * The element with this id, which the page's HTML has.
 *
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`no element has the id ${id}`);
  return element;
}

/**
 * Makes the children of `parent` match `items`, in their order. An element whose key is still there is kept, so that it
 * keeps its focus and its picture. `make` gives a new element, `update` is called for every element, `remove` for an
 * element that goes.
 *
 * @template T
 * @template {HTMLElement} E
 * @param {Element} parent
 * @param {readonly T[]} items
 * @param {{
 *   key: (item: T) => string | number,
 *   make: (item: T) => E,
 *   update?: (element: E, item: T) => void,
 *   remove?: (element: E) => void,
 * }} options
 */
export function keyed(parent, items, { key, make, update, remove }) {
  const keys = new Set(items.map((item) => String(key(item))));
  /** @type {Map<string | undefined, E>} */
  const known = new Map();
  for (const child of /** @type {E[]} */ ([...parent.children])) {
    if (child.dataset.key !== undefined && keys.has(child.dataset.key)) {
      known.set(child.dataset.key, child);
      continue;
    }
    remove?.(child);
    child.remove();
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    const element = known.get(name) ?? make(item);
    element.dataset.key = name;
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
    update?.(element, item);
  }
}

/**
 * Calls `take` with the first file that is dropped on the element.
 *
 * @param {HTMLElement} element
 * @param {(file: File) => void} take
 */
export function dropTarget(element, take) {
  /** @param {boolean} isOver */
  const over = (isOver) => (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    element.classList.toggle('over', isOver);
  };
  element.addEventListener('dragover', over(true));
  element.addEventListener('dragleave', over(false));
  element.addEventListener('drop', (event) => {
    over(false)(event);
    event.stopPropagation();
    const file = event.dataTransfer?.files[0];
    if (file) take(file);
  });
}

/**
 * A value that this browser has stored, or `fallback`.
 *
 * @template T
 * @param {string} key
 * @param {T} fallback
 * @returns {T}
 */
export function stored(key, fallback) {
  try {
    return JSON.parse(localStorage.getItem(key) ?? 'null') ?? fallback;
  } catch {
    return fallback; // The browser forbids storage, or the value is not JSON.
  }
}

/**
 * Stores a value in this browser as JSON.
 *
 * @param {string} key
 * @param {unknown} value
 */
export function store(key, value) {
  storeText(key, JSON.stringify(value));
}

/**
 * Stores a text as it is. If the browser forbids storage, the choice lasts until the page is left.
 *
 * @param {string} key
 * @param {string} text
 */
export function storeText(key, text) {
  try {
    localStorage.setItem(key, text);
  } catch {
    // Storage is forbidden or full.
  }
}
