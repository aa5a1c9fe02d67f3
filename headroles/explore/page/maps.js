// A picture, and the same with what every patch adds laid over it: purple takes away, orange adds.

function photo(shown, words) {
  return make("img", { src: shown.picture, alt: words || shown.name, title: shown.name });
}

/** The picture in pale grey below a map; `most` is the scale's end, that of the map where it is not given. */
function mapped(shown, grid, quantity = "contribution", most = largest(grid)) {
  const words = quantity === "attention" ? "where it looks" : "what its patches add";
  return make("span", { class: "mapped" }, photo(shown, `${shown.name}: ${words}`), overlay(grid, quantity, most));
}

function largest(grid) {
  return Math.max(...grid.flat().map(Math.abs), 1e-12);
}

/** One pixel a patch. What is near 0 lets the picture through. */
function overlay(grid, quantity, most) {
  const canvas = make("canvas", { width: grid[0].length, height: grid.length, "aria-hidden": "true" });
  const context = canvas.getContext("2d"), pixels = context.createImageData(canvas.width, canvas.height);
  for (const [index, value] of grid.flat().entries()) {
    const share = Math.max(-1, Math.min(1, value / most));
    const color = quantity === "attention" ? between(data.looks.entropy, share) : between(data.looks.diverging, (share + 1) / 2);
    pixels.data.set([...rgb(color), Math.round(255 * (0.2 + 0.7 * Math.abs(share)))], 4 * index);
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/** The colours of a map and its two ends. */
function scaleOf(quantity, most) {
  const signed = quantity !== "attention", colors = signed ? data.looks.diverging : data.looks.entropy;
  return make("p", { class: "scale-line small quiet" }, number(signed ? -most : 0, 4), " ",
    make("span", { class: "scale", "aria-hidden": "true", style: { background: `linear-gradient(to right, ${colors.join(", ")})` } }), " ", number(most, 4, signed));
}
