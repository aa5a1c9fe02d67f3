// The head of the page: what was scored, how many heads of each role, and the clearest head of every concept.

function summarySection() {
  const texts = Object.values(map.bank.counts).reduce((sum, count) => sum + count, 0);
  const scored = layers.length === map.model.layers ? "all" : String(layers.length);
  const broken = map.images.broken.length;
  const tile = (role, note) => {
    const own = heads.filter((head) => head.role === role), clear = own.filter((head) => head.clear).length;
    return make("li", { class: "tile", "data-role": role }, make("b", {}, words(own.length)),
      make("span", { class: "tile-name" }, role === "silent" ? null : [mark(role), " "], role),
      make("span", { class: "quiet small" }, note, role === "silent" ? "" : `; ${words(clear)} of which stand out`));
  };
  document.getElementById("main").append(make("div", { class: "hero" },
    make("p", { class: "eyebrow" }, "headroles report"),
    make("h1", {}, "What does each attention head of ", make("em", {}, map.model.name), " do?"),
    make("p", { class: "lead" }, `${plural(heads.length, "head")} in ${scored} of ${map.model.layers} layers, read ${map.images.count ? `over ${plural(map.images.count, "image")} (${map.images.source})` : "from weights alone"} `
      + `and named with ${plural(texts, "text")} of ${plural(concepts.length, "concept")} (bank ${map.bank.name}).`
      + (broken ? ` ${plural(broken, "image file")} could not be read.` : "")),
    make("ul", { class: "tiles" }, tile("attribute", "speak of one concept"), tile("mixed", "between the two"), tile("generalization", "speak of everything"),
      kinds.includes("silent") ? tile("silent", "say nothing") : null),
    make("p", { class: "quiet small" }, "Weights ", short(map.model.weights_hash), ", bank ", short(map.bank.hash))));
}

/** The first letters of a hash, the whole of it in the tooltip; the settings have it in full. */
function short(hash) {
  return make("code", { title: hash }, hash.slice(0, 12));
}

function clearest() {
  const rows = concepts.map((concept) => {
    const head = byEntropy.find((each) => each.concept === concept);
    const name = make("span", { class: "close" }, chip(concept), " ", concept);
    if (!head) return [name, "none", "", "", "", "", "", ""];
    const text = head.texts.find((each) => each.concept === concept);
    return [name, headButton(head.name), make("span", { class: "close" }, markOf(head), " ", head.role), head.clear ? "yes" : "no", number(head.entropy), tiny(head.q_value), percent(head.stability, 0), text ? text.text : "–"];
  });
  return table(`Of all heads whose first concept it is, the one with the lowest entropy, and its first ${map.probe_kind === "image" ? "value" : "text"} of that concept`, ["concept", "head", "role", "stands out", "entropy", "q", "stability", `its first ${map.probe_kind === "image" ? "value" : "text"}`], rows);
}
