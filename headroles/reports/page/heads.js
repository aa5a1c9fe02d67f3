// The role map to point at: a grid of layers and heads, filters, and everything about one head beside it.

const map = data.role_map;
const named = (head) => ({
  ...head, name: `L${head.layer}.H${head.head}`, silent: head.role === "silent", clear: head.q_value <= data.looks.stands_out,
});
const heads = map.head_roles.map(named);
const byName = new Map(heads.map((head) => [head.name, head]));
const byEntropy = [...heads].sort((one, other) => one.silent - other.silent || one.entropy - other.entropy || one.layer - other.layer || one.head - other.head);
const layers = [...map.layers].sort((one, other) => other - one);
const concepts = Object.keys(map.bank.counts).sort();
const ROLES = ["attribute", "mixed", "generalization"];
const kinds = heads.some((head) => head.silent) ? [...ROLES, "silent"] : ROLES;
const byWeights = map.probe_kind === "weights";
const chance = map.probe_kind === "image" ? "all alike" : "chance";

const cells = new Map();
const panel = make("div", { class: "panel", role: "region", "aria-label": "The selected head", tabindex: 0, id: "panel" });
const said = make("p", { class: "unseen", role: "status", "aria-live": "polite", id: "said" });
let shown = null, pinned = null, search = "";

function ruleText() {
  const { roles_by: rule, low, high } = map.settings;
  if (rule === "threshold") return `Attribute up to an entropy of ${low} where the head also stands out from chance, Generalization from ${high} on, Mixed between.`;
  if (rule === "quantile") return `Attribute: the lowest ${low * 100}% of entropies; Generalization: from the ${high * 100}% quantile on; Mixed between.`;
  if (rule === "null") return "Attribute where a head stands out from chance (q ≤ 0.05), Generalization where chance gives its entropy as often as not (p ≥ 0.5), Mixed between.";
  return "";
}

function label(head) {
  if (head.silent) return `${head.name}, silent`;
  return `${head.name}, ${head.role}, ${looks.get(head.concept).code} ${head.concept} ${fixed(100 * head.concept_share, 0)}%, entropy ${fixed(head.entropy, 2)}, ${clearness(head)}`;
}

function clearness(head) {
  return head.clear ? "stands out from chance" : "no more than chance";
}

/** A head's mark: that of its role, hollow where it does not stand out; none for a silent head. */
function markOf(head) {
  return head.silent ? null : mark(head.role, !head.clear);
}

function grid() {
  const rows = layers.map((layer) => heads.filter((head) => head.layer === layer).sort((one, other) => one.head - other.head));
  const body = rows.map((row, index) =>
    make("tr", { role: "row", "aria-rowindex": index + 2 },
      make("th", { role: "rowheader", scope: "row" }, `L${row[0].layer}`), row.map(cell)));
  const columns = make("tr", { role: "row", "aria-rowindex": 1 }, make("td", { role: "presentation" }),
    Array.from({ length: map.model.heads }, (_, head) => make("th", { role: "columnheader", scope: "col" }, `H${head}`)));
  const element = make("table", { class: "map", role: "grid", "aria-label": "Role map: a row a layer, a column a head", "aria-describedby": "keys",
    "aria-rowcount": rows.length + 1, "aria-colcount": map.model.heads + 1, style: { "min-width": `${2.4 + 2.25 * map.model.heads}rem` } }, make("thead", { role: "rowgroup" }, columns), make("tbody", { role: "rowgroup" }, body));
  const walk = roam(element, rows.map((row) => row.map((head) => cells.get(head.name))), (target) => preview(target.dataset.head));
  pointed(element, "[data-head]", (target) => preview(target.dataset.head));
  element.addEventListener("click", (event) => {
    const target = event.target.closest("[data-head]");
    if (target) pin(target.dataset.head);
  });
  element.addEventListener("keydown", (event) => {
    const target = event.target.closest("[data-head]");
    if (!target || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    pin(target.dataset.head);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && pinned) unpin();
  });
  return { element, walk };
}

function cell(head) {
  const color = between(data.looks.entropy, head.entropy), look = head.silent ? {} : { "--fill": color, color: inkOn(color) };
  const element = make("td", { role: "gridcell", class: "head " + head.role, "data-head": head.name, "aria-label": label(head), "aria-selected": "false",
    "aria-colindex": head.head + 2, style: look }, head.silent ? null : make("span", {}, looks.get(head.concept).code), markOf(head));
  cells.set(head.name, element);
  return element;
}

/** Show a head unless another one is pinned. */
function preview(name) {
  if (!pinned && shown !== name) show(name);
}

