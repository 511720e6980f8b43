// @ts-check
// Zoom and pan of a picture: wheel, pinch, drag, and keys.

const MOST = 8;

/** How much one step of a key or of the wheel zooms. */
const STEP = 1.25;

export class Zoom {
  #screen;
  #pictures;
  #onChange;
  #scale = 1;
  #x = 0;
  #y = 0;
  /** @type {Map<number, PointerEvent>} */
  #pointers = new Map();

  /**
   * @param {HTMLElement} screen
   * @param {HTMLElement[]} pictures the elements that fill it
   * @param {(scale: number) => void} onChange
   */
  constructor(screen, pictures, onChange) {
    this.#screen = screen;
    this.#pictures = pictures;
    this.#onChange = onChange;
    screen.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
    screen.addEventListener('pointerdown', (event) => this.#down(event));
    screen.addEventListener('pointermove', (event) => this.#move(event));
    for (const type of /** @type {const} */ (['pointerup', 'pointercancel', 'pointerleave'])) {
      screen.addEventListener(type, ({ pointerId }) => this.#pointers.delete(pointerId));
    }
  }

  get scale() {
    return this.#scale;
  }

  /**
   * Zooms by a number of steps around a point; around the middle without one.
   *
   * @param {number} steps
   * @param {{ clientX: number, clientY: number }} [at]
   */
  by(steps, at) {
    this.#to(this.#scale * STEP ** steps, at);
  }

  reset() {
    this.#to(1);
  }

  /**
   * @param {number} wanted
   * @param {{ clientX: number, clientY: number }} [at]
   */
  #to(wanted, at) {
    const scale = Math.max(1, Math.min(MOST, wanted));
    const { left, top, width, height } = this.#screen.getBoundingClientRect();
    // The point under the pointer stays where it is.
    const [px, py] = at ? [at.clientX - left - width / 2, at.clientY - top - height / 2] : [0, 0];
    const ratio = scale / this.#scale;
    this.#x = px - (px - this.#x) * ratio;
    this.#y = py - (py - this.#y) * ratio;
    this.#scale = scale;
    this.#draw();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#screen;
    const [mostX, mostY] = [(width * (this.#scale - 1)) / 2, (height * (this.#scale - 1)) / 2];
    this.#x = Math.max(-mostX, Math.min(mostX, this.#x));
    this.#y = Math.max(-mostY, Math.min(mostY, this.#y));
    const isZoomed = this.#scale > 1;
    const transform = isZoomed ? `translate(${this.#x}px, ${this.#y}px) scale(${this.#scale})` : '';
    for (const picture of this.#pictures) picture.style.transform = transform;
    this.#screen.classList.toggle('is-zoomed', isZoomed);
    this.#onChange(this.#scale);
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    // A picture that is not zoomed lets the page scroll down.
    if (this.#scale === 1 && event.deltaY > 0 && !event.ctrlKey) return;
    event.preventDefault();
    this.by(-event.deltaY / 100, event);
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.target instanceof Element && event.target.closest('button, input, a')) return;
    this.#pointers.set(event.pointerId, event);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    this.#pointers.set(event.pointerId, event);
    const other = [...this.#pointers.values()].find(({ pointerId }) => pointerId !== event.pointerId);
    if (other) {
      const distance = (/** @type {PointerEvent} */ one) =>
        Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      const middle = { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 };
      this.#to((this.#scale * distance(event)) / Math.max(1, distance(before)), middle);
    } else if (this.#scale > 1) {
      this.#x += event.clientX - before.clientX;
      this.#y += event.clientY - before.clientY;
      this.#draw();
    }
  }
}
