// Tables that can be sorted by a column, and taken away as CSV with every number in full.

/** What scrolls a table with a caption: its headings sort the rows, a button below saves it. */
function handy(element) {
  const [row] = element.tHead.rows, rows = [...element.tBodies[0].rows];
  for (const [column, heading] of [...row.cells].entries()) {
    const button = make("button", { type: "button", class: "sort" }, ...heading.childNodes);
    button.addEventListener("click", () => sortBy(element, rows, column));
    heading.replaceChildren(button);
  }
  const save = make("button", { type: "button", class: "csv" }, "CSV", make("span", { class: "unseen" }, `: ${element.caption.textContent}`));
  save.addEventListener("click", () => saveCsv(element));
  return make("div", { class: "tabled" }, make("div", { class: "scroll" }, element), save);
}

/** Rows by a column: upwards, downwards, and then as they were. Cells without a value stay last. */
function sortBy(element, rows, column) {
  const headings = [...element.tHead.rows[0].cells];
  const turn = { ascending: "descending", descending: null }[headings[column].getAttribute("aria-sort")];
  const way = turn === undefined ? "ascending" : turn;
  for (const heading of headings) heading.removeAttribute("aria-sort");
  if (way) headings[column].setAttribute("aria-sort", way);
  const sign = way === "descending" ? -1 : 1, values = new Map(rows.map((row) => [row, valueOf(row.cells[column])]));
  const compare = (one, other) => {
    const [left, right] = [values.get(one), values.get(other)];
    if (left === "" || right === "") return (left === "") - (right === "");
    return sign * (typeof left === "number" && typeof right === "number" ? left - right : String(left).localeCompare(String(right), "en", { numeric: true }));
  };
  element.tBodies[0].append(...(way ? [...rows].sort(compare) : rows));
}

/** A cell's first number in full, else its words. */
function valueOf(cell) {
  const first = cell.querySelector("data");
  return first ? Number(first.value) : plain(cell);
}

/** What a cell says, its numbers in full; nothing where it has a dash. */
function plain(cell) {
  const say = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    if (node.tagName === "DATA") return node.value;
    return node.getAttribute("aria-hidden") ? "" : [...node.childNodes].map(say).join("");
  };
  const text = say(cell).replace(/\s+/g, " ").trim();
  return text === "–" ? "" : text;
}

function saveCsv(element) {
  const quoted = (text) => (/[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = [...element.rows].filter((row) => !row.hidden).map((row) => [...row.cells].map((cell) => quoted(plain(cell))).join(","));
  const name = element.caption.textContent.toLowerCase().replace(/[^a-z0-9]+/g, "-").split("-").slice(0, 6).join("-");
  const place = URL.createObjectURL(new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
  make("a", { href: place, download: `${name}.csv` }).click();
  URL.revokeObjectURL(place);
}
