// Questions to the engine, and what the visitor has chosen: heads, an image.

const complaint = make("p", { class: "complaint", role: "alert" });
const complaints = new Map();

/** Say what went wrong with questions of one kind, until one of them goes well. */
function complain(kind, text) {
  complaints.delete(kind);
  if (text) complaints.set(kind, text);
  complaint.textContent = [...complaints.values()].at(-1) || "";
}

/** Ask, one question at a time: while one is open only the latest of the others waits. `visit` gets the newest answer. */
function asker(visit) {
  let open = false, next = null;
  return async function send(message) {
    next = message;
    if (open) return;
    open = true;
    while (next) {
      const own = next;
      next = null;
      const answer = await ask(own).catch((error) => complain(visit, error.message));
      if (!answer) continue;
      complain(visit, "");
      if (!next) queueMicrotask(() => visit(answer, own));
    }
    open = false;
  };
}

/** `visit` after `wait` milliseconds in which nobody called again. */
function settled(visit, wait = 120) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => visit(...given), wait);
  };
}

const place = (head) => [head.layer, head.head];
const nameOf = ([layer, head]) => `L${layer}.H${head}`;
const current = () => state.get("image");

/** Names of the heads that are taken. */
const taken = () => new Set((state.get("heads") || []).map(nameOf));

function setTaken(names) {
  state.set("heads", heads.filter((head) => names.has(head.name)).map(place));
}

/** Take heads, or leave them out. */
function take(names, on) {
  const all = taken();
  for (const name of names) on ? all.add(name) : all.delete(name);
  setTaken(all);
}

/** A check box with its words behind it. */
function checkBox(words, visit, attributes = {}) {
  const box = make("input", { type: "checkbox", ...attributes });
  box.addEventListener("change", () => visit(box.checked));
  return { box, label: make("label", { class: "check" }, box, " ", words) };
}

function choice(title, values, visit) {
  const select = make("select", {}, values.map(([value, text]) => make("option", { value }, text)));
  select.addEventListener("change", () => visit(select.value));
  return { select, label: make("label", { class: "field" }, make("span", {}, title), select) };
}
