// What a concept's heads find alike, beside the whole embedding.

function retrievalSection() {
  if (!images) return;
  SEEN.push((head) => (images.examples[head.name] ? examplesOf(head, images.examples[head.name]) : []));
  SETTINGS.push(["Images on this page", { source: images.source, images: images.count, patches_a_side: images.side }]);
  if (!images.searches.length) return;
  const queries = [...new Set(images.searches.map((search) => search.query))];
  const blocks = queries.map((query, index) => searchesOf(query, index));
  const choices = queries.map((query, index) => make("button", { type: "button", class: "choice", "aria-pressed": String(index === 0), "aria-label": `Query ${index + 1}: ${images.names[query]}` }, picture(query)));
  const choose = (chosen) => {
    for (const [index, button] of choices.entries()) {
      button.setAttribute("aria-pressed", String(index === chosen));
      blocks[index].classList.toggle("off", index !== chosen);
    }
  };
  for (const [index, button] of choices.entries()) button.addEventListener("click", () => choose(index));
  choose(0);
  section("retrieval", "Retrieval", "What a concept's heads find alike",
    make("p", { class: "lead" }, `The nearest of ${plural(images.count, "image")} (${images.source}) to one query: by what the Attribute heads of a concept write, and by the whole embedding. The same query, seen through other heads, has other neighbours.`),
    make("div", { class: "choices", role: "group", "aria-label": "Query" }, make("span", { class: "quiet" }, "Query "), choices), blocks, precisions());
}

function searchesOf(query, index) {
  const own = images.searches.filter((search) => search.query === query);
  return make("div", { class: "searches", role: "group", "aria-label": `Neighbours of query ${index + 1}` },
    make("p", { class: "paper-block" }, picture(query), ` Query ${index + 1}: ${images.names[query]}`),
    neighbours(make("b", {}, "whole embedding"), own[0].by_embedding, null, null),
    own.map((search) => neighbours(make("span", {}, chip(search.concept), " ", make("b", {}, search.concept), " heads", search.value === null ? null : make("span", { class: "quiet small" }, ` (query: ${search.value})`)), search.by_heads, search.value, search.concept)));
}

function neighbours(title, shown, value, concept) {
  const hit = (each) => value !== null && each.value === value;
  return make("div", { class: "strip" }, make("p", {}, title), make("ol", {}, shown.map((each) =>
    make("li", {}, picture(each.picture, images.names[each.picture]), make("span", { class: "small" }, number(each.score, 3)),
      concept && value !== null ? make("span", { class: "small value" }, hit(each) ? "✓ " : "✗ ", each.value === null ? "none" : each.value) : null))));
}

function precisions() {
  if (!images.precision.length) return null;
  const around = (value, [low, high]) => make("span", { class: "close" }, percent(value), make("span", { class: "quiet" }, " [", percent(low), ", ", percent(high), "]"));
  return table("Share of the first 10 neighbours that have the query's value, over all labelled images; brackets are 95% bootstrap intervals",
    ["concept", "its heads", "by its heads", "by the whole embedding", "by chance", "images"],
    images.precision.map((row) => [make("span", { class: "close" }, chip(row.concept), " ", row.concept), make("span", { class: "close" }, row.heads.map((head, index) => [index ? ", " : "", headButton(head)])),
      around(row.by_heads, row.by_heads_interval), around(row.by_embedding, row.by_embedding_interval), percent(row.chance), number(row.images, 0)]));
}
