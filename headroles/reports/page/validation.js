// Do the heads do what their texts say? What every concept loses when heads are cut, beside matched random heads.

function validationSection() {
  const found = data.validation;
  if (!found) return;
  const effects = new Map(found.heads.map((head) => [head.name, head]));
  LOST.push((head) => (effects.has(head.name) ? effectOf(effects.get(head.name)) : []));
  SETTINGS.push(["Validation", { role_map_sha256: found.role_map, images: found.images, settings: found.settings }]);
  const { effect, mode, draws } = found.settings;
  section("validation", "Validation", "Validation: what is lost when heads are cut",
    make("p", { class: "lead" }, `Each row cuts the Attribute heads of one concept (${mode} ablation, ${effect} effect) on ${plural(found.images.count, "labelled image")} (${found.images.source}). `
      + `A cell says how much margin of the right answer its column's concept loses a head, as a multiple of what one of the matched random heads costs it (${draws} draws of the same layers and similar variance): `
      + "1× is no more than chance. If heads do what their texts say, the framed cells stand out."),
    found.tests.length ? matrix(found) : make("p", {}, "No concept has Attribute heads to cut."), verdicts(found), (found.p_value ?? null) === null ? null : make("p", {}, "All concepts together, each ranked among its matched sets: p ", make("b", {}, tiny(found.p_value)), "."), correlationPart(found), dosesPart(found),
    make("details", {}, make("summary", {}, "Before anything is cut"), intact(found)));
}

/** An estimate and its interval; an end that is not there is infinite. */
function estimate(value, show) {
  if (!value || value.value === null) return make("span", {}, "–");
  const end = (each) => (each === null ? "∞" : show(each));
  return make("span", { class: "close" }, show(value.value), make("span", { class: "quiet" }, " [", end(value.low), ", ", end(value.high), "]"));
}

const times = (value) => make("span", {}, number(value, Math.abs(value) < 10 ? 1 : 0), "×");
const nats = (value) => number(value, 3);
/** A loss of a share of images, in percentage points. */
const points = (value) => make("span", {}, make("data", { value: String(value), title: String(value) }, fixed(100 * value, 1)), " points");

/** A place on the diverging scale, -16 to 16 times, logarithmic from 0 in the middle. */
const placeOf = (value) => 0.5 + (Math.sign(value) * Math.log2(1 + Math.min(16, Math.abs(value)))) / (2 * Math.log2(17));

function matrix(found) {
  const names = found.concepts.map((concept) => concept.name);
  const said = make("div", { class: "panel said", role: "status", "aria-live": "polite", id: "cut" });
  const rows = found.tests.map((test) => names.map((name) => cutCell(test, name)));
  const body = found.tests.map((test, index) => make("tr", { role: "row" },
    make("th", { role: "rowheader", scope: "row" }, chip(test.concept), " ", test.concept), rows[index]));
  const columns = make("tr", { role: "row" }, make("td", { role: "presentation" }), names.map((name) => make("th", { role: "columnheader", scope: "col" }, chip(name), make("span", { class: "name" }, name))));
  const element = make("table", { class: "map matrix", role: "grid", "aria-label": "Validation: a row the heads that are cut, a column the concept that loses" },
    make("thead", { role: "rowgroup" }, columns), make("tbody", { role: "rowgroup" }, body));
  const visit = (target) => {
    const test = found.tests[target.dataset.test];
    said.replaceChildren(...cutText(test, target.dataset.concept));
  };
  for (const [index, row] of rows.entries()) for (const each of row) each.dataset.test = index;
  roam(element, rows, visit);
  pointed(element, "[data-test]", visit);
  const first = rows[0][Math.max(0, names.indexOf(found.tests[0].concept))];
  visit(first);
  const scale = make("p", { class: "legend" }, make("span", { class: "entry" }, "−16× ", make("span", { class: "scale", "aria-hidden": "true", style: { background: `linear-gradient(to right, ${data.looks.diverging.join(", ")})` } }), " 16×, white: nothing lost"),
    " ", make("span", { class: "entry" }, make("span", { class: "own-key", "aria-hidden": "true" }), " a concept and its own heads"));
  return make("div", {}, make("div", { class: "scroll" }, element), scale, said, make("details", {}, make("summary", {}, "All numbers of the matrix"), cutTable(found)));
}

function cutCell(test, name) {
  const cost = test.costs[name], value = cost.times.value, own = test.concept === name;
  const color = between(data.looks.diverging, placeOf(value));
  const label = `cut the heads of ${test.concept}: ${name} loses ${value === null ? "nothing to compare with, –" : fixed(value, Math.abs(value) < 10 ? 1 : 0) + "× what a matched random head costs it"}`;
  return make("td", { role: "gridcell", class: own ? "head own" : "head", "data-concept": name, "aria-label": label, style: { "--fill": color, color: inkOn(color) } },
    value === null ? "–" : times(value));
}

