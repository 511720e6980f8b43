// Runs before the first paint, so that a page in the dark does not flash white: a plain script in the head, no module.
(() => {
  const kept = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // Storage is forbidden in this browser.
    }
  };
  const root = document.documentElement;
  const theme = kept('theme');
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
  const language = kept('language') ?? navigator.language.slice(0, 2);
  root.lang = ['en', 'ja', 'zh'].includes(language) ? language : 'en';
})();
