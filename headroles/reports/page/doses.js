// Dose and response: what each concept's margin gains by the factor on its heads, matched random heads beside it.

function dosesPart(found) {
  const curves = found.doses || [];
  if (!curves.length) return null;
  return make("div", {}, make("h3", { class: "spaced" }, "Dose and response"),
    make("p", {}, `The heads of a concept scaled about their ${found.settings.mode}: 0 cuts them, 1 leaves them as they are, below 0 turns them round. Line and band: margin that the concept gains, in nats, with its 95% interval. Dashed, grey: the mean and the range of matched random heads, scaled alike.`),
    make("div", { class: "doses" }, curves.map(doseCurve)),
    make("details", {}, make("summary", {}, "All numbers of the curves"), doseTable(curves)));
}

function doseCurve(curve) {
  const width = 300, height = 190, left = 44, bottom = 34, top = 8, right = 10;
  const same = { value: 0, low: 0, high: 0 }, given = curve.points.filter((point) => point.factor !== 1);
  const points = [...given, { factor: 1, gained: same, random: same, random_range: [0, 0] }].sort((one, other) => one.factor - other.factor);
  const ends = points.flatMap(({ gained, random_range: range }) => [gained.low, gained.high, gained.value, ...(range || [])]).filter((value) => value !== null);
  const [least, most] = [Math.min(...ends), Math.max(...ends)], room = most - least || 1;
  const first = points[0].factor, wide = points.at(-1).factor - first || 1;
  const x = (value) => (left + ((value - first) / wide) * (width - left - right)).toFixed(1);
  const y = (value) => (top + ((most - value) / room) * (height - top - bottom)).toFixed(1);
  const line = (list, value) => list.map((point) => `${x(point.factor)},${y(value(point))}`).join(" ");
  const band = (low, high) => `${line(points, low)} ${line([...points].reverse(), high)}`;
  const random = points.every((point) => point.random && point.random_range), color = looks.get(curve.concept)?.color || "#777777";
  const ticks = [...new Set([least, 0, most])], own = ({ gained }) => gained.value;
  const label = `${curve.concept}: ${given.map((point) => `times ${point.factor}, ${fixed(point.gained.value, 2)} nats`).join("; ")}`;
  const chart = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    ticks.flatMap((tick) => [draw("line", { class: "rule", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }), draw("text", { x: left - 5, y: Number(y(tick)) + 3.5, "text-anchor": "end" }, fixed(tick, 1))]),
    points.flatMap(({ factor }) => draw("text", { x: x(factor), y: height - bottom + 14, "text-anchor": "middle" }, words(factor))),
    draw("text", { x: x(first + wide / 2), y: height - 4, "text-anchor": "middle" }, "factor on its heads"),
    random ? [draw("polygon", { class: "range", points: band(({ random_range: range }) => range[0], ({ random_range: range }) => range[1]) }), draw("polyline", { class: "random", points: line(points, (point) => point.random.value) })] : [],
    draw("polygon", { points: band(({ gained }) => gained.low, ({ gained }) => gained.high), fill: color, "fill-opacity": 0.3 }),
    draw("polyline", { class: "edge", points: line(points, own) }), draw("polyline", { points: line(points, own), fill: "none", stroke: color, "stroke-width": 2 }),
    points.map((point) => draw("circle", { cx: x(point.factor), cy: y(own(point)), r: 2.5, fill: color })));
  return make("figure", {}, make("figcaption", {}, chip(curve.concept), " ", make("b", {}, curve.concept), " ", curve.heads.map((head, index) => [index ? ", " : "", headButton(head)])), chart);
}

function doseTable(curves) {
  const rows = curves.flatMap((curve) => curve.points.map((point) => [`${curve.concept} × ${words(point.factor)}`, estimate(point.gained, nats), percent(point.accuracy), estimate(point.random, nats),
    point.random_range ? make("span", {}, number(point.random_range[0], 3), " to ", number(point.random_range[1], 3)) : "–", number(point.others, 3)]));
  return table("Heads of a concept scaled → margin gained, in nats; brackets are 95% bootstrap intervals", ["heads × factor", "its margin", "its zero-shot accuracy", "with matched sets", "of which from, to", "other concepts"], rows, { id: "doses" });
}