/** Say in the address which head is pinned; a page that a notebook frames has none of its own. */
function address(text) {
  if (location.protocol !== "about:") history.replaceState(null, "", text);
}

function pin(name) {
  if (pinned === name) return unpin();
  const before = cells.get(pinned);
  if (before) before.setAttribute("aria-selected", "false");
  pinned = name;
  cells.get(name).setAttribute("aria-selected", "true");
  address("#" + name);
  show(name);
  visitPanel();
}

/** Whether the panel stands below the map, as on a phone; beside the map it stays in sight. */
function isStacked() {
  return panel.getBoundingClientRect().left < cells.get(shown).closest("table").getBoundingClientRect().right;
}

/** Go to the panel where it is out of sight. */
function visitPanel() {
  const { top } = panel.getBoundingClientRect();
  if (!isStacked() || (top >= 0 && top < innerHeight / 2)) return;
  panel.focus({ preventScroll: true });
  panel.scrollIntoView({ block: "start" });
}

/** For where the panel stands below the map. */
function wayBack(name) {
  const button = make("button", { type: "button", class: "back" }, "Back to the map");
  button.addEventListener("click", () => {
    cells.get(name).focus({ preventScroll: true });
    cells.get(name).scrollIntoView({ block: "center" });
  });
  return button;
}

function unpin() {
  cells.get(pinned).setAttribute("aria-selected", "false");
  pinned = null;
  address(location.pathname);
  const focused = document.activeElement.closest("[data-head]");
  show(focused && cells.get(focused.dataset.head) === focused ? focused.dataset.head : shown);
}

function show(name) {
  if (shown) cells.get(shown).classList.remove("shown");
  shown = name;
  const head = byName.get(name);
  cells.get(name).classList.add("shown");
  panel.replaceChildren(...detail(head));
  panel.scrollTop = 0;
  said.textContent = label(head) + (pinned === name ? ", pinned" : "");
}

/** Go to a head from anywhere on the page: pinned, and its cell focused. */
function goTo(name) {
  cells.get(name).focus({ preventScroll: true });
  if (pinned !== name) pin(name);
  else visitPanel();
  if (!isStacked()) document.getElementById("heads").scrollIntoView({ block: "start" });
}

function headButton(name) {
  const button = make("button", { type: "button", class: "link", title: "Show this head in the role map" }, name);
  button.addEventListener("click", () => goTo(name));
  return button;
}

function detail(head) {
  const state = make("span", { class: "pinned" }, pinned === head.name ? "pinned (Escape frees it)" : "");
  const title = make("div", { class: "panel-head" }, make("h3", { id: "head-name" }, head.name), state, wayBack(head.name));
  if (head.silent) {
    return [title, make("p", { class: "role-line" }, make("b", {}, "silent"), ": it says nothing, whatever is in the image, so it has no role, no concept and no texts"),
      ...LOST.flatMap((part) => part(head))];
  }
  return [
    title,
    make("p", { class: "role-line" }, markOf(head), " ", make("b", {}, head.role), " · ", chip(head.concept), " ", make("b", {}, head.concept), " ", percent(head.concept_share, 0), ` of its texts' weight · ${clearness(head)}`),
    entropyBar(head), sureness(head),
    ...SEEN.flatMap((part) => part(head)),
    make("h4", {}, "Concepts"), conceptBars(head),
    make("h4", {}, byWeights ? "Texts that make up what it writes, with the share that they explain" : "Texts that span its output, with their share of its variance"), textList(head),
    ...directionList(head),
    ...LOST.flatMap((part) => part(head)),
  ];
}

/** What other parts of the page know about a head: functions that give elements, for images and for cuts. */
const SEEN = [], LOST = [];

function entropyBar(head) {
  const [low, high] = head.interval || [null, null];
  const at = (value) => `${100 * Math.min(1, Math.max(0, value))}%`;
  const limits = map.settings.roles_by === "threshold" ? [map.settings.low, map.settings.high] : [];
  return make("div", { class: "entropy" },
    make("p", {}, "Concept Entropy ", make("b", { class: "big" }, number(head.entropy, 3)), head.interval ? [make("span", { class: "quiet" }, " 90% interval "), number(low, 3), " to ", number(high, 3)] : null,
      make("span", { class: "quiet" }, ", "), number(head.entropy_bits), make("span", { class: "quiet" }, " bits")),
    make("div", { class: "axis", "aria-hidden": "true" },
      limits.map((limit) => make("i", { class: "limit", style: { left: at(limit) } })),
      head.interval === null ? null : make("i", { class: "range", style: { left: at(low), width: `${100 * Math.max(0.004, Math.min(1, high) - Math.max(0, low))}%` } }),
      make("i", { class: "by-chance", style: { left: at(head.null_entropy) } }),
      make("i", { class: "dot", style: { left: at(head.entropy) } })),
    make("p", { class: "ends quiet", "aria-hidden": "true" }, make("span", {}, "0: one concept"), make("span", {}, `1: ${chance}`)));
}

