// Ready-made lines for whoever sends pictures to a stream, or shows it: with a token of its own for this stream, never a password.

import * as api from '../lib/api.js';
import { openDialog } from '../lib/dialog.js';
import { fill, h } from '../lib/dom.js';
import { copyButton, snippet } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { tried } from '../lib/toast.js';
import { button, notice } from './parts.js';

/** How long such a token is good. */
const DAYS = 365;

/** Each gives a text, of `parts` below. A token counts as the password of any user. */
const SENDING = {
  curl: ({ frame, bearer }) => `curl -T picture.jpg${bearer} \\\n  ${frame}`,
  Python: ({ frame, token }) =>
    `import requests\n\nwith open("picture.jpg", "rb") as picture:\n    answer = requests.put(\n        "${frame}",\n        data=picture,\n        headers={"Authorization": "Bearer ${token}"},\n        timeout=10,\n    )\nanswer.raise_for_status()`,
  ESP32: ({ frame, token }) =>
    `// Arduino, ESP32-CAM: after esp_camera_fb_get()\nHTTPClient http;\nhttp.begin("${frame}");\nhttp.addHeader("Authorization", "Bearer ${token}");\nhttp.addHeader("Content-Type", "image/jpeg");\nint status = http.PUT(fb->buf, fb->len);   // 200\nhttp.end();`,
  'Home Assistant': ({ frame, token }) =>
    `# configuration.yaml: an action that sends a camera's picture here\nshell_command:\n  send_picture: >-\n    curl -sf -T /config/www/picture.jpg -H 'Authorization: Bearer ${token}' '${frame}'`,
  'mtx-sidecar': ({ name, origin, token }) =>
    `SIDECAR_PASSWORD='${token}' mtx-sidecar push --url ${origin} --user token ${name} shots/ --watch`,
};

const SHOWING = {
  HTML: ({ mjpeg }) => `<img src="${mjpeg}">`,
  curl: ({ snapshot }) => `curl -o now.jpg '${snapshot}'`,
  Python: ({ snapshot }) =>
    `import requests\n\nanswer = requests.get("${snapshot}", timeout=20)\nanswer.raise_for_status()\nopen("now.jpg", "wb").write(answer.content)`,
  'Home Assistant': ({ mjpeg, snapshot }) =>
    `# Settings > Devices > Add integration > MJPEG IP Camera\n# MJPEG URL:\n${mjpeg}\n# Still image URL:\n${snapshot}`,
  OctoPrint: ({ mjpeg, snapshot }) =>
    `# Settings > Webcam & Timelapse\n# Stream URL:\n${mjpeg}\n# Snapshot URL:\n${snapshot}`,
  ffmpeg: ({ mjpeg }) => `ffplay -f mpjpeg '${mjpeg}'`,
};

/** Opens them for a stream. */
export function openSnippets(stream, addresses) {
  const { name, kind } = stream;
  const canSend = kind === 'upload';
  let [purpose, program, token] = [canSend ? 'send' : 'show', null, { send: null, show: null }];
  const purposes = h('div', { class: 'segmented', role: 'group', 'aria-label': t('console.purpose') });
  const programs = h('div', { class: 'row', role: 'group', 'aria-label': t('console.program') });
  const place = h('div', { class: 'stack tight' });
  const access = h('div', {});

  const draw = () => {
    const texts = purpose === 'send' ? SENDING : SHOWING;
    program = program in texts ? program : Object.keys(texts)[0];
    fill(
      purposes,
      [canSend && 'send', 'show'].filter(Boolean).map((one) =>
        h(
          'button',
          {
            type: 'button',
            'aria-pressed': String(one === purpose),
            onclick: () => {
              purpose = one;
              draw();
            },
          },
          t(`console.purpose_${one}`),
        ),
      ),
    );
    fill(
      programs,
      Object.keys(texts).map((one) =>
        h(
          'button',
          {
            type: 'button',
            class: 'small',
            'aria-pressed': String(one === program),
            onclick: () => {
              program = one;
              draw();
            },
          },
          one,
        ),
      ),
    );
    const text = texts[program](parts(name, token[purpose]));
    fill(place, h('pre', { tabIndex: 0, class: 'code' }, text), h('div', {}, copyButton(text)));
    fill(
      access,
      token[purpose]
        ? notice('good', h('p', {}, t('console.snippet_token_made', { days: DAYS })))
        : notice(
            '',
            h('p', {}, t('console.snippet_token_about')),
            button(
              'key',
              t('console.snippet_token'),
              () =>
                tried(async () => {
                  const permissions =
                    purpose === 'send' ? { publish_to: name } : { permissions: [{ action: 'read', path: name }] };
                  ({ token: token[purpose] } = await api.send('POST', 'api/v1/tokens', {
                    name: `${purpose} ${name}`.slice(0, 100),
                    expires: `${DAYS}days`,
                    ...permissions,
                  }));
                  draw();
                }),
              { class: 'small' },
            ),
          ),
    );
  };
  draw();
  const path = addresses?.pictures_path ? `${addresses.pictures_path}/${name}` : name;
  openDialog({
    title: t('console.snippets_of', { name }),
    wide: true,
    body: [
      purposes,
      programs,
      place,
      access,
      h('h3', {}, t('console.through_mediamtx')),
      addresses?.webrtc && snippet(`${addresses.webrtc}/${api.encoded(path)}`),
      snippet(`rtsp://${location.hostname}:8554/${path}`),
    ],
  });
}

function parts(name, token) {
  const shown = token ?? 'TOKEN';
  const origin = api.address('./').replace(/\/$/, '');
  const at = api.address;
  const withToken = (url) => (token ? `${url}?token=${encodeURIComponent(token)}` : url);
  return {
    name,
    origin,
    token: shown,
    bearer: ` -H 'Authorization: Bearer ${shown}'`,
    frame: at(`api/v1/streams/${api.encoded(name)}/frame`),
    mjpeg: withToken(at(`stream/${api.encoded(name)}.mjpeg`)),
    snapshot: withToken(at(`snapshot/${api.encoded(name)}.jpg`)),
  };
}
