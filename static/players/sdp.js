// @ts-check
// What WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) share: ICE servers in Link headers, and trickled candidates.

/**
 * ICE servers of a Link header (RFC 9725, section 4.6).
 *
 * @param {string | null} header
 * @returns {RTCIceServer[]}
 */
export function iceServers(header) {
  return (header ?? '').split(/,\s*(?=<)/).flatMap((link) => {
    const url = link.match(/^<([^>]+)>;\s*rel="?ice-server"?/i)?.[1];
    if (!url) return [];
    /** @param {string} name */
    const parameter = (name) => {
      const quoted = link.match(new RegExp(`;\\s*${name}="((?:[^"\\\\]|\\\\.)*)"`, 'i'))?.[1];
      return quoted?.replaceAll(/\\(.)/g, '$1');
    };
    const [username, credential] = [parameter('username'), parameter('credential')];
    return [username === undefined ? { urls: [url] } : { urls: [url], username, credential }];
  });
}

/**
 * The address of a session. MediaMTX's Location header lacks the path that a proxy adds, which `base` has.
 *
 * @param {string} location
 * @param {string} endpoint
 * @param {string} [base]
 */
export function sessionUrl(location, endpoint, base = '') {
  const url = new URL(location, endpoint);
  const prefix = base ? new URL(base).pathname.replace(/\/$/, '') : '';
  if (location.startsWith('/') && prefix && !url.pathname.startsWith(`${prefix}/`))
    url.pathname = prefix + url.pathname;
  return url.href;
}

/**
 * Candidates as an SDP fragment (RFC 8840). MediaMTX needs a number as the mid of each media section.
 *
 * @param {string} offer
 * @param {RTCIceCandidate[]} candidates
 */
export function fragment(offer, candidates) {
  /** @param {string} name */
  const attribute = (name) => offer.match(new RegExp(`^a=${name}:(.*)$`, 'm'))?.[1].trim() ?? '';
  const sections = offer.split(/^(?=m=)/m).slice(1);
  const lines = [`a=ice-ufrag:${attribute('ice-ufrag')}`, `a=ice-pwd:${attribute('ice-pwd')}`];
  sections.forEach((section, i) => {
    const own = candidates.filter((candidate) => candidate.sdpMLineIndex === i);
    if (!own.length) return;
    lines.push(section.split('\r\n')[0], `a=mid:${i}`, ...own.map((candidate) => `a=${candidate.candidate}`));
  });
  return `${lines.join('\r\n')}\r\n`;
}

/**
 * An offer with stereo, for sources that have it: browsers play one channel of Opus otherwise.
 *
 * @param {string} offer
 */
export function withStereo(offer) {
  const opus = offer.match(/^a=rtpmap:(\d+) opus\/48000\/2/m)?.[1];
  return opus ? offer.replace(new RegExp(`^(a=fmtp:${opus} .*)$`, 'm'), '$1;stereo=1') : offer;
}
