// @ts-check
// Lines of code to copy, which send pictures to a stream or show it. They contain a token for this stream only, never a
// password.

import * as api from '../lib/api.js';
import { openDialog } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { copyButton, snippet } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { attempt } from '../lib/toast.js';
import { button, notice } from './parts.js';

/** The lifetime of a token, in days. */
const DAYS = 365;

/**
 * What a snippet contains. `frame` is where pictures are sent, `points` where numbers are; `mjpeg` and `snapshot` have the token in the address.
 *
 * @typedef {{ name: string, origin: string, token: string, frame: string, points: string, mjpeg: string, snapshot: string }} Values
 */

/** @typedef {Record<string, (values: Values) => string>} Snippets */

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
  HTML: ({ mjpeg }) => `<img src="${mjpeg}">`,
  curl: ({ snapshot }) => `curl -o now.jpg '${snapshot}'`,
  Python: ({ snapshot }) => `import requests

answer = requests.get("${snapshot}", timeout=20)
answer.raise_for_status()
open("now.jpg", "wb").write(answer.content)`,
  'Home Assistant': ({ mjpeg, snapshot }) => `# Settings > Devices > Add integration > MJPEG IP Camera
# MJPEG URL:
${mjpeg}
# Still image URL:
${snapshot}`,
  OctoPrint: ({ mjpeg, snapshot }) => `# Settings > Webcam & Timelapse
# Stream URL:
${mjpeg}
# Snapshot URL:
${snapshot}`,
  ffmpeg: ({ mjpeg }) => `ffplay -f mpjpeg '${mjpeg}'`,
};

/** @typedef {'send' | 'show'} Purpose */

/**
 * Opens the snippets of a stream.
 *
 * @param {Api.Stream} stream
 * @param {Api.Addresses | null} addresses
 */
export function openSnippets({ name, kind }, addresses) {
  const body = new SnippetPanel(name, kind).elements;
  const path = addresses?.path_prefix ? `${addresses.path_prefix}/${name}` : name;
  const title = h('h3', {}, t('console.through_mediamtx'));
  const page = addresses && snippet(`${addresses.webrtc}/${api.encoded(path)}`);
  const rtsp = addresses?.rtsp && snippet(`${addresses.rtsp}/${path}`);
  openDialog({
    title: t('console.snippets_of', { name }),
    wide: true,
    body: [body, title, page, rtsp],
  });
}

/** Two rows of buttons, for the purpose and the program, and the snippet that they choose. */
class SnippetPanel {
  #name;
  #sending;
  /** @type {Purpose[]} */
  #purposes;
  /** @type {Purpose} */
  #purpose;
  #program = '';
  /** @type {Partial<Record<Purpose, string>>} */
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
   */
  constructor(name, kind) {
    this.#name = name;
    this.#sending = kind === 'graph' ? NUMBERS : SENDING;
    this.#purposes = ['upload', 'graph'].includes(kind) ? ['send', 'show'] : ['show'];
    this.#purpose = this.#purposes[0];
    this.elements = [this.#purposeRow, this.#programRow, this.#text, this.#access];
    this.#draw();
  }

  #draw() {
    const snippets = this.#purpose === 'send' ? this.#sending : SHOWING;
    const programs = Object.keys(snippets);
    if (!programs.includes(this.#program)) this.#program = programs[0];
    const text = snippets[this.#program](valuesOf(this.#name, this.#tokens[this.#purpose]));
    fill(
      this.#purposeRow,
      this.#purposes.map((purpose) => this.#purposeButton(purpose)),
    );
    fill(
      this.#programRow,
      programs.map((program) => this.#programButton(program)),
    );
    fill(this.#text, h('pre', { tabIndex: 0, class: 'code' }, text), h('div', {}, copyButton(text)));
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
    if (this.#tokens[this.#purpose]) {
      return notice('good', h('p', {}, t('console.snippet_token_made', { days: DAYS })));
    }
    const make = () => attempt(() => this.#makeToken());
    const makeButton = button('key', t('console.snippet_token'), make, {
      class: 'small',
    });
    return notice('', h('p', {}, t('console.snippet_token_about')), makeButton);
  }

  async #makeToken() {
    const purpose = this.#purpose;
    const name = this.#name;
    const scope = purpose === 'send' ? { publish_to: name } : { permissions: [{ action: 'read', path: name }] };
    const common = {
      name: `${purpose} ${name}`.slice(0, 100),
      expires: `${DAYS}days`,
    };
    const made = await api.send('POST', 'api/v1/tokens', {
      ...common,
      ...scope,
    });
    this.#tokens[purpose] = made.token;
    this.#draw();
  }
}

/**
 * @param {string} name
 * @param {string} [token]
 * @returns {Values}
 */
function valuesOf(name, token) {
  const path = api.encoded(name);
  const withToken = (/** @type {string} */ url) => (token ? `${url}?token=${encodeURIComponent(token)}` : url);
  return {
    name,
    origin: api.address('./').replace(/\/$/, ''),
    token: token ?? 'TOKEN',
    frame: api.address(`api/v1/streams/${path}/frame`),
    points: api.address(`api/v1/streams/${path}/points`),
    mjpeg: withToken(api.address(`stream/${path}.mjpeg`)),
    snapshot: withToken(api.address(`snapshot/${path}.jpg`)),
  };
}
