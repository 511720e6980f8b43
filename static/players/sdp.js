// What WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) share: ICE servers in Link headers, and trickled candidates.

/** ICE servers of a Link header (RFC 9725, section 4.6). */
export function iceServers(header) {
  return (header ?? '').split(/,\s*(?=<)/).flatMap((link) => {
    const [, url] = link.match(/^<([^>]+)>;\s*rel="?ice-server"?/i) ?? [];
    if (!url) return [];
    const parameter = (name) =>
      link.match(new RegExp(`;\\s*${name}="((?:[^"\\\\]|\\\\.)*)"`, 'i'))?.[1].replaceAll(/\\(.)/g, '$1');
    const [username, credential] = [parameter('username'), parameter('credential')];
    return [
      username === undefined ? { urls: [url] } : { urls: [url], username, credential, credentialType: 'password' },
    ];
  });
}

/** The session's address. MediaMTX says it without what a proxy has in front of it. */
export function sessionUrl(location, endpoint, base = '') {
  const url = new URL(location, endpoint);
  const above = base ? new URL(base).pathname.replace(/\/$/, '') : '';
  if (location.startsWith('/') && above && !url.pathname.startsWith(`${above}/`)) url.pathname = above + url.pathname;
  return url.href;
}

/** Candidates as a fragment (RFC 8840); every section of media needs a mid that is a number (MediaMTX). */
export function fragment(offer, candidates) {
  const line = (name) => offer.match(new RegExp(`^a=${name}:(.*)$`, 'm'))?.[1].trim() ?? '';
  const sections = offer
    .split(/^(?=m=)/m)
    .slice(1)
    .map((section) => section.split('\r\n')[0]);
  const lines = [`a=ice-ufrag:${line('ice-ufrag')}`, `a=ice-pwd:${line('ice-pwd')}`];
  sections.forEach((media, i) => {
    const here = candidates.filter((candidate) => candidate.sdpMLineIndex === i);
    if (here.length) lines.push(media, `a=mid:${i}`, ...here.map((candidate) => `a=${candidate.candidate}`));
  });
  return `${lines.join('\r\n')}\r\n`;
}

/** Stereo, for sources that have it; browsers play one channel of Opus otherwise. */
export function withStereo(offer) {
  const opus = offer.match(/^a=rtpmap:(\d+) opus\/48000\/2/m)?.[1];
  return opus ? offer.replace(new RegExp(`^(a=fmtp:${opus} .*)$`, 'm'), '$1;stereo=1') : offer;
}
