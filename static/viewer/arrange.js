// @ts-check
// The order of the tiles: changed by dragging their handles, or by the arrow keys on a handle.

const KEYS = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown'];

/**
 * Lets the user move the tiles of `wall` by their `.tile-handle`. `onMoved` gets all keys in their new order,
 * `announce` the new position for screen readers.
 *
 * @param {HTMLElement} wall
 * @param {{
 *   onMoved: (names: string[]) => void,
 *   announce: (name: string, position: number, count: number) => void,
 * }} options
 */
export function arrangeable(wall, { onMoved, announce }) {
  const tiles = () => /** @type {HTMLElement[]} */ ([...wall.children]);
  const nameOf = (/** @type {HTMLElement} */ tile) => tile.dataset.key ?? '';
  const names = () => tiles().map(nameOf);
  const place = (/** @type {HTMLElement} */ tile) => tiles().indexOf(tile);

  /** @type {(tile: HTMLElement, to: number) => void} */
  const move = (tile, to) => {
    const others = tiles().filter((other) => other !== tile);
    const index = Math.max(0, Math.min(to, others.length));
    if (index === place(tile)) return;
    wall.insertBefore(tile, others[index] ?? null);
    announce(nameOf(tile), index + 1, others.length + 1);
  };

  /**
   * The handle that an event is on, with its tile.
   *
   * @param {Event} event
   */
  const grabbed = ({ target }) => {
    const handle = /** @type {Element} */ (target).closest('.tile-handle');
    const tile = handle?.closest('.tile');
    return handle instanceof HTMLElement && tile instanceof HTMLElement ? { handle, tile } : null;
  };

  wall.addEventListener('keydown', (event) => {
    const found = grabbed(event);
    if (!found || !KEYS.includes(event.key)) return;
    event.preventDefault();
    const columns = getComputedStyle(wall).gridTemplateColumns.split(' ').length;
    const step = [-1, 1, -columns, columns][KEYS.indexOf(event.key)];
    move(found.tile, place(found.tile) + step);
    found.handle.focus();
    onMoved(names());
  });

  wall.addEventListener('pointerdown', (event) => {
    const found = grabbed(event);
    if (!found || event.button !== 0) return;
    event.preventDefault();
    const { handle, tile } = found;
    const ending = new AbortController();
    const { signal } = ending;
    handle.setPointerCapture(event.pointerId);
    tile.classList.add('is-dragged');
    const drag = (/** @type {PointerEvent} */ { clientX, clientY }) => {
      const below = document.elementsFromPoint(clientX, clientY).find((one) => one.matches('.tile') && one !== tile);
      if (below instanceof HTMLElement) move(tile, place(below));
    };
    const end = () => {
      ending.abort();
      tile.classList.remove('is-dragged');
      onMoved(names());
    };
    handle.addEventListener('pointermove', drag, { signal });
    handle.addEventListener('pointerup', end, { signal });
    handle.addEventListener('pointercancel', end, { signal });
  });
}
