// Lighthouse on the pages of a running sidecar: accessibility and best practices of each, at least 95 of 100.
//
//   node run.mjs http://localhost:9995 admin PASSWORD
//
// The browser is that of CHROME_PATH, or /usr/bin/chromium. Performance is measured elsewhere (docs/pages.md, Cost).

import lighthouse from 'lighthouse';
import puppeteer from 'puppeteer-core';

const LEAST = 0.95;

/** Pages hold an endless request for events, so that they never become idle. */
const MOST_LOAD_MS = 6000;

const [, , base, user, pass] = process.argv;
const executablePath = process.env.CHROME_PATH ?? '/usr/bin/chromium';
const browser = await puppeteer.launch({ executablePath, args: ['--no-sandbox'] });
const page = await browser.newPage();

await page.goto(`${base}/`);
const status = await page.evaluate(
  async (body) => {
    const headers = { 'Content-Type': 'application/json' };
    return (await fetch('/api/v1/login', { method: 'POST', headers, body })).status;
  },
  JSON.stringify({ user, pass }),
);
if (status !== 200) throw new Error(`the sign-in of ${user} is answered with ${status}`);
const wall = await page.evaluate(async () => (await fetch('/api/v1/wall')).json());
const stage = wall.items?.length ? [`viewer/#/watch/${wall.items[0].name}`] : [];

let failed = false;
for (const at of ['', 'viewer/', ...stage, 'viewer/#/recordings', 'console/#/overview', 'console/#/streams']) {
  await page.goto('about:blank');
  const { lhr } = await lighthouse(
    `${base}/${at}`,
    {
      onlyCategories: ['accessibility', 'best-practices'],
      disableStorageReset: true,
      maxWaitForLoad: MOST_LOAD_MS,
      formFactor: 'desktop',
      screenEmulation: { disabled: true },
      logLevel: 'error',
    },
    undefined,
    page,
  );
  const scores = Object.values(lhr.categories).map(({ title, score }) => `${title} ${Math.round((score ?? 0) * 100)}`);
  console.log(`/${at}: ${scores.join(', ')}`);
  for (const { id, title, score, scoreDisplayMode } of Object.values(lhr.audits)) {
    if (scoreDisplayMode === 'binary' && score === 0) console.log(`  ${id}: ${title}`);
  }
  failed ||= Object.values(lhr.categories).some(({ score }) => !(score >= LEAST));
}
await browser.close();
process.exitCode = failed ? 1 : 0;
