// A text, the heads that write along it on the chosen image, and where.

const ranked = make("div", { class: "ranked" });
let asked = "";

const sendText = asker((answer) => {
  const most = Math.max(...answer.heads.map((head) => Math.abs(head.more)), 1e-12);
  const rows = answer.heads.slice(0, 10).map((head) => rankedHead(head, most, answer));
  ranked.replaceChildren(
    make("p", { class: "small" }, "Cosine of image and text ", number(answer.cosine, 3), ". What heads add to it beyond their mean over the images:"),
    make("ol", { class: "bars ranks" }, rows));
  if (answer.sum && overlaid === "text") layOver({ grid: answer.sum, quantity: "contribution", words: `all heads along “${answer.text}”` });
});

function rankedHead(head, most, answer) {
  const found = byName.get(head.name);
  const button = make("button", { type: "button", class: "link", title: "Where it writes this" }, head.name);
  button.addEventListener("click", () => goToHead(head.name, answer.text));
  const width = 50 * Math.abs(head.more) / most;
  return make("li", {}, button, make("span", { class: "word" }, markOf(found), " ", found.silent ? "silent" : found.concept),
    make("span", { class: "track both", "aria-hidden": "true" }, make("i", { class: head.more < 0 ? "less" : "more", style: { width: `${width}%`, left: `${head.more < 0 ? 50 - width : 50}%` } })),
    number(head.more, 4, true));
}

const askText = () => {
  if (asked && current()) sendText({ ask: "text", text: asked, image: current() });
};

function textsCard() {
  const input = make("input", { type: "text", id: "ask-text", placeholder: "a striped thing", autocomplete: "off", maxlength: 1000 });
  const form = make("form", { class: "ask" }, make("label", { class: "field", for: "ask-text" }, make("span", {}, "Which heads write …")), input, make("button", {}, "Ask"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    asked = input.value.trim();
    overlaid = "text";
    askText();
  });
  if (!data.reads_texts) return null;
  return make("section", { class: "card", "aria-labelledby": "text-title" }, make("h2", { id: "text-title" }, "Ask with a text"), form, ranked);
}
