// About one head, in the panel that the report has too: its place on the chosen image, and its images.

let spot = null, quantity = "contribution", lastHead = null;
const aim = { name: null, text: null };

const sendHead = asker((answer) => {
  lastHead = answer;
  if (shown !== answer.name || !spot) return;
  spot.replaceChildren(...aboutImages(answer));
  layHead();
});

/** Lay over the image where the head looks, as long as it is the head that was looked at last. */
function layHead() {
  if (overlaid !== "head" || !lastHead) return;
  const { name, text, image } = lastHead, adds = quantity === "contribution" && image.contribution;
  const grid = adds || image.attention;
  layOver(grid ? { grid, quantity: adds ? "contribution" : "attention", words: adds ? `${name} along “${text}”: ${fixed(image.amount, 4)}` : `attention of ${name}` } : null);
}

/** Ask about the shown head, a moment later: who only passes over it asks nothing. */
const lookAt = settled((name) => {
  if (name !== shown || !current()) return;
  const { layer, head } = byName.get(name);
  sendHead({ ask: "head", layer, head, image: current(), text: aim.name === name ? aim.text : null });
});

SEEN.push((head) => {
  spot = make("div", { class: "about" }, make("p", { class: "quiet small" }, "looking …"));
  overlaid = "head";
  lookAt(head.name);
  const { box, label } = checkBox(["take it ", make("kbd", {}, "Space")], (on) => take([head.name], on), { "data-take": head.name });
  box.checked = taken().has(head.name);
  return [label, spot];
});

function aboutImages(answer) {
  const along = answer.text === null ? "writes most beyond its mean" : "adds most to “" + answer.text + "”";
  const most = Math.max(...answer.top.map((each) => (each.contribution ? largest(each.contribution) : 0)), 1e-12);
  return [
    amountLine(answer),
    make("h4", {}, `Images on which it ${along}`), make("ul", { class: "tops" }, answer.top.map((each) => topImage(each, most))),
    answer.least.length ? make("h4", {}, "and least") : null,
    answer.least.length ? make("ul", { class: "tops" }, answer.least.map((each) => topImage(each, most))) : null,
  ].filter(Boolean);
}

function amountLine(answer) {
  if (answer.text === null) return make("p", { class: "small amount" }, "Length of what it writes here beyond its mean: ", number(answer.image.amount, 4));
  return make("p", { class: "small amount" }, "Here it adds ", number(answer.image.amount, 4, true), " to the cosine with “", answer.text, "”, on average ", number(answer.mean, 4, true));
}

function topImage(each, most) {
  const button = make("button", { type: "button", class: "choice", "aria-label": `Choose ${each.name}` },
    photo(each, ""), each.contribution ? mapped({ ...each, name: "" }, each.contribution, "contribution", most) : null);
  button.addEventListener("click", () => state.set("image", each.image));
  return make("li", {}, button, make("span", { class: "small" }, number(each.amount, 4, true)));
}

// Only where all is one column does a click on the map go to the panel: else the map and the image are what to look at.
isStacked = () => getComputedStyle(panel).position === "static";

/** Show a head as a click on the map would, along a text. */
function goToHead(name, text) {
  Object.assign(aim, { name, text });
  if (pinned === name) show(name);
  else pin(name);
}

/** The map; Space takes a head, and so does a click with Ctrl, Shift or the command key. */
function headsCard() {
  const { element, walk } = grid();
  const wrapped = make("div", { class: "scroll" }, element), toggle = (event) => {
    const cell = event.target.closest("[data-head]");
    if (!cell) return;
    event.preventDefault();
    event.stopPropagation();
    take([cell.dataset.head], !taken().has(cell.dataset.head));
  };
  wrapped.addEventListener("keydown", (event) => {
    if (event.key === " ") toggle(event);
  }, true);
  wrapped.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) toggle(event);
  }, true);
  const card = make("section", { class: "card", "aria-labelledby": "heads-title" }, make("h2", { id: "heads-title" }, "Heads of ", make("em", {}, map.model.name)),
    wrapped, make("details", { open: layers.length <= 6 }, make("summary", {}, "Marks and keys"), legend(),
      make("p", { class: "quiet small" }, "Space, or a click with Ctrl, takes a head: what it writes is cut or scaled.")));
  return { card, walk };
}

/** Marks of taken heads, for eyes and ears. */
function headsChanged() {
  const all = taken();
  for (const [name, cell] of cells) {
    const own = all.has(name), plain = cell.getAttribute("aria-label").replace(/, taken$/, "");
    cell.classList.toggle("taken", own);
    cell.setAttribute("aria-label", plain + (own ? ", taken" : ""));
  }
  for (const box of panel.querySelectorAll("[data-take]")) box.checked = all.has(box.dataset.take);
}
