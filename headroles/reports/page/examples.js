// What a head adds to its texts: images with most, least and at random, the patches that do, and how often how much.

const images = data.illustrations;

function picture(key, title) {
  return make("img", { src: "data:image/jpeg;base64," + images.pictures[key], alt: title || images.names[key], title: images.names[key] });
}

/** For the panel. Orange patches add to the first text, purple ones take from it, on one scale for the head. */
function examplesOf(head, examples) {
  const sides = [["most", examples.top], ["least", examples.bottom], ["at random", examples.drawn]].filter(([, shown]) => shown.length);
  const most = Math.max(...sides.flatMap(([, shown]) => shown.flatMap(({ patches }) => patches)).map(Math.abs), 0);
  return [make("h4", {}, `Images on which it adds to “${head.texts[0].text}”`),
    sides.map(([name, shown]) => [make("p", { class: "side quiet small" }, name), make("ul", { class: "examples" }, shown.map((example) => exampleOf(example, most)))]),
    most ? make("p", { class: "small heat-key" }, number(-most, 3), make("span", { class: "scale", "aria-hidden": "true", style: { background: `linear-gradient(to right, ${data.looks.diverging.join(", ")})` } }), number(most, 3), make("span", { class: "quiet" }, " a patch")) : null,
    histogram(examples.histogram),
    examples.later.length ? [make("h4", {}, "Nearest images of its next texts"), examples.later.map(({ text, images: own }) =>
      [make("p", { class: "side small" }, text), make("ul", { class: "examples" }, own.map((example) => exampleOf(example, 0)))])] : []];
}

function exampleOf({ picture: key, contribution, patches }, most) {
  return make("li", { class: patches.length ? "mapped" : null }, picture(key),
    patches.length ? make("span", { class: "spot" }, picture(key, "the patches that do"), heat(patches, most)) : null, make("span", { class: "small" }, number(contribution, 4)));
}

/** As `headroles attend` draws it: colour over a pale grey picture, which what is near 0 lets through. */
function heat(patches, most) {
  const canvas = make("canvas", { width: images.side, height: images.side, "aria-hidden": "true" });
  const context = canvas.getContext("2d"), pixels = context.createImageData(images.side, images.side);
  for (const [index, value] of patches.entries()) {
    const part = value / (most || 1);
    pixels.data.set([...rgb(between(data.looks.diverging, 0.5 + part / 2)), Math.round(255 * (0.25 + 0.65 * Math.abs(part)))], 4 * index);
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
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
