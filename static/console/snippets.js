// @ts-check
// Lines of code to copy, which send pictures to a stream or show it. They contain a token for this stream only, never a
// password.

import * as api from '../lib/api.js';
import { openDialog } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { copyButton } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { streamAndPath } from '../lib/links.js';
import { attempt } from '../lib/toast.js';
import { button, notice } from './parts.js';
import { tokenUse } from './token_use.js';

/** The lifetime of a token, in days. */
const DAYS = 365;

/**
 * What a snippet contains. `frame` is where pictures are sent, `points` where numbers are; the addresses that show the stream, here and
 * at MediaMTX, have the token in them. `slug` is the name without slashes.
 *
 * @typedef {object} Values
 * @property {string} name
 * @property {string} slug
 * @property {string} origin
 * @property {string} token
 * @property {string} frame
 * @property {string} points
 * @property {string} mjpeg
 * @property {string} snapshot
 * @property {string} rtsp
 * @property {string} hls
 * @property {string} page
 */

/**
 * A text, or several, each with the key of its label.
 *
 * @typedef {Record<string, (values: Values) => string | [string, string][]>} Snippets
 */

/** @type {Snippets} */
const SENDING = {
  curl: ({ frame, token }) => `curl -T picture.jpg -H 'Authorization: Bearer ${token}' \\
  ${frame}`,
  Python: ({ frame, token }) => `import requests

with open("picture.jpg", "rb") as picture:
    answer = requests.put(
        "${frame}",
        data=picture,
        headers={"Authorization": "Bearer ${token}"},
        timeout=10,
    )
answer.raise_for_status()`,
  ESP32: ({ frame, token }) => `// Arduino, ESP32-CAM: after esp_camera_fb_get()
HTTPClient http;
http.begin("${frame}");
http.addHeader("Authorization", "Bearer ${token}");
http.addHeader("Content-Type", "image/jpeg");
int status = http.PUT(fb->buf, fb->len);   // 200
http.end();`,
  'Home Assistant': ({ frame, token }) => `# configuration.yaml: an action that sends a picture of a camera
shell_command:
  send_picture: >-
    curl -sf -T /config/www/picture.jpg -H 'Authorization: Bearer ${token}' '${frame}'`,
  // A token is accepted as the password of any user name.
  'mtx-sidecar': ({ name, origin, token }) =>
    `SIDECAR_PASSWORD='${token}' mtx-sidecar push --url ${origin} --user token ${name} shots/ --watch`,
};

/**
 * Numbers for a graph.
 *
 * @type {Snippets}
 */
const NUMBERS = {
  curl: ({ points, token }) => `curl -d '{"temperature": 21.5}' -H 'Authorization: Bearer ${token}' \\
  ${points}`,
  Python: ({ points, token }) => `import requests

answer = requests.post(
    "${points}",
    json={"temperature": 21.5},
    headers={"Authorization": "Bearer ${token}"},
    timeout=10,
)
answer.raise_for_status()`,
  Telegraf: ({ name, origin, token }) => `# telegraf.conf
[[outputs.influxdb_v2]]
  urls = ["${origin}"]
  bucket = "${name}"
  token = "${token}"`,
  ESPHome: ({ points, token }) => `http_request:
interval:
  - interval: 10s
    then:
      - http_request.post:
          url: ${points}
          request_headers: {Authorization: Bearer ${token}}
          body: !lambda 'return str_sprintf("{\\"temperature\\": %f}", id(temperature).state);'`,
  'Node-RED': ({ points, token }) => `// A function node before an "http request" node with "set by msg.method"
msg.payload = { temperature: Number(msg.payload) };
msg.method = "POST";
msg.url = "${points}";
msg.headers = { Authorization: "Bearer ${token}" };
return msg;`,
};

