// What every patch adds, laid over a picture as `headroles attend` draws it.

function largest(grid) {
  return Math.max(...grid.flat().map(Math.abs), 1e-12);
}

/** One pixel a patch, for a pale grey picture, which shows through what is near 0. `most`: the scale's end. */
function overlay(grid, quantity, most) {
  const canvas = make("canvas", { width: grid[0].length, height: grid.length, "aria-hidden": "true" });
  const context = canvas.getContext("2d"), pixels = context.createImageData(canvas.width, canvas.height);
  for (const [index, value] of grid.flat().entries()) {
    const share = Math.max(-1, Math.min(1, value / most));
    const color = quantity === "attention" ? between(data.looks.entropy, share) : between(data.looks.diverging, (share + 1) / 2);
    pixels.data.set([...rgb(color), Math.round(255 * (0.25 + 0.65 * Math.abs(share)))], 4 * index);
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}
