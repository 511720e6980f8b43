// @ts-check
// Runs before the first paint, so that a dark page does not flash white: a plain script in the head, no module.
(() => {
  const stored = (/** @type {string} */ key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // This browser forbids storage.
    }
  };
  const root = document.documentElement;
  const theme = stored('theme');
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
  const language = stored('language') ?? navigator.language.slice(0, 2);
  root.lang = ['en', 'ja', 'zh'].includes(language) ? language : 'en';
})();
