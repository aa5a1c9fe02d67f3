// Cut or scale the taken heads, and see what the model then calls the image.

const cut = { scale: 0, mode: "zero", effect: "total", concept: null, template: "" };
const answers = make("div", { class: "answers" });
const verdict = make("p", { class: "verdict", role: "status" });
const takenList = make("p", { class: "small", id: "taken" });
const boxes = [];
let classNames = [];

const sendCut = asker(showAnswers);

const recut = settled(() => {
  if (!current() || !data.reads_texts) return;
  if (classNames.length < 2) {
    verdict.textContent = "Write two classes or more, one a line.";
    return;
  }
  sendCut({ ask: "cut", heads: state.get("heads") || [], scale: cut.scale, image: current(), classes: classNames, concept: cut.concept, template: cut.template || null, mode: cut.mode, effect: cut.effect });
}, 30);

function showAnswers({ classes, before, after, heads: own }) {
  const best = (list) => list.indexOf(Math.max(...list)), order = classes.map((_, index) => index);
  const rows = order.sort((one, other) => Math.max(before[other], after[other]) - Math.max(before[one], after[one])).slice(0, 12).sort((one, other) => one - other);
  const [was, is] = [best(before), best(after)], changed = own.length > 0 && cut.scale !== 1;
  verdict.replaceChildren(make("b", {}, classes[was]), " ", percent(before[was]), ...(changed ? [" → ", make("b", {}, classes[is]), " ", percent(after[is])] : []));
  const bar = (value, kind) => make("i", { class: kind, style: { width: `${100 * value}%` } });
  answers.replaceChildren(make("ul", { class: "bars told" }, rows.map((row) => make("li", { "data-class": classes[row], class: row === is ? "best" : null },
    make("span", { class: "word" }, classes[row]), make("span", { class: "track two", "aria-hidden": "true" }, bar(before[row], "before"), bar(after[row], "after")),
    make("span", { class: "values" }, percent(before[row]), changed ? [" → ", percent(after[row])] : null)))),
  classes.length > rows.length ? make("p", { class: "quiet small" }, `and ${classes.length - rows.length} less likely ones`) : "");
}

/** A box a concept for all its Attribute heads, and one a head. */
function takeBoxes() {
  const rows = concepts.map((concept) => [concept, byEntropy.filter((head) => head.role === "attribute" && head.concept === concept)]).filter(([, own]) => own.length);
  return make("fieldset", { class: "takes" }, make("legend", {}, "Take the Attribute heads of a concept"), rows.map(([concept, own]) => {
    const names = own.map((head) => head.name);
    const whole = checkBox([chip(concept), " ", concept], (on) => take(names, on), { "data-concept": concept });
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
  const { select, label } = choice("Classes", lists, fillIn);
  area.addEventListener("input", settled(read, 250));
  template.addEventListener("input", settled(() => {
    cut.template = template.value.trim();
    if (!cut.template || cut.template.split("{}").length === 2) recut();
    else verdict.textContent = "A prompt has one {} for the class.";
  }, 250));
  fillIn(select.value);
  return make("div", { class: "fields" }, label, make("label", { class: "field wide", for: "classes" }, make("span", {}, "one a line"), area),
    make("label", { class: "field wide", for: "template" }, make("span", {}, "Prompt, such as “a photo of a {}.”"), template));
}

function cutsCard() {
  const modes = choice("In their place", [["zero", "nothing"], ["mean", "their mean"]], (value) => recut(cut.mode = value));
  const effects = choice("Effect", [["total", "total, through later layers"], ["direct", "direct alone"]], (value) => recut(cut.effect = value));
  const told = data.reads_texts ? [verdict, answers, make("details", {}, make("summary", {}, "Classes and prompt"), classForm())] : make("p", { class: "quiet" }, "This model reads no texts, so it tells no classes.");
  return make("section", { class: "card", "aria-labelledby": "cuts-title" }, make("h2", { id: "cuts-title" }, "Cut heads, and ask again"),
    make("div", { class: "taking" }, takenList, clear), slider(), told, takeBoxes(), make("div", { class: "fields" }, modes.label, effects.label));
}
