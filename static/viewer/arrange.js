// Putting tiles in order: by dragging their handles, or with the arrow keys on them.

/**
 * Lets tiles of `wall` be moved by their `.tile-handle`. `moved(names)` is called with the keys in their new order, and
 * `tell(name, position, count)` for who cannot see it.
 */
export function arrangeable(wall, { moved, tell }) {
  const names = () => [...wall.children].map((tile) => tile.dataset.key);
  const place = (tile) => names().indexOf(tile.dataset.key);

  const move = (tile, to) => {
    const others = [...wall.children].filter((child) => child !== tile);
    const index = Math.max(0, Math.min(to, others.length));
    if (index === place(tile)) return;
    wall.insertBefore(tile, others[index] ?? null);
    tell(tile.dataset.key, index + 1, others.length + 1);
  };

  wall.addEventListener('keydown', (event) => {
    const handle = event.target.closest('.tile-handle');
    if (!handle) return;
    const columns = getComputedStyle(wall).gridTemplateColumns.split(' ').length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (!step) return;
    event.preventDefault();
    const tile = handle.closest('.tile');
    move(tile, place(tile) + step);
    handle.focus();
    moved(names());
  });

  wall.addEventListener('pointerdown', (event) => {
    const handle = event.target.closest('.tile-handle');
    if (!handle || event.button !== 0) return;
    event.preventDefault();
    const tile = handle.closest('.tile');
    handle.setPointerCapture(event.pointerId);
    tile.classList.add('is-dragged');
    const over = (at) => {
      const under = document
        .elementsFromPoint(at.clientX, at.clientY)
        .find((element) => element.matches?.('.tile') && element !== tile);
      if (under) move(tile, place(under));
    };
    const end = () => {
      tile.classList.remove('is-dragged');
      for (const name of ['pointermove', 'pointerup', 'pointercancel'])
        handle.removeEventListener(name, listeners[name]);
      moved(names());
    };
    const listeners = { pointermove: over, pointerup: end, pointercancel: end };
    for (const [name, listener] of Object.entries(listeners)) handle.addEventListener(name, listener);
  });
}