function cutText(test, name) {
  const cost = test.costs[name], others = (title, value) => (value === null ? [] : [make("dt", {}, title), make("dd", {}, nats(value), " nats")]);
  return [
    make("p", {}, "Cut ", test.heads.map((head, index) => [index ? ", " : "", headButton(head)]), ` (heads of ${test.concept}): what `, make("b", {}, name), " loses"),
    make("dl", { class: "pairs" },
      make("dt", {}, "a head, in heads of all tests' matched sets"), make("dd", {}, estimate(cost.times, times)),
      make("dt", {}, "margin"), make("dd", {}, estimate(cost.margin, nats), " nats"),
      make("dt", {}, "zero-shot accuracy lost"), make("dd", {}, points(cost.accuracy)),
      others("margin, its matched sets", cost.random), others("margin, as many Generalization heads", cost.general)),
  ];
}

function cutTable(found) {
  const rows = found.tests.flatMap((test) => found.concepts.map(({ name }) => {
    const cost = test.costs[name];
    return [`${test.concept} → ${name}`, estimate(cost.times, times), estimate(cost.margin, nats), points(cost.accuracy), number(cost.random, 3), number(cost.general, 3)];
  }));
  return table("Heads of one concept cut → what another loses; brackets are 95% bootstrap intervals", ["cut → loses", "times a matched head", "margin, nats", "accuracy lost", "matched sets", "Generalization heads"], rows);
}

function verdicts(found) {
  const rows = found.tests.map((test) => [make("span", { class: "close" }, chip(test.concept), " ", test.concept), make("span", { class: "close" }, test.heads.map((head, index) => [index ? ", " : "", headButton(head)])),
    estimate(test.against_random, times), estimate(test.against_general, times), estimate(test.against_others, times), tiny(test.p_value), make("span", {}, `${test.draws} (${test.distinct} different)`), number(test.ranked_among, 0), number(test.variance_ratio, 2)]);
  return table("What a concept's own heads cost it, against other heads and other concepts; brackets are 95% bootstrap intervals; p ranks the heads among different sets, so few of these cannot make it small",
    ["concept", "its heads", "over its matched sets", "over Generalization", "over other concepts", "p", "matched sets", "ranked among", "variance over theirs"], rows);
}

function correlationPart(found) {
  const points = found.heads.filter((head) => head.selectivity !== null && head.role !== "silent");
  if (!points.length) return null;
  const words = { entropy: "Concept Entropy", effective_rank: "effective rank", entropy_beside_rank: "Concept Entropy, effective rank held", rank_beside_entropy: "effective rank, Concept Entropy held" };
  const told = Object.keys(words).filter((name) => found.correlations[name]).map((name) => [name, found.correlations[name]]);
  return make("div", {}, make("h3", { class: "spaced" }, "Entropy against causal selectivity"),
    told.length ? table("Spearman's rank correlation of causal selectivity with what a head is like; brackets are 95% bootstrap intervals over heads. Negative: heads of low entropy, or of few directions, hit one concept alone when they are cut.",
      ["with", "rho", "p", "heads"], told.map(([name, each]) => [words[name], make("span", { id: "rho-" + name }, number(each.rho), " [", number(each.low), ", ", number(each.high), "]"), tiny(each.p_value), number(each.heads, 0)]))
      : make("p", { class: "quiet" }, "Too few heads for a rank correlation."),
    scatter(points), make("details", {}, make("summary", {}, "Every head cut alone"), singles(found)));
}

