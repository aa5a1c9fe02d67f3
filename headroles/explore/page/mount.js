// Puts the page into an element, apart from the styles of whatever is around it.

/**
 * `ask(message)` promises an answer; `state` keeps "heads" ([layer, head] pairs) and "image" (an id).
 * Promises a function that takes the page away.
 */
export async function mount(root, ask, state = ownState({ heads: [], image: "" })) {
  const shadow = root.shadowRoot || root.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  shadow.adoptedStyleSheets = [sheet];
  const unfollow = followTheme(root), stop = new AbortController();
  shadow.replaceChildren(Object.assign(document.createElement("p"), { className: "wait", textContent: "reading the images …" }));
  try {
    open(shadow, ask, await ask({ ask: "map" }), state, stop.signal);
    root.dataset.ready = "true";
  } catch (error) {
    shadow.firstElementChild.textContent = error.message;
    shadow.firstElementChild.setAttribute("role", "alert");
    if (!(error instanceof Error) || error.name !== "Error") throw error;
  }
  return () => {
    unfollow();
    stop.abort();
    state.stop();
    shadow.replaceChildren();
  };
}

/** A notebook's own theme, where it has one that is not the system's. */
function followTheme(root) {
  const places = [document.documentElement, document.body];
  const update = () => {
    const { jpThemeLight, vscodeThemeKind } = document.body.dataset, colab = document.documentElement.getAttribute("theme");
    const dark = jpThemeLight ? jpThemeLight === "false" : vscodeThemeKind ? vscodeThemeKind.includes("dark") : colab ? colab === "dark" : null;
    if (dark === null) delete root.dataset.theme;
    else root.dataset.theme = dark ? "dark" : "light";
  };
  const watcher = new MutationObserver(update);
  for (const place of places) watcher.observe(place, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-vscode-theme-kind", "theme"] });
  update();
  return () => watcher.disconnect();
}
