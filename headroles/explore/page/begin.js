// Puts the cards together and follows what is chosen, here or in Python.

const { card: mapCard, walk } = headsCard();
const page = make("div", { class: "page" },
  make("header", { class: "head-line" }, make("h1", { class: "eyebrow" }, "headroles explore"),
    make("p", { class: "quiet small" }, `${plural(heads.length, "head")}, ${plural(data.images.count, "image")} (${data.images.source})`, data.images.broken ? `, ${plural(data.images.broken, "file")} could not be read` : "")),
  complaint,
  data.changes ? make("details", { class: "card changes", open: true }, make("summary", {}, make("h2", {}, "Side by side")), changesView(data.changes, preview)) : null,
  make("div", { class: "columns" }, make("div", { class: "column" }, mapCard, panel), make("div", { class: "column" }, pictureCard(), textsCard()), make("div", { class: "column" }, cutsCard())), said);
root.replaceChildren(page);

state.listen("heads", () => {
  headsChanged();
  takenChanged();
});
state.listen("image", (image) => {
  imageChanged(image);
  if (shown) lookAt(shown);
  askText();
  recut();
});
if (!current()) state.set("image", "0");
else imageChanged(current());
sendStrip({ ask: "images", start: 0, count: STRIP });
const first = byEntropy[0];
if (first) {
  walk.enter(cells.get(first.name));
  show(first.name);
}
headsChanged();
takenChanged();
