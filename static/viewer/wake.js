// @ts-check
// Keeps the screen on while pictures play, where the browser can do that: pages over HTTPS, and of this machine.

/** @type {WakeLockSentinel | null} */
let lock = null;
let isAsking = false;

/**
 * The parts of the page that need it.
 *
 * @type {Set<string>}
 */
const wanting = new Set();

/**
 * Keeps the screen on for a part of the page, or no longer for it.
 *
 * @param {'wall' | 'stage' | 'phone'} part
 * @param {boolean} isOn
 */
export function keepAwake(part, isOn) {
  if (isOn) wanting.add(part);
  else wanting.delete(part);
  update();
}

async function update() {
  if (!('wakeLock' in navigator) || isAsking) return;
  const isNeeded = wanting.size > 0 && !document.hidden;
  if (isNeeded === Boolean(lock)) return;
  if (!isNeeded) {
    lock?.release().catch(() => {});
    lock = null;
    return;
  }
  isAsking = true;
  try {
    const own = await navigator.wakeLock.request('screen');
    // The browser releases it when the page is hidden.
    own.addEventListener('release', () => {
      if (lock === own) lock = null;
    });
    lock = own;
  } catch {
    return; // A low battery, or a policy: the screen goes dark as usual.
  } finally {
    isAsking = false;
  }
  update();
}

document.addEventListener('visibilitychange', update);
