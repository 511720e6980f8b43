// The service worker of the viewer: a page that cannot be loaded says so, and is loaded again by itself. It keeps nothing, so
// that a page is never an old one.

/** The types of service workers are not those of pages. */
const worker = /** @type {any} */ (self);

/** @type {Record<string, string[]>} */
const WORDS = {
  en: ['The server does not answer.', 'This page opens by itself when it is back.'],
  ja: ['サーバーが応答しません。', '復旧すると自動的に表示されます。'],
  zh: ['服务器没有响应。', '恢复后本页会自动打开。'],
};

function page() {
  const language = worker.navigator.language.slice(0, 2);
  const [title, text] = WORDS[language] ?? WORDS.en;
  return `<!doctype html><html lang="${language in WORDS ? language : 'en'}"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="5"><meta name="color-scheme" content="light dark">
<title>mtx-sidecar</title><style>body{display:grid;place-content:center;min-height:90vh;margin:0;text-align:center;
font:1.1rem system-ui}h1{font-size:1.3rem}</style><h1>${title}</h1><p>${text}</p>`;
}

worker.addEventListener('install', () => worker.skipWaiting());
worker.addEventListener('activate', (/** @type {any} */ event) => event.waitUntil(worker.clients.claim()));
worker.addEventListener('fetch', (/** @type {any} */ event) => {
  if (event.request.mode !== 'navigate') return;
  const headers = { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store' };
  event.respondWith(fetch(event.request).catch(() => new Response(page(), { status: 503, headers })));
});
