// Cut or scale the taken heads, and see what the model then calls the image.

const cut = { scale: 0, mode: "zero", effect: "total", concept: null, template: "" };
const answers = make("div", { class: "answers" });
const verdict = make("p", { class: "verdict", role: "status" });
const takenList = make("p", { class: "small", id: "taken" });
const boxes = [];
let classNames = [];
/** Tell the image among the values of a concept, where there is such a list. */
let tellAmong = () => {};
const MOST = 12;

const sendCut = asker(showAnswers);

const recut = settled(() => {
  if (!current() || !data.reads_texts) return;
  if (classNames.length < 2) {
    verdict.textContent = "Write two classes or more, one a line.";
    return;
  }
  sendCut({ ask: "cut", heads: state.get("heads") || [], scale: cut.scale, image: current(), classes: classNames, concept: cut.concept, template: cut.template || null, mode: cut.mode, effect: cut.effect });
}, 30);

function showAnswers({ classes, before, after, heads: own, scale }) {
  const best = (list) => list.indexOf(Math.max(...list)), [was, is] = [best(before.probability), best(after.probability)];
  const changed = own.length > 0 && scale !== 1, likely = (row) => Math.max(before.probability[row], after.probability[row]);
  const rows = classes.map((_, index) => index).sort((one, other) => likely(other) - likely(one)).slice(0, MOST).sort((one, other) => one - other);
  verdict.replaceChildren(make("b", {}, classes[was]), " ", percent(before.probability[was]), ...(changed ? [" → ", make("b", {}, classes[is]), " ", percent(after.probability[is])] : []));
  answers.replaceChildren(make("ul", { class: "bars told" }, rows.map((row) => toldClass(classes[row], row, before, after, changed, row === is))),
    changed ? make("p", { class: "quiet small" }, "probability before → after, and the change of the cosine") : "",
    classes.length > rows.length ? make("p", { class: "quiet small" }, `and ${classes.length - rows.length} less likely ones`) : "");
}

function toldClass(name, row, before, after, changed, best) {
  const bar = (value, kind) => make("i", { class: kind, style: { width: `${100 * value}%` } });
  return make("li", { "data-class": name, class: best ? "best" : null }, make("span", { class: "word" }, name),
    make("span", { class: "track two", "aria-hidden": "true" }, bar(before.probability[row], "before"), bar(after.probability[row], "after")),
    make("span", { class: "values" }, percent(before.probability[row]), changed ? [" → ", percent(after.probability[row])] : null),
    make("span", { class: "values quiet", title: "change of the cosine" }, changed ? number(after.cosine[row] - before.cosine[row], 3, true) : null));
}

/** A box a concept for all its Attribute heads, and one a head. */
function takeBoxes() {
  const rows = concepts.map((concept) => [concept, byEntropy.filter((head) => head.role === "attribute" && head.concept === concept)]).filter(([, own]) => own.length);
  return make("fieldset", { class: "takes" }, make("legend", {}, "Take the Attribute heads of a concept"), rows.map(([concept, own]) => {
    const names = own.map((head) => head.name);
    const whole = checkBox([chip(concept), " ", concept], (on) => {
      take(names, on);
      if (on) tellAmong(concept);
    }, { "data-concept": concept });
    boxes.push([whole.box, names]);
    return make("div", { class: "take-row" }, whole.label, names.map((name) => {
      const one = checkBox(name, (on) => take([name], on));
      boxes.push([one.box, [name]]);
      return one.label;
    }));
  }), rows.length ? null : make("p", { class: "quiet small" }, "No Attribute head in this role map; take heads in the map."));
}

function takenChanged() {
  const all = taken();
  for (const [box, names] of boxes) {
    const count = names.filter((name) => all.has(name)).length;
    box.checked = count === names.length;
    box.indeterminate = count > 0 && count < names.length;
  }
  takenList.textContent = all.size ? `Taken: ${[...all].join(", ")}` : "No head is taken.";
  clear.disabled = !all.size;
  recut();
}

const clear = make("button", { type: "button" }, "Leave all");
clear.addEventListener("click", () => setTaken(new Set()));

function slider() {
  const shownScale = make("output", { for: "scale" }, "× 0: cut");
  const input = make("input", { type: "range", id: "scale", min: 0, max: 2, step: 0.05, value: 0 });
  input.addEventListener("input", () => {
    cut.scale = Number(input.value);
    shownScale.textContent = `× ${input.value}${cut.scale === 0 ? ": cut" : cut.scale === 1 ? ": as it is" : ""}`;
    recut();
  });
  return make("label", { class: "field", for: "scale" }, make("span", {}, "What they write counts ", shownScale), input);
}

function classForm() {
  const lists = [...data.classes.map((each, index) => [String(index), each.concept || "given"]), ["own", "your own"]];
  const area = make("textarea", { id: "classes", rows: 5, spellcheck: "false" });
  const template = make("input", { type: "text", id: "template", placeholder: "as they stand", autocomplete: "off", spellcheck: "false" });
  const read = () => {
    classNames = [...new Set(area.value.split("\n").map((line) => line.trim()).filter(Boolean))];
    recut();
  };
  const fillIn = (value) => {
    const chosen = data.classes[Number(value)];
    cut.concept = chosen ? chosen.concept : null;
    if (chosen) area.value = chosen.classes.join("\n");
    read();
  };
  const { select, label } = choice("Tell among", lists, fillIn);
  area.addEventListener("input", settled(read, 250));
  template.addEventListener("input", settled(() => {
    cut.template = template.value.trim();
    if (!cut.template || cut.template.split("{}").length === 2) recut();
    else verdict.textContent = "A prompt has one {} for the class.";
  }, 250));
  tellAmong = (concept) => {
    const index = data.classes.findIndex((each) => each.concept === concept);
    if (index < 0 || cut.concept === concept) return;
    select.value = String(index);
    fillIn(select.value);
  };
  fillIn(select.value);
  return [label, make("details", {}, make("summary", {}, "Write other classes, or a prompt"),
    make("label", { class: "field", for: "classes" }, make("span", {}, "Classes, one a line"), area),
    make("label", { class: "field", for: "template" }, make("span", {}, "Prompt, such as “a photo of a {}.”"), template))];
}

function cutsCard() {
  const modes = choice("In their place", [["zero", "nothing"], ["mean", "their mean"]], (value) => recut(cut.mode = value));
  const effects = choice("Effect", [["total", "total"], ["direct", "direct"]], (value) => recut(cut.effect = value));
  const [choosing, writing] = data.reads_texts ? classForm() : [null, null];
  const told = data.reads_texts ? [verdict, answers, choosing, writing] : make("p", { class: "quiet" }, "This model reads no texts, so it tells no classes.");
  return make("section", { class: "card", "aria-labelledby": "cuts-title" }, make("h2", { id: "cuts-title" }, "Cut heads, and ask again"),
    make("div", { class: "taking" }, takenList, clear), takeBoxes(), slider(), make("div", { class: "fields" }, modes.label, effects.label), told);
}