/** @type {Snippets} */
const SHOWING = {
  'Home Assistant': ({ mjpeg, snapshot, rtsp }) => [
    ['console.use_ha_stream', rtsp],
    ['console.use_ha_still', snapshot],
    ['console.use_ha_mjpeg', mjpeg],
  ],
  Frigate: ({ slug, rtsp }) => `go2rtc:
  streams:
    ${slug}: ${rtsp}
cameras:
  ${slug}:
    ffmpeg:
      inputs:
        - path: rtsp://127.0.0.1:8554/${slug}
          input_args: preset-rtsp-restream
          roles: [detect]`,
  go2rtc: ({ slug, rtsp }) => `streams:
  ${slug}: ${rtsp}`,
  VLC: ({ rtsp, hls }) => [
    ['console.use_network_stream', rtsp],
    ['console.use_hls', hls],
  ],
  OBS: ({ rtsp, page }) => [
    ['console.use_obs_media', rtsp],
    ['console.use_obs_browser', page],
  ],
  OctoPrint: ({ mjpeg, snapshot }) => [
    ['console.use_octoprint_stream', mjpeg],
    ['console.use_octoprint_snapshot', snapshot],
  ],
  HTML: ({ mjpeg }) => `<img src="${mjpeg}">`,
  curl: ({ snapshot }) => `curl -o now.jpg '${snapshot}'`,
  Python: ({ snapshot }) => `import requests

answer = requests.get("${snapshot}", timeout=20)
answer.raise_for_status()
open("now.jpg", "wb").write(answer.content)`,
  ffmpeg: ({ mjpeg, rtsp }) => [
    ['console.use_by_rtsp', `ffplay -rtsp_transport tcp '${rtsp}'`],
    ['console.use_by_mjpeg', `ffplay -f mpjpeg '${mjpeg}'`],
  ],
};

/** @typedef {'send' | 'show'} Purpose */

/**
 * Opens the snippets of a stream.
 *
 * @param {Api.Stream} stream
 * @param {Api.Addresses | null} addresses
 */
export function openSnippets({ name, kind }, addresses) {
  const ending = new AbortController();
  const body = new SnippetPanel(name, kind, addresses, ending.signal).elements;
  const { closed } = openDialog({ title: t('console.use_in', { name }), wide: true, body });
  closed.then(() => ending.abort());
}

