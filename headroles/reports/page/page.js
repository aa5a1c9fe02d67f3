// Puts the page together; the last of the scripts.

function theme() {
  const button = document.getElementById("theme"), root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const update = () => button.setAttribute("aria-pressed", String(isDark()));
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    update();
  });
  system.addEventListener("change", update);
  update();
}

theme();
summarySection();
const start = headsSection();
changesSection();
spreadSection();
validationSection();
retrievalSection();
adaptationSection();
settingsSection();
if (start) start();
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const each of closed) each.open = true;
});
addEventListener("afterprint", () => {
  for (const each of closed) each.open = false;
});
addEventListener("hashchange", () => {
  const name = location.hash.slice(1);
  if (byName.has(name) && pinned !== name) goTo(name);
});
document.documentElement.dataset.ready = "true";