/** Heads as marks: x entropy, y selectivity; one of them is in the tab order, arrows walk by entropy. */
function scatter(points) {
  const width = 640, height = 300, left = 46, bottom = 40, top = 10, right = 12;
  const most = Math.max(1, ...points.map((head) => head.entropy));
  const x = (value) => left + (value / most) * (width - left - right), y = (value) => top + (1 - value) * (height - top - bottom);
  const note = make("p", { class: "small screen", role: "status", "aria-live": "polite" }, "Point at a mark, or walk with the arrow keys; Enter shows the head in the role map.");
  const sorted = [...points].sort((one, other) => one.entropy - other.entropy);
  const shapes = sorted.map((head) => draw("g", { class: `point ${head.role}${byName.get(head.name)?.clear ? "" : " hollow"}`, role: "button", "data-name": head.name, transform: `translate(${x(head.entropy).toFixed(1)},${y(head.selectivity).toFixed(1)})`,
    "aria-label": `${head.name}, ${head.role}, ${head.concept}, ${clearnessOf(head.name)}, entropy ${fixed(head.entropy, 2)}, selectivity ${fixed(head.selectivity, 2)}${head.strongest ? ", hits " + head.strongest + " most" : ""}` },
    draw("circle", { class: "reach", r: 9 }), draw("path", { d: { attribute: "M0,-6L6,5L-6,5Z", mixed: "M0,-6L6,0L0,6L-6,0Z", generalization: "M-5,0A5,5 0 1,0 5,0A5,5 0 1,0 -5,0Z" }[head.role] })));
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  const chart = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Scatter plot: Concept Entropy against causal selectivity, a mark a head" },
    ticks.flatMap((tick) => [draw("line", { class: "rule", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }), draw("text", { x: left - 6, y: y(tick) + 3.5, "text-anchor": "end" }, String(tick)),
      draw("text", { x: x(tick), y: height - bottom + 16, "text-anchor": "middle" }, String(tick))]),
    draw("text", { x: x(most / 2), y: height - 6, "text-anchor": "middle" }, `Concept Entropy (0: one concept, 1: ${chance})`),
    draw("text", { x: 12, y: y(0.5), "text-anchor": "middle", transform: `rotate(-90 12 ${y(0.5)})` }, "causal selectivity"),
    namesOf(sorted, (head) => [x(head.entropy), y(head.selectivity)], [left, top, width - right, height - bottom]), shapes);
  const visit = (target) => {
    const head = sorted.find((each) => each.name === target.dataset.name);
    note.replaceChildren(make("b", {}, head.name), ` ${head.role}, ${head.concept}, ${clearnessOf(head.name)}: entropy `, number(head.entropy), ", selectivity ", number(head.selectivity), head.strongest ? `, hits ${head.strongest} most` : "");
  };
  roam(chart, [shapes], visit);
  const reach = (event) => event.target.closest("[data-name]");
  pointed(chart, "[data-name]", visit);
  chart.addEventListener("click", (event) => reach(event) && goTo(reach(event).dataset.name));
  chart.addEventListener("keydown", (event) => {
    if (!reach(event) || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    goTo(reach(event).dataset.name);
  });
  return make("div", { class: "scatter" }, chart, make("p", { class: "legend" }, ROLES.map((role) => make("span", { class: "entry" }, mark(role), " ", role, " ")),
    hollowEntry()), note);
}

function clearnessOf(name) {
  return byName.has(name) ? clearness(byName.get(name)) : "not in this map";
}

/** Names of Attribute heads that stand out, where one has room beside its mark: a mark or name covers none. */
function namesOf(sorted, place, [left, top, right, bottom]) {
  const taken = sorted.map(place).map(([x, y]) => [x - 7, y - 7, x + 7, y + 7]);
  const isFree = ([left, top, right, bottom]) => taken.every((other) => right <= other[0] || other[2] <= left || bottom <= other[1] || other[3] <= top);
  return sorted.filter((head) => head.role === "attribute" && byName.get(head.name)?.clear).flatMap((head) => {
    const [x, y] = place(head), wide = 6.2 * head.name.length;
    const box = [[x + 8, y - 6], [x - 8 - wide, y - 6], [x - wide / 2, y - 19], [x - wide / 2, y + 8]].map(([x, y]) => [x, y, x + wide, y + 12])
      .find((box) => box[0] >= left && box[1] >= top && box[2] <= right && box[3] <= bottom && isFree(box));
    if (!box) return [];
    taken.push(box);
    return draw("text", { class: "name", "aria-hidden": "true", x: box[0], y: box[1] + 9.5 }, head.name);
  });
}

function singles(found) {
  const names = found.concepts.map((concept) => concept.name);
  return table("Every scored head cut alone: margin lost, in nats", ["head", "entropy", "selectivity", "hits most", ...names],
    found.heads.map((head) => [head.name, number(head.entropy), number(head.selectivity), head.strongest || "–", ...names.map((name) => number(head.costs[name], 4))]));
}

function intact(found) {
  return table("The labelled concepts with all heads in place", ["concept", "values", "images", "margin, nats", "zero-shot accuracy"],
    found.concepts.map((concept) => [concept.name, number(concept.values, 0), number(concept.images, 0), number(concept.margin, 3), percent(concept.accuracy)]));
}

/** For the panel: what is lost when this head alone is cut. */
function effectOf(effect) {
  const costs = Object.entries(effect.costs).sort((one, other) => other[1] - one[1]);
  const most = Math.max(...costs.map(([, value]) => Math.abs(value)), 1e-12);
  return [make("h4", {}, "Cut alone: margin that each concept loses, in nats"),
    make("p", { class: "small effect" }, "selectivity ", number(effect.selectivity), effect.strongest ? [", hits ", make("b", {}, effect.strongest), " most"] : ""),
    make("ul", { class: "bars costs" }, costs.slice(0, 6).map(([concept, value]) => make("li", {}, chip(concept), make("span", { class: "word" }, concept), bar(Math.max(0, value) / most, concept), number(value, 4))))];
}
