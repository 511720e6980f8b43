// @ts-check
// The address behind #: empty, 'watch/NAME', 'recordings', 'recordings/PATH'.

/**
 * Its parts. An address that is cut off in an escape is not readable.
 *
 * @param {string} hash
 * @returns {{ kind: string, name: string, isReadable: boolean }}
 */
export function routeOf(hash) {
  const [kind, ...rest] = hash.replace(/^#\/?/, '').split('/');
  try {
    return { kind, name: rest.map(decodeURIComponent).join('/'), isReadable: true };
  } catch {
    return { kind: '', name: '', isReadable: false };
  }
}
