// The chosen image, where heads look on it, and the others to choose from.

const STRIP = 18;
const chosenImage = { shown: null };
const seenOn = make("div", { class: "seen" });
const strip = make("div", { class: "strip-row", role: "group", "aria-label": "Images" });
const counted = make("span", { class: "quiet small" });
let firstShown = 0, lastMap = null;
/** Whose map lies over the image: that of what was asked for last. */
let overlaid = "head";

/** Lay a map over the chosen image, with a line that says what it is of; null takes it away. */
function layOver(map) {
  lastMap = map;
  if (!chosenImage.shown) return;
  const { shown } = chosenImage, labels = Object.entries(shown.labels);
  const most = map ? largest(map.grid) : 0;
  seenOn.replaceChildren(
    make("figure", {}, photo(shown), make("figcaption", {}, shown.name, labels.length ? make("span", { class: "quiet labels" }, labels.map(([concept, value], index) => [index ? ", " : "", `${concept} `, make("b", {}, value)])) : null)),
    map ? make("figure", {}, mapped(shown, map.grid, map.quantity, most), make("figcaption", {}, map.words), scaleOf(map.quantity, most)) : "");
}

const sendImage = asker((shown) => {
  chosenImage.shown = shown;
  layOver(lastMap);
});

const sendStrip = asker(({ images, total }, { start }) => {
  firstShown = start;
  counted.textContent = `${words(start + 1)} to ${words(start + images.length)} of ${plural(total, "image")}`;
  earlier.disabled = start === 0;
  later.disabled = start + images.length >= total;
  const buttons = images.map((shown) => {
    const button = make("button", { type: "button", class: "choice", "data-image": shown.image, "aria-pressed": String(shown.image === current()), "aria-label": `Image: ${shown.name}` }, photo(shown, ""));
    button.addEventListener("click", () => state.set("image", shown.image));
    return button;
  });
  strip.replaceChildren(...buttons);
  roam(strip, [buttons], () => {});
});

const turn = (by) => () => sendStrip({ ask: "images", start: Math.max(0, firstShown + by), count: STRIP });
const earlier = make("button", { type: "button", "aria-label": "Earlier images" }, "‹");
const later = make("button", { type: "button", "aria-label": "Later images" }, "›");
earlier.addEventListener("click", turn(-STRIP));
later.addEventListener("click", turn(STRIP));

const sendOwn = asker((shown) => {
  sendStrip({ ask: "images", start: 0, count: STRIP });
  state.set("image", shown.image);
});

function addFile(file) {
  if (!file) return;
  if (file.size > data.largest) {
    complain(addFile, `${file.name} has ${fixed(file.size / 1e6, 1)} MB; at most ${fixed(data.largest / 1e6, 0)} MB are read`);
    return;
  }
  complain(addFile, "");
  const reader = new FileReader();
  reader.addEventListener("load", () => sendOwn({ ask: "add image", data: reader.result, name: file.name }));
  reader.readAsDataURL(file);
}

/** Drop an image anywhere, or choose a file. */
function addForm() {
  const input = make("input", { type: "file", accept: "image/*", id: "own-image" });
  input.addEventListener("change", () => addFile(input.files[0]));
  return make("label", { class: "field add" }, make("span", {}, "Your own image: choose a file, or drop it here"), input);
}

function takeDrops(element) {
  const over = (on) => (event) => {
    event.preventDefault();
    element.classList.toggle("dropping", on);
  };
  element.addEventListener("dragover", over(true));
  element.addEventListener("dragleave", over(false));
  element.addEventListener("drop", (event) => {
    over(false)(event);
    addFile(event.dataTransfer.files[0]);
  });
}

function pictureCard() {
  const { select, label } = choice("Shown on it", [["contribution", "what its patches add"], ["attention", "where a head looks"]], (value) => {
    quantity = value;
    layHead();
  });
  const showing = data.reads_texts && data.shows_where ? label : null;
  if (!showing) select.value = "attention";
  const card = make("section", { class: "card", "aria-labelledby": "image-title" }, make("h2", { id: "image-title" }, "Image"),
    seenOn, showing, make("div", { class: "turning" }, earlier, counted, later), strip, addForm());
  takeDrops(card);
  return card;
}

/** Another image is chosen, here or in Python. */
function imageChanged(image) {
  lastMap = null;
  for (const button of strip.children) button.setAttribute("aria-pressed", String(button.dataset.image === image));
  sendImage({ ask: "image", image });
}
