// What a head adds to its texts: images with most, least and at random, the patches that do, and how often how much.

const images = data.illustrations;

function picture(key, title) {
  return make("img", { src: "data:image/jpeg;base64," + images.pictures[key], alt: title || images.names[key], title: images.names[key] });
}

/** For the panel. Orange patches add to the first text, purple ones take from it, on one scale for the head. */
function examplesOf(head, examples) {
  const sides = [["most", examples.top], ["least", examples.bottom], ["at random", examples.drawn]].filter(([, shown]) => shown.length);
  const mapped = sides.flatMap(([, shown]) => shown.map(({ patches }) => patches)).filter((patches) => patches.length), most = largest(mapped);
  return [make("div", {}, make("h4", {}, `Images on which it adds to “${head.texts[0].text}”`),
    sides.map(([name, shown]) => [make("p", { class: "side quiet small" }, name), make("ul", { class: "examples" }, shown.map((example) => exampleOf(example, most)))]),
    mapped.length ? make("p", { class: "small heat-key" }, number(-most, 3), make("span", { class: "scale", "aria-hidden": "true", style: { background: `linear-gradient(to right, ${data.looks.diverging.join(", ")})` } }), number(most, 3), make("span", { class: "quiet" }, " a patch")) : null,
    histogram(examples.histogram),
    examples.later.length ? [make("h4", {}, "Nearest images of its next texts"), examples.later.map(({ text, images: own }) =>
      [make("p", { class: "side small" }, text), make("ul", { class: "examples" }, own.map((example) => exampleOf(example, 0)))])] : null)];
}

function exampleOf({ picture: key, contribution, patches }, most) {
  return make("li", { class: patches.length ? "mapped" : null }, picture(key),
    patches.length ? make("span", { class: "spot" }, picture(key, "the patches that do"), overlay(rowsOf(patches), "contribution", most)) : null, make("span", { class: "small" }, number(contribution, 4)));
}

/** The numbers row by row as rows. */
function rowsOf(patches) {
  return Array.from({ length: patches.length / images.side }, (_, row) => patches.slice(row * images.side, (row + 1) * images.side));
}

/** On how many images a head adds how much to its first text. */
function histogram({ low, high, counts }) {
  const width = 320, height = 84, bottom = 16, most = Math.max(...counts), step = width / counts.length;
  const at = (value) => (width * (value - low)) / (high - low || 1);
  const chart = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Histogram: from ${fixed(low, 3)} to ${fixed(high, 3)}; ${counts.join(", ")} images` },
    counts.map((count, bin) => draw("rect", { class: "bin", x: (bin * step + 0.5).toFixed(1), width: (step - 1).toFixed(1), y: ((height - bottom) * (1 - count / most)).toFixed(1), height: (((height - bottom) * count) / most).toFixed(1) })),
    low < 0 && high > 0 ? draw("line", { class: "zero", x1: at(0).toFixed(1), x2: at(0).toFixed(1), y1: 0, y2: height - bottom }) : null,
    draw("text", { x: 0, y: height - 4 }, fixed(low, 3)), low < 0 && high > 0 && at(0) > 50 && at(0) < width - 50 ? draw("text", { x: at(0).toFixed(1), y: height - 4, "text-anchor": "middle" }, "0") : null,
    draw("text", { x: width, y: height - 4, "text-anchor": "end" }, fixed(high, 3)));
  return [make("h4", {}, `How much it adds to it, on ${plural(counts.reduce((sum, count) => sum + count, 0), "image")}`), chart];
}
