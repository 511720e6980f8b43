// Elements, without a framework. Text is always text: nothing here parses HTML.

/**
 * Makes an element.
 *
 * Properties are set as properties where the element has them, else as attributes; `class` and `dataset` (an object)
 * are what one expects, `onclick` and its like are listeners, `null`, `undefined` and `false` are left out. Children are
 * elements, text, or lists of both; empty ones are left out.
 */
export function h(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) set(made, name, value);
  add(made, children);
  return made;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === 'class') element.className = Array.isArray(value) ? value.filter(Boolean).join(' ') : value;
  else if (name === 'dataset') Object.assign(element.dataset, value);
  else if (name.startsWith('on')) element.addEventListener(name.slice(2).toLowerCase(), value);
  else if (name in element && !name.includes('-') && !['list', 'form', 'role', 'width', 'height'].includes(name))
    element[name] = value;
  else element.setAttribute(name, value === true ? '' : value);
}

function add(parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false && child !== '') parent.append(child);
  }
}

/** Replaces what is in an element. */
export function fill(parent, ...children) {
  parent.replaceChildren();
  add(parent, children);
  return parent;
}

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/**
 * Makes the children of `parent` those of `items`, in this order, keeping each element whose key is there already: what is
 * not moved keeps its focus and its picture. `make(item)` gives a new element, `update(element, item)` is called for
 * all of them, `remove(element)` for those that go.
 */
export function keyed(parent, items, { key, make, update, remove }) {
  const names = new Set(items.map((item) => String(key(item))));
  const known = new Map();
  for (const child of [...parent.children]) {
    if (names.has(child.dataset.key)) {
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

/** Calls `take(file)` for the first file that is dropped on the element. */
export function dropTarget(element, take) {
  const over = (on) => (event) => {
    event.preventDefault();
    element.classList.toggle('over', on);
  };
  element.addEventListener('dragover', over(true));
  element.addEventListener('dragleave', over(false));
  element.addEventListener('drop', (event) => {
    over(false)(event);
    event.stopPropagation();
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
}

/** What this browser remembers, as JSON; `otherwise` if there is nothing, or storage is forbidden. */
export function remembered(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** Remembers it; `null` forgets. */
export function remember(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Storage is forbidden or full: things are as they were when the page is loaded again.
  }
}