/** Two rows of buttons, for the purpose and the program, and the snippet that they choose. */
class SnippetPanel {
  #name;
  #addresses;
  #sending;
  /** @type {Purpose[]} */
  #purposes;
  /** @type {Purpose} */
  #purpose;
  #program = '';
  #signal;
  /**
   * The tokens that were made here, and what is said of them.
   *
   * @type {Partial<Record<Purpose, { token: string, about: HTMLElement }>>}
   */
  #tokens = {};
  #purposeRow = h('div', {
    class: 'segmented',
    role: 'group',
    'aria-label': t('console.purpose'),
  });
  #programRow = h('div', {
    class: 'row',
    role: 'group',
    'aria-label': t('console.program'),
  });
  #text = h('div', { class: 'stack tight' });
  #access = h('div', {});

  /**
   * @param {string} name
   * @param {string} kind
   * @param {Api.Addresses | null} addresses
   * @param {AbortSignal} signal
   */
  constructor(name, kind, addresses, signal) {
    this.#name = name;
    this.#signal = signal;
    this.#addresses = addresses;
    this.#sending = kind === 'graph' ? NUMBERS : SENDING;
    this.#purposes = ['upload', 'graph'].includes(kind) ? ['send', 'show'] : ['show'];
    this.#purpose = this.#purposes[0];
    this.#purposeRow.hidden = this.#purposes.length < 2;
    this.elements = [this.#purposeRow, this.#programRow, this.#text, this.#access];
    this.#draw();
  }

  #draw() {
    const snippets = this.#purpose === 'send' ? this.#sending : SHOWING;
    const programs = Object.keys(snippets);
    if (!programs.includes(this.#program)) this.#program = programs[0];
    const made = snippets[this.#program](valuesOf(this.#name, this.#addresses, this.#tokens[this.#purpose]?.token));
    fill(
      this.#purposeRow,
      this.#purposes.map((purpose) => this.#purposeButton(purpose)),
    );
    fill(
      this.#programRow,
      programs.map((program) => this.#programButton(program)),
    );
    fill(this.#text, typeof made === 'string' ? wholeText(made) : made.map(([label, text]) => labelled(label, text)));
    fill(this.#access, this.#tokenNotice());
  }

  /** @param {Purpose} purpose */
  #purposeButton(purpose) {
    const onclick = () => {
      this.#purpose = purpose;
      this.#draw();
    };
    const pressed = String(purpose === this.#purpose);
    return h('button', { type: 'button', 'aria-pressed': pressed, onclick }, t(`console.purpose_${purpose}`));
  }

  /** @param {string} program */
  #programButton(program) {
    const onclick = () => {
      this.#program = program;
      this.#draw();
    };
    const pressed = String(program === this.#program);
    return h('button', { type: 'button', class: 'small', 'aria-pressed': pressed, onclick }, program);
  }

  #tokenNotice() {
    const made = this.#tokens[this.#purpose];
    if (made) return made.about;
    const make = () => attempt(() => this.#makeToken());
    const makeButton = button('key', t('console.snippet_token'), make, {
      class: 'small',
    });
    return notice('', h('p', {}, t('console.snippet_token_about')), makeButton);
  }

  async #makeToken() {
    const purpose = this.#purpose;
    const name = this.#name;
    // A token that shows the stream also opens its path at MediaMTX.
    const path = streamAndPath(name, this.#addresses?.path_prefix);
    const scope = purpose === 'send' ? { publish_to: name } : { permissions: [{ action: 'read', path }] };
    const common = {
      name: `${purpose} ${name}`.slice(0, 100),
      expires: `${DAYS}days`,
    };
    const { id, token } = await api.send('POST', 'api/v1/tokens', {
      ...common,
      ...scope,
    });
    const ending = new AbortController();
    this.#signal.addEventListener('abort', () => ending.abort());
    const revoked = () => {
      ending.abort();
      delete this.#tokens[purpose];
      this.#draw();
    };
    this.#tokens[purpose] = { token, about: tokenUse({ id, days: DAYS, signal: ending.signal, revoked }) };
    this.#draw();
  }
}

/** @param {string} text */
const wholeText = (text) => [h('pre', { tabIndex: 0, class: 'code' }, text), h('div', {}, copyButton(text))];

/**
 * A text under its label. An address has a QR code, for phones.
 *
 * @param {string} label
 * @param {string} text
 */
function labelled(label, text) {
  const code = h('div', { class: 'qr-place' });
  const show = () => attempt(async () => fill(code, await qrCode(text)));
  const isAddress = /^[a-z]+:\/\/\S+$/.test(text);
  return h(
    'div',
    { class: 'stack tight' },
    h('h3', {}, t(label)),
    h('pre', { tabIndex: 0, class: 'code' }, text),
    h(
      'div',
      { class: 'row' },
      copyButton(text),
      isAddress && button('qr', t('console.qr_show'), show, { class: 'small' }),
    ),
    code,
  );
}

/**
 * The QR code of an address, which the server draws.
 *
 * @param {string} text
 */
async function qrCode(text) {
  const { qr } = await /** @type {any} */ (api).send('POST', 'api/v1/qr', { text });
  const src = URL.createObjectURL(new Blob([qr], { type: 'image/svg+xml' }));
  const image = h('img', { class: 'qr', src, alt: t('console.qr'), width: 240, height: 240 });
  image.addEventListener('load', () => URL.revokeObjectURL(src));
  return image;
}

/**
 * @param {string} name
 * @param {Api.Addresses | null} addresses
 * @param {string} [token]
 * @returns {Values}
 */
function valuesOf(name, addresses, token) {
  const path = api.encoded(name);
  const withToken = (/** @type {string} */ url) => (token ? `${url}?token=${encodeURIComponent(token)}` : url);
  const there = addresses?.path_prefix ? `${addresses.path_prefix}/${path}` : path;
  // Servers say where MediaMTX listens; without its answer, its usual port is the best guess.
  const { rtsp = `rtsp://${location.hostname}:8554` } = /** @type {{ rtsp?: string }} */ (addresses ?? {});
  return {
    name,
    slug: name.replaceAll(/[^A-Za-z0-9_-]+/g, '_'),
    origin: api.address('./').replace(/\/$/, ''),
    token: token ?? 'TOKEN',
    frame: api.address(`api/v1/streams/${path}/frame`),
    points: api.address(`api/v1/streams/${path}/points`),
    mjpeg: withToken(api.address(`stream/${path}.mjpeg`)),
    snapshot: withToken(api.address(`snapshot/${path}.jpg`)),
    rtsp: withToken(`${rtsp}/${there}`),
    hls: withToken(`${addresses?.hls}/${there}/index.m3u8`),
    page: withToken(`${addresses?.webrtc}/${there}/`),
  };
}
