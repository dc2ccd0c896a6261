// Runs before anything is painted, so that a page never flashes in the wrong theme. A choice is in the page already;
// without one the system's theme holds, and changes with it.
(() => {
  const root = document.documentElement;
  root.classList.add("scripts");  // before the first paint: what scripts will fill has its room from the start
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    root.dataset.bsTheme = root.dataset.themeChoice || (system.matches ? "dark" : "light");
  };
  apply();
  system.addEventListener("change", apply);
})();
