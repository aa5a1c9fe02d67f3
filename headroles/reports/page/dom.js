// Elements, numbers and colours. Everything is set as text, never as markup: words come from other people's files.

const looks = new Map(data.looks.concepts.map((look) => [look.name, look]));

/** An element: `attributes` with `style` as an object, then children (nodes, or text; nothing for null). */
function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same in SVG. */
function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** A number as people read it; its full value is in `value` and in the tooltip. */
function number(value, digits = 2, sign = false) {
  if (value === null || value === undefined) return make("span", {}, "–");
  return make("data", { value: String(value), title: String(value) }, (sign && value > 0 ? "+" : "") + fixed(value, digits));
}

/** A p-value: to three places, or its power of ten where these would be zeros. */
function tiny(value) {
  if (value === null || value === undefined || value === 0 || value >= 0.0005) return number(value, 3);
  return make("data", { value: String(value), title: String(value) }, value.toExponential(1).replace("-", "\u2212"));
}

/** A share in percent; the full value is the share itself. */
function percent(value, digits = 1, sign = false) {
  if (value === null || value === undefined) return make("span", {}, "–");
  const text = (sign && value > 0 ? "+" : "") + fixed(100 * value, digits) + "%";
  return make("data", { value: String(value), title: String(value) }, text);
}

function fixed(value, digits) {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "\u2212");
}

function words(value) {
  return Number.isInteger(value) ? value.toLocaleString("en") : String(value);
}

function plural(count, one, many = one + "s") {
  return `${words(count)} ${count === 1 ? one : many}`;
}

/**
 * A table with a caption; a cell is a node or text, numbers to the right. `plain`: one that nobody would sort; without
 * buttons inside, it takes the focus itself, so that keys scroll it.
 */
function table(caption, head, rows, { plain, ...attributes } = {}) {
  const cell = (content) => make("td", { class: content instanceof HTMLDataElement ? "figure" : null }, content);
  const element = make("table", attributes,
    make("caption", {}, make("span", {}, caption)),
    make("thead", {}, make("tr", {}, head.map((title) => make("th", { scope: "col" }, title)))),
    make("tbody", {}, rows.map(([first, ...rest]) =>
      make("tr", {}, make("th", { scope: "row" }, first), rest.map(cell)))));
  return plain ? make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, element) : handy(element);
}

/** A part of the page, listed in the navigation as `short`. */
function section(id, short, title, ...children) {
  document.getElementById("sections").append(make("a", { href: "#" + id }, short));
  const heading = make("h2", { id: id + "-title" }, title);
  const element = make("section", { id, "aria-labelledby": id + "-title" }, heading, children);
  document.getElementById("main").append(element);
  return element;
}

/** The concept's letters on its colour. */
function chip(concept) {
  const look = looks.get(concept) || { code: concept.slice(0, 1).toUpperCase() || "?", color: "#777777", hatch: 0 };
  return make("span", { class: "chip hatch" + look.hatch, "aria-hidden": "true", style: { "--fill": look.color, color: inkOn(look.color) } },
    make("span", {}, look.code));
}

/** The role's mark: triangle, diamond or circle; hollow for a head that does not stand out from chance. */
function mark(role, hollow = false) {
  return make("span", { class: `mark ${role}${hollow ? " hollow" : ""}`, "aria-hidden": "true" });
}

const channel = (hex, at) => parseInt(hex.slice(at, at + 2), 16);
const rgb = (hex) => [channel(hex, 1), channel(hex, 3), channel(hex, 5)];

/** The colour at `position` (0 to 1) of a scale of hex colours. */
function between(scale, position) {
  const place = Math.min(1, Math.max(0, position)) * (scale.length - 1);
  const low = Math.floor(place), high = Math.min(scale.length - 1, low + 1);
  const [from, to] = [rgb(scale[low]), rgb(scale[high])];
  const mixed = from.map((value, index) => Math.round(value + (to[index] - value) * (place - low)));
  return "#" + mixed.map((value) => value.toString(16).padStart(2, "0")).join("");
}

/** Dark or light text, whichever stands out more (WCAG's relative luminance). */
function inkOn(hex) {
  const [red, green, blue] = rgb(hex).map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000000" : "#ffffff";
}

/** Call `visit` with the element that fits `selector` under a mouse that moves; a page that scrolls under it is no move. */
function pointed(container, selector, visit) {
  let before = "";
  container.addEventListener("mousemove", (event) => {
    const target = event.target.closest(selector), place = `${event.clientX},${event.clientY}`;
    if (target && place !== before) visit(target);
    before = place;
  });
}

/**
 * Arrow keys, Home, End, Ctrl+Home, Ctrl+End in rows of focusable elements, of which one is in the tab order.
 * `visit(element)` is called when one gets the focus.
 */
function roam(container, rows, visit) {
  const place = (element) => {
    for (const [row, cells] of rows.entries()) if (cells.includes(element)) return [row, cells.indexOf(element)];
    return null;
  };
  const all = rows.flat();
  const enter = (element) => {
    for (const each of all) each.tabIndex = each === element ? 0 : -1;
  };
  for (const element of all) element.tabIndex = -1;
  if (all.length) all[0].tabIndex = 0;
  container.addEventListener("focusin", (event) => {
    const element = event.target.closest("[tabindex]");
    if (!all.includes(element)) return;
    enter(element);
    visit(element);
  });
  container.addEventListener("keydown", (event) => {
    const at = place(event.target);
    if (!at || event.altKey || event.metaKey) return;
    const [row, column] = at, last = rows.length - 1, wide = event.ctrlKey;
    const targets = {
      ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1], ArrowUp: [row - 1, column], ArrowDown: [row + 1, column],
      Home: [wide ? 0 : row, 0], End: [wide ? last : row, Infinity],
    };
    const target = targets[event.key];
    if (!target) return;
    event.preventDefault();
    const cells = rows[Math.min(last, Math.max(0, target[0]))];
    cells[Math.min(cells.length - 1, Math.max(0, target[1]))].focus();
  });
  return { enter };
}