function sureness(head) {
  const fact = (title, value, note) => make("div", { title: note }, make("dt", {}, title), make("dd", {}, value));
  return make("dl", { class: "facts" },
    fact("by chance", number(head.null_entropy, 3), "Mean entropy of heads that write as much along as many directions, which mean nothing; the light mark on the axis"),
    fact("p", tiny(head.p_value), byWeights ? "How often one concept's texts explain as much of what random writers write" : "How often chance gives an entropy this low or lower"),
    fact("q", tiny(head.q_value), "p corrected for looking at all scored heads (Benjamini-Hochberg)"),
    fact("stability", percent(head.stability, 0), "Share of bootstrap resamples of the images in which the head has the same role"),
    fact("effective rank", number(head.effective_rank, 1), "Along how many directions it writes: participation ratio of the eigenvalues of its outputs"),
    fact("variance", number(head.variance, 5), byWeights ? "Strength of all its directions, comparable between these heads alone" : "Variance of the head's part of the unit image embedding"));
}

function conceptBars(head) {
  const shares = Object.entries(head.distribution).sort((one, other) => other[1] - one[1] || (one[0] < other[0] ? -1 : 1));
  const most = shares[0][1] || 1;
  const none = shares.filter(([, share]) => share === 0).map(([concept]) => concept);
  return make("div", {},
    make("ul", { class: "bars" }, shares.filter(([, share]) => share > 0).map(([concept, share]) =>
      make("li", { "data-concept": concept }, chip(concept), make("span", { class: "word" }, concept), bar(share / most, concept), percent(share)))),
    none.length ? make("p", { class: "quiet small" }, "0%: " + none.join(", ")) : null);
}

function bar(length, concept) {
  const look = looks.get(concept) || { color: "#777777", hatch: 0 };
  return make("span", { class: "track", "aria-hidden": "true" },
    make("i", { class: "edged hatch" + look.hatch, style: { width: `${100 * length}%`, "--fill": look.color } }));
}

function textList(head) {
  const most = Math.max(...head.texts.map((text) => text.share), 1e-9);
  if (!head.texts.length) return make("p", { class: "quiet" }, "No texts.");
  return make("ol", { class: "texts bars" }, head.texts.map((text) =>
    make("li", {}, chip(text.concept), make("span", { class: "word" }, highlighted(text.text), make("span", { class: "unseen" }, ` (${text.concept})`)),
      bar(text.share / most, text.concept), percent(text.share))));
}

/** By weights: its strongest directions and the first texts of either way along them. */
function directionList(head) {
  if (!head.directions || !head.directions.length) return [];
  const side = (sign, own) => make("span", { class: "word" }, `${sign} `, own.texts.slice(0, 2).map((text, index) => [index ? "; " : "", highlighted(text.text)]), " ", percent(own.fidelity, 0));
  return [make("h4", {}, "Its strongest directions, with their share of its strength"), make("ol", { class: "texts", start: "0" }, head.directions.map((each) =>
    make("li", {}, percent(each.share), " ", side("+", each.plus), " ", side("\u2212", each.minus))))];
}

/** The text with what was searched for in it marked. */
function highlighted(text) {
  const at = search ? text.toLowerCase().indexOf(search) : -1;
  if (at < 0) return make("span", {}, text);
  const end = at + search.length;
  return make("span", {}, text.slice(0, at), make("mark", {}, text.slice(at, end)), text.slice(end));
}

