// @ts-check
// Icons: strokes on a field of 24 by 24, drawn for these pages. Screen readers skip them; the element around an icon
// has the text.

const SHAPES = {
  alert: 'M12 4 2.500 20h19ZM12 10v5M12 17.500v.1',
  arrow: 'M4 12h15M13 6l6 6-6 6',
  back: 'M20 12H5M11 6l-6 6 6 6',
  camera: 'M4 8h3l2-3h6l2 3h3v11H4ZM12 10a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7',
  check: 'M4 12.500 9.500 18 20 7',
  clip: 'M7 4v16M17 4v16M4 7h16M4 17h16',
  close: 'M6 6l12 12M18 6 6 18',
  copy: 'M9 9h11v11H9ZM5 15H4V4h11v1',
  download: 'M12 4v11M7 11l5 5 5-5M4 20h16',
  edit: 'M4 20l1-4L16 5l3 3L8 19ZM14 7l3 3',
  exit: 'M10 4H4v16h6M9 12h11M16 8l4 4-4 4',
  eye: 'M2.500 12c4-8 15-8 19 0-4 8-15 8-19 0M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6',
  film: 'M4 5h16v14H4ZM8 5v14M16 5v14M4 9.700h4M4 14.300h4M16 9.700h4M16 14.300h4',
  fullscreen: 'M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5',
  gauge: 'M4 17a9 9 0 1 1 16 0M12 14l4-5',
  grid: 'M4 4h7v7H4ZM13 4h7v7h-7ZM4 13h7v7H4ZM13 13h7v7h-7Z',
  hide: 'M2.500 12c4-8 15-8 19 0-4 8-15 8-19 0M4 4l16 16',
  info: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 11v5.500M12 7.500v.1',
  key: 'M11 12a4 4 0 1 0-8 0 4 4 0 0 0 8 0h10v4M17 12v3',
  language: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M3 12h18M12 3c-6 5-6 13 0 18M12 3c6 5 6 13 0 18',
  keyboard: 'M3 6h18v12H3ZM7 10v.1M11 10v.1M15 10v.1M17.500 10v.1M8 14h8',
  link: 'M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1',
  menu: 'M4 7h16M4 12h16M4 17h16',
  minus: 'M5 12h14',
  microphone: 'M9 5a3 3 0 0 1 6 0v6a3 3 0 0 1-6 0ZM5 11a7 7 0 0 0 14 0M12 18v3',
  moon: 'M20 14A8.500 8.500 0 0 1 10 4a8.500 8.500 0 1 0 10 10',
  more: 'M5 12v.1M12 12v.1M19 12v.1',
  move: 'M12 3v18M3 12h18M9 6l3-3 3 3M9 18l3 3 3-3M6 9l-3 3 3 3M18 9l3 3-3 3',
  mute: 'M4 9v6h4l5 4V5L8 9ZM17 9l5 6M22 9l-5 6',
  next: 'M9 5l7 7-7 7',
  pause: 'M8 5v14M16 5v14',
  pip: 'M3 5h18v14H3ZM12 12h6v4h-6Z',
  play: 'M7 5l12 7-12 7Z',
  plus: 'M12 5v14M5 12h14',
  previous: 'M15 5l-7 7 7 7',
  qr: 'M4 4h6v6H4ZM14 4h6v6h-6ZM4 14h6v6H4ZM14 14h2v2h-2ZM18 18h2v2h-2ZM20 14v.1M14 20v.1',
  refresh: 'M20 5v5h-5M20 10a8 8 0 1 0 .500 4',
  screen: 'M3 4h18v12H3ZM8 20h8M12 16v4',
  search: 'M10.500 4a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13M15.500 15.500 20 20',
  settings: 'M4 7h9M19 7h1M16 4.500v5M4 17h1M11 17h9M8 14.500v5',
  sound: 'M4 9v6h4l5 4V5L8 9ZM16.500 9a4 4 0 0 1 0 6M19 6.500a8 8 0 0 1 0 11',
  star: 'M12 3.500l2.600 5.400 5.900.8-4.300 4.100 1 5.900L12 16.900l-5.200 2.800 1-5.900L3.500 9.700l5.900-.8Z',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.500 1.500M17.500 17.500 19 19M5 19l1.500-1.500M17.500 6.500 19 5',
  auto: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 3v18M12 7.500h6M12 12h9M12 16.500h6',
  trash: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5',
  upload: 'M12 20V8M7 12l5-5 5 5M4 4h16',
  user: 'M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8M4 21c0-9 16-9 16 0',
};

const SVG = 'http://www.w3.org/2000/svg';

/** @typedef {keyof typeof SHAPES} IconName */

/** All names. */
export const names = /** @type {IconName[]} */ (Object.keys(SHAPES));

/**
 * An icon by its name in the list above.
 *
 * @param {IconName} name
 * @param {number} [size] pixels
 */
export function icon(name, size = 20) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('width', String(size));
  svg.setAttribute('height', String(size));
  svg.setAttribute('aria-hidden', 'true');
  svg.classList.add('icon');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', SHAPES[name]);
  svg.append(path);
  return svg;
}
