// @ts-check
// Style sheets that belong to a part of a page, and are loaded with it.

/** @type {Map<string, Promise<void>>} */
const sheets = new Map();

/**
 * Adds a style sheet, once. Fulfilled when it applies, so that nothing is seen without it, and also when it cannot be loaded: the part works
 * without.
 *
 * @param {URL} url
 */
export function loadStyle({ href }) {
  const known = sheets.get(href);
  if (known) return known;
  const loaded = /** @type {Promise<void>} */ (
    new Promise((done) => {
      const link = Object.assign(document.createElement('link'), { rel: 'stylesheet', href });
      for (const type of ['load', 'error']) link.addEventListener(type, () => done());
      document.head.append(link);
    })
  );
  sheets.set(href, loaded);
  return loaded;
}