function filters() {
  const choose = (id, title, all, values) => make("label", { for: id }, title,
    make("select", { id }, make("option", { value: "" }, all), values.map((value) => make("option", { value }, value))));
  const count = make("output", { id: "matches", for: "by-concept by-role by-text" });
  const form = make("form", { class: "filters", role: "search", "aria-label": "Filter the heads" },
    choose("by-concept", "Concept", "all concepts", concepts), choose("by-role", "Role", "all roles", kinds),
    make("label", { for: "by-text" }, "Text", make("input", { id: "by-text", type: "search", placeholder: "e.g. striped", autocomplete: "off", spellcheck: "false" })),
    make("button", { type: "reset" }, "Clear"), count);
  const apply = () => {
    const [concept, role, text] = ["by-concept", "by-role", "by-text"].map((id) => form.querySelector("#" + id).value);
    search = text.trim().toLowerCase();
    const fits = (head) => (!concept || head.concept === concept) && (!role || head.role === role)
      && (!search || head.texts.some((each) => each.text.toLowerCase().includes(search)));
    const found = heads.filter(fits);
    const names = new Set(found.map((head) => head.name));
    for (const [name, element] of cells) element.classList.toggle("dim", !names.has(name));
    for (const row of document.querySelectorAll("#all-heads tbody tr")) row.hidden = !names.has(row.dataset.row);
    count.textContent = found.length === heads.length ? plural(heads.length, "head") : `${found.length} of ${plural(heads.length, "head")} fit`;
    if (shown) show(pinned || (names.has(shown) || !found.length ? shown : byEntropy.find((head) => names.has(head.name)).name));
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  return { form, apply };
}

/** What a hollow mark says, where there is one. */
function hollowEntry() {
  return heads.every((head) => head.silent || head.clear) ? null : make("span", { class: "entry" }, mark("generalization", true), " hollow: no more than chance");
}

function legend() {
  const entry = (...children) => make("span", { class: "entry" }, children);
  const scale = data.looks.entropy.join(", ");
  return make("div", { class: "legend" },
    make("p", {}, entry("one concept ", make("span", { class: "scale", "aria-hidden": "true", style: { background: `linear-gradient(to right, ${scale})` } }), ` ${chance}${heads.some((head) => head.entropy > 1) ? " or more" : ""}`),
      ROLES.map((role) => entry(mark(role), " ", role)),
      hollowEntry(),
      kinds.includes("silent") ? entry(make("span", { class: "silent-key", "aria-hidden": "true" }), " silent") : null),
    make("p", {}, concepts.map((concept) => entry(chip(concept), " ", concept))),
    make("p", { class: "quiet small screen", id: "keys" }, "Point at a cell, or walk with the arrow keys. Enter or a click pins a head, Escape frees it."));
}

function allHeads() {
  const row = (head) => make("tr", { "data-row": head.name },
    make("th", { scope: "row" }, headButton(head.name)),
    make("td", { class: "close" }, markOf(head), " ", head.role), make("td", { class: "close" }, head.silent ? "–" : [chip(head.concept), " ", head.concept, " ", percent(head.concept_share, 0)]),
    make("td", {}, head.clear ? "yes" : "no"), make("td", { class: "figure" }, number(head.entropy)), make("td", { class: "figure" }, number(head.null_entropy)), make("td", { class: "figure" }, head.interval ? [number(head.interval[0]), "–", number(head.interval[1])] : "–"),
    make("td", { class: "figure" }, tiny(head.p_value)), make("td", { class: "figure" }, tiny(head.q_value)),
    make("td", { class: "figure" }, percent(head.stability, 0)), make("td", { class: "figure" }, number(head.effective_rank, 1)), make("td", { class: "figure" }, number(head.variance, 5)),
    make("td", { class: "wide" }, head.texts.flatMap((text, index) =>
      [make("span", { class: index < 5 ? null : "paper" }, index ? " · " : "", text.text, " ", make("span", { class: "quiet" }, `(${text.concept} `, percent(text.share), ")"))])));
  const titles = ["head", "role", "concept", "stands out", "entropy", "by chance", "90% interval", "p", "q", "stability", "effective rank", "variance", "texts"];
  return make("details", { id: "all-heads" }, make("summary", {}, "All heads as a table"),
    handy(make("table", {}, make("caption", {}, make("span", {}, "Every head of the role map")),
      make("thead", {}, make("tr", {}, titles.map((title) => make("th", { scope: "col" }, title)))), make("tbody", {}, heads.map(row)))));
}

function headsSection() {
  const { element, walk } = grid();
  const { form, apply } = filters();
  section("heads", "Role map", "The role map",
    make("p", { class: "lead" }, "Every cell is an attention head; its colour is its Concept Entropy, its letters the concept that its texts speak of most, its mark the role: hollow where the head does not stand out from chance. " + ruleText()),
    form, make("div", { class: "beside" }, make("div", {}, make("div", { class: "scroll" }, element), legend()), panel,
      make("div", {}, make("h3", {}, "The clearest head of each concept"), clearest())), said, allHeads());
  apply();
  const asked = byName.has(location.hash.slice(1)) ? location.hash.slice(1) : null;
  const first = asked || (byEntropy[0] && byEntropy[0].name);
  if (!first) return;
  walk.enter(cells.get(first));
  return () => (asked ? pin(asked) : show(first));
}
