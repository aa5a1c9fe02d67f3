// Two role maps side by side: what changed from A to B, the heads that changed first, and any head in both.

const others = data.against ? data.against.head_roles.map(named) : [];
const otherByName = new Map(others.map((head) => [head.name, head]));
const SIDES = ["A", "B"];

/** The head in A and in B. */
const pairOf = (name) => [byName.get(name), otherByName.get(name)];
const moved = (change) => change.entropies[1] - change.entropies[0];

function changesSection() {
  if (data.changes) section("changes", "Side by side", "Side by side", changesView(data.changes));
}

/** All of it; `chosen(name)` is called when a head is clicked. */
function changesView(found, chosen = () => {}) {
  SEEN.push((head) => (otherByName.has(head.name) ? inOther(otherByName.get(head.name)) : []));
  const sorted = [...found.heads].sort((one, other) => other.changed - one.changed || Math.abs(moved(other)) - Math.abs(moved(one)));
  const changed = sorted.filter((change) => change.changed);
  const both = make("div", { class: "panel in-both", role: "region", "aria-label": "One head in both maps", tabindex: 0 });
  const grids = SIDES.map((side, index) => sideGrid(found, side, index));
  const visit = (name) => {
    for (const { cells } of grids) for (const [each, element] of cells) element.classList.toggle("shown", each === name);
    both.replaceChildren(make("h3", {}, name), make("div", { class: "two-sides" }, pairOf(name).map((head, index) => sideOf(head, pairOf(name)[1 - index], SIDES[index]))));
  };
  const choose = (name) => {
    visit(name);
    chosen(name);
  };
  for (const { element, rows } of grids) {
    roam(element, rows, (target) => visit(target.dataset.pair));
    pointed(element, "[data-pair]", (target) => visit(target.dataset.pair));
    element.addEventListener("click", (event) => {
      const target = event.target.closest("[data-pair]");
      if (target) choose(target.dataset.pair);
    });
  }
  const list = (caption, changes) => table(caption, ["head", "role", "concept", "entropy in A", "in B", "change"], changes.map((change) => changeRow(change, () => {
    choose(change.name);
    both.scrollIntoView({ block: "nearest" });
  })));
  const few = changed.slice(0, 12);
  visit(sorted[0].name);
  return [
    agreement(found, changed.length),
    make("div", { class: "sides" }, grids.map(({ figure }) => figure)),
    make("div", { class: "legend" },
      make("p", {}, make("span", { class: "entry" }, make("span", { class: "changed-key", "aria-hidden": "true" }), " its role changes"), make("span", {}, "colours, letters and marks as in the role map")),
      make("p", { class: "quiet small screen" }, "Point at a cell, or walk with the arrow keys: the head is shown in both maps.")),
    make("div", { class: "changed-now" }, both,
      few.length ? list(`Heads that change their role, largest change of entropy first${few.length < changed.length ? `; the first ${few.length} of ${changed.length}` : ""}`, few) : make("p", {}, "No head changes its role.")),
    make("details", {}, make("summary", {}, `All ${plural(sorted.length, "head")} of both maps`), list("Changed heads first, then by the change of entropy", sorted)),
  ];
}

function agreement(found, changed) {
  const told = (value) => (value === null || value.value === null ? "undefined: all heads alike" : [number(value.value), value.interval ? make("span", { class: "quiet" }, " [", number(value.interval[0]), ", ", number(value.interval[1]), "]") : null]);
  const all = found.heads.length, row = (title, ...value) => [make("dt", {}, title), make("dd", {}, value)];
  return make("div", {},
    make("p", { class: "lead" }, make("b", {}, `${changed} of ${plural(all, "head")} change their role`), ` from A to B. The maps are of ${found.same_weights ? "the same" : "different"} weights. Brackets are 95% intervals, from resampling heads.`),
    make("dl", { class: "pairs" },
      row("agreement of roles, Cohen's kappa", told(found.kappa)),
      row("entropies, Spearman's rank correlation", told(found.entropy_correlation)),
      found.same_concept === null ? row("same first concept", `not compared: the maps share ${plural(found.concepts.length, "concept")}`)
        : row("same first concept", percent(found.same_concept, 0), ` of heads, among the ${found.concepts.length} that both know; kappa `, told(found.concept_kappa))));
}

