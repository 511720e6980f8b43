// @ts-check
// The address behind #: empty, 'watch/NAME', 'recordings', 'recordings/PATH?with=OTHER&at=TIME&to=TIME',
// 'publish/PATH'.

/**
 * Its parts. An address that is cut off in an escape is not readable.
 *
 * @param {string} hash
 * @returns {{ kind: string, name: string, query: URLSearchParams, isReadable: boolean }}
 */
export function routeOf(hash) {
  const [path, ...after] = hash.replace(/^#\/?/, '').split('?');
  const query = new URLSearchParams(after.join('?'));
  const [kind, ...rest] = path.split('/');
  try {
    return { kind, name: rest.map(decodeURIComponent).join('/'), query, isReadable: true };
  } catch {
    return { kind: '', name: '', query, isReadable: false };
  }
}
