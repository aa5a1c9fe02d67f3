// A picture, and the same with what every patch adds laid over it: purple takes away, orange adds.

function photo(shown, words) {
  return make("img", { src: shown.picture, alt: words || shown.name, title: shown.name });
}

/** The picture in pale grey below a map; `most` is the scale's end, that of the map where it is not given. */
function mapped(shown, grid, quantity = "contribution", most = largest(grid)) {
  const words = quantity === "attention" ? "where it looks" : "what its patches add";
  return make("span", { class: "mapped" }, photo(shown, `${shown.name}: ${words}`), overlay(grid, quantity, most));
}

/** The colours of a map and its two ends. */
function scaleOf(quantity, most) {
  const signed = quantity !== "attention", colors = signed ? data.looks.diverging : data.looks.entropy;
  const digits = Math.min(8, Math.max(1, 1 - Math.floor(Math.log10(most))));
  return make("p", { class: "scale-line small quiet" }, number(signed ? -most : 0, signed ? digits : 0), " ",
    make("span", { class: "scale", "aria-hidden": "true", style: { background: `linear-gradient(to right, ${colors.join(", ")})` } }), " ", number(most, digits, signed));
}