function sideGrid(found, side, index) {
  const own = new Map();
  const deep = [...found.layers].sort((one, other) => other - one);
  const across = [...new Set(found.heads.map((change) => change.head))].sort((one, other) => one - other);
  const rows = deep.map((layer) => found.heads.filter((change) => change.layer === layer).sort((one, other) => one.head - other.head).map((change) => {
    const element = sideCell(pairOf(change.name)[index], change.changed, side);
    own.set(change.name, element);
    return element;
  }));
  const element = make("table", { class: "map", role: "grid", "aria-label": `Role map ${side}: a row a layer, a column a head`, style: { "min-width": `${2.4 + 1.9 * across.length}rem` } },
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, make("td", { role: "presentation" }), across.map((head) => make("th", { role: "columnheader", scope: "col" }, `H${head}`)))),
    make("tbody", { role: "rowgroup" }, rows.map((row, at) => make("tr", { role: "row" }, make("th", { role: "rowheader", scope: "row" }, `L${deep[at]}`), row))));
  return { element, rows, cells: own, figure: make("figure", {}, make("figcaption", {}, `${side}: ${found.names[index]}`), make("div", { class: "scroll" }, element)) };
}

function sideCell(head, changed, side) {
  const color = between(data.looks.entropy, head.entropy), look = head.silent ? {} : { "--fill": color, color: inkOn(color) };
  return make("td", { role: "gridcell", class: `head ${head.role}${changed ? " changed" : ""}`, "data-pair": head.name, "aria-label": `in ${side}: ${label(head)}${changed ? "; its role changes" : ""}`, style: look },
    head.silent ? null : make("span", {}, looks.get(head.concept).code), markOf(head));
}

const roleOf = (head) => make("span", { class: "close" }, markOf(head), " ", head.role);
const conceptOf = (head) => (head.silent ? "–" : make("span", { class: "close" }, chip(head.concept), " ", head.concept, " ", percent(head.concept_share, 0)));

/** A row of the table: what differs stands as A → B, what does not stands once. */
function changeRow(change, choose) {
  const [one, other] = pairOf(change.name);
  const button = make("button", { type: "button", class: "link", title: "Show this head in both maps" }, change.name);
  button.addEventListener("click", choose);
  const arrow = (first, second) => make("span", { class: "close" }, first, " → ", second);
  const same = one.concept === other.concept && !one.silent && !other.silent;
  return [button, change.changed ? arrow(roleOf(one), roleOf(other)) : roleOf(one), arrow(conceptOf(one), same ? percent(other.concept_share, 0) : conceptOf(other)),
    number(one.entropy), number(other.entropy), number(moved(change), 2, true)];
}

/** A head in one of both maps; texts that both give it are marked. */
function sideOf(head, twin, side) {
  const title = make("h4", {}, side);
  if (head.silent) return make("div", {}, title, make("p", {}, "silent: it says nothing, whatever is in the image"));
  const there = new Set(twin.texts.map((text) => text.text));
  const shares = Object.entries(head.distribution).filter(([, share]) => share > 0).sort((one, two) => two[1] - one[1]).slice(0, 5);
  return make("div", {}, title,
    make("p", { class: "role-line" }, roleOf(head), " · ", conceptOf(head), " · entropy ", make("b", {}, number(head.entropy)), ` · ${clearness(head)}`),
    make("ul", { class: "bars" }, shares.map(([concept, share]) => make("li", {}, chip(concept), make("span", { class: "word" }, concept), bar(share / shares[0][1], concept), percent(share)))),
    make("h4", {}, head.texts.some((text) => there.has(text.text)) ? "Texts; those of both maps are marked" : "Texts; none is in both maps"),
    make("ol", { class: "plain" }, head.texts.slice(0, 8).map((text) => make("li", {}, make(there.has(text.text) ? "mark" : "span", {}, text.text), " ", make("span", { class: "quiet" }, percent(text.share, 0))))));
}

/** For the panel of the role map: the same head in B. */
function inOther(head) {
  return [make("h4", {}, `In B, ${data.changes.names[1]}`), head.silent ? make("p", { class: "small" }, "silent") : make("div", { class: "small in-other" },
    make("p", {}, roleOf(head), " · ", conceptOf(head), " · entropy ", number(head.entropy)),
    make("p", { class: "quiet" }, head.texts.slice(0, 3).map((text) => text.text).join(" · ")))];
}
