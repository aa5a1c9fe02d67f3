// How a head spreads over concepts, and a concept over heads: explained shares or importances, and DCI of both.

const spreads = new Map((map.concept_spread || []).map((each) => [each.concept, each]));
const byImages = map.probe_kind === "image";

/** What there is of a head: the variance that each concept's texts explain, or its importance for each concept. */
const sharesOf = (head) => head.spread && (byImages ? head.spread.importance : head.spread.explained);

function spreadSection() {
  if (!spreads.size) return;
  SEEN.push((head) => (head.spread ? spreadOf(head) : []));
  const speaking = heads.filter((head) => sharesOf(head));
  const held = (head, concept) => sharesOf(head)[concept] * (byImages ? 1 : head.variance);
  const sum = (list, concept) => list.reduce((total, head) => total + held(head, concept), 0);
  const deep = [...layers].reverse();
  const rows = concepts.map((concept) => {
    const { completeness, informativeness, chance: least } = spreads.get(concept), whole = sum(speaking, concept);
    const most = [...speaking].sort((one, other) => held(other, concept) - held(one, concept))[0];
    return [make("span", { class: "close" }, chip(concept), " ", concept), number(completeness), ...(byImages ? [percent(informativeness), percent(least)] : []),
      whole ? headButton(most.name) : "–", whole ? percent(held(most, concept) / whole, 0) : number(null),
      ...deep.map((layer) => (whole ? percent(sum(speaking.filter((head) => head.layer === layer), concept) / whole, 0) : number(null)))];
  });
  const what = byImages ? "what reads it off all heads together, with no more heads than it takes" : "the variance of all scored heads that lies in the span of its texts";
  section("spread", "Spread", "Where concepts live",
    make("p", { class: "lead" }, `Of each concept, ${what}: how much of that is whose? Completeness is 1 where one head has it all, and 0 where all have as much.`),
    table("A concept's part in every layer", ["concept", "completeness", ...(byImages ? ["told right, held out", "most frequent value"] : []), "most of it in", "its part", ...deep.map((layer) => `L${layer}`)], rows),
    make("details", {}, make("summary", {}, "Every head and concept"), sharesTable(speaking)));
}

function sharesTable(speaking) {
  const what = byImages ? "A head's importance for a concept: columns sum to 100%" : "Share of a head's variance in the span of a concept's texts";
  const last = byImages ? [] : ["CCS@5"];
  return table(`${what}; disentanglement: 1 where it is one concept's alone`, ["head", "disentanglement", ...last, ...concepts], speaking.map((head) =>
    [headButton(head.name), number(head.spread.disentanglement), ...(byImages ? [] : [number(head.spread.ccs, 1)]), ...concepts.map((concept) => percent(sharesOf(head)[concept]))]), { id: "shares" });
}

/** For the panel: what the head explains of its own variance, or counts for each concept, largest first. */
function spreadOf(head) {
  const shares = Object.entries(sharesOf(head)).sort((one, other) => other[1] - one[1]).slice(0, 5).filter(([, share]) => share > 0);
  const { disentanglement, ccs } = head.spread;
  return [make("h4", {}, byImages ? "Its part in reading off each concept" : "Share of its variance that each concept's texts explain"),
    make("p", { class: "small spread" }, "disentanglement ", number(disentanglement), ccs === null ? null : [", CCS@5 ", number(ccs, 1)]),
    make("ul", { class: "bars held" }, shares.map(([concept, share]) =>
      make("li", {}, chip(concept), make("span", { class: "word" }, concept), bar(Math.min(1, share), concept), percent(share))))];
}
