// What an adapter reaches beside zero-shot, per seed, and how its training went.

const DASHES = ["", "6 3", "2 3", "8 3 2 3", "1 2", "10 4"];

function adaptationSection() {
  if (!data.adaptations.length) return;
  section("adaptation", "Adaptation", "Adaptation",
    make("p", { class: "lead" }, "Right answers of the frozen CLIP (zero-shot, hollow) and of the adapted one (filled); hm is the harmonic mean of base and novel classes, retention what the adapted model still knows of other tasks. Lines are 95% intervals over seeds."),
    data.adaptations.length > 1 ? compared() : null, data.adaptations.map(adaptation));
}

const SAME = (one) => `${one.protocol}\u0000${one.task}\u0000${one.part}`;

function rowName(row) {
  return `${row.protocol} · ${row.task}${row.part === "all" ? "" : " · " + row.part}`;
}

function compared() {
  const rows = new Map(data.adaptations.flatMap((run) => run.summary.filter((row) => row.task === "mean" || row.part === "hm" || run.summary.length < 6)).map((row) => [SAME(row), row]));
  const cells = [...rows.values()].map((row) => [rowName(row), ...data.adaptations.map((run) => {
    const own = run.summary.find((each) => SAME(each) === SAME(row));
    return own ? make("span", {}, percent(own.adapted), " (", percent(own.difference, 1, true), ")") : "–";
  })]);
  return table("Adapted accuracy (difference from zero-shot), run beside run", ["protocol · task · part", ...data.adaptations.map((run) => run.name)], cells);
}

function adaptation(run) {
  const settings = run.settings, several = run.seeds.length > 1, method = settings.peft_type.toLowerCase();
  return make("article", { class: "run" }, make("h3", {}, run.name),
    make("p", {}, `${settings.task}, ${settings.protocol}, ${run.shots.map((shots) => shots === null ? "all images" : shots + " shots").join(", ")} a class, ${settings[method].mask ? "mask " + settings[method].mask : method}, seed${several ? "s" : ""} ${run.seeds.join(", ")}. ${run.trainable || ""}`),
    accuracies(run), several ? perSeed(run) : null, curves(run));
}

function accuracies(run) {
  const at = (value) => `${100 * value}%`;
  const track = (row) => {
    const range = row.adapted_interval;
    return make("span", { class: "track dumbbell", "aria-hidden": "true" },
      make("i", { class: "link-line", style: { left: at(Math.min(row.zero_shot, row.adapted)), width: at(Math.abs(row.difference)) } }),
      range ? make("i", { class: "range", style: { left: at(Math.max(0, range[0])), width: at(Math.min(1, range[1]) - Math.max(0, range[0])) } }) : null,
      make("i", { class: "hollow", style: { left: at(row.zero_shot) } }), make("i", { class: "dot", style: { left: at(row.adapted) } }));
  };
  const around = (row, name, sign) => {
    const range = row[name + "_interval"];
    return make("span", { class: "figure" }, percent(row[name], 1, sign), range ? make("span", { class: "quiet" }, " [", percent(range[0], 1, sign), ", ", percent(range[1], 1, sign), "]") : null);
  };
  return table(`Accuracy, ${run.seeds.length > 1 ? "mean over seeds with 95% interval" : "one seed"}`, ["protocol · task · part", "zero-shot", "adapted", "difference", "0 to 100%"],
    run.summary.map((row) => [rowName(row), around(row, "zero_shot"), around(row, "adapted"), around(row, "difference", true), track(row)]), { class: "accuracies" });
}

function perSeed(run) {
  const rows = run.summary.map((row) => [rowName(row), ...run.seeds.map((seed) => {
    const own = run.rows.find((each) => each.seed === seed && SAME(each) === SAME(row));
    return own ? make("span", {}, percent(own.zero_shot), " → ", percent(own.adapted)) : "–";
  })]);
  return make("details", {}, make("summary", {}, "Every seed: zero-shot → adapted"), table("Every seed: zero-shot → adapted", ["protocol · task · part", ...run.seeds.map((seed) => "seed " + seed)], rows));
}

function curves(run) {
  const lines = (values) => run.histories.flatMap(({ seed, epochs }) => values(epochs).map((line) => ({ ...line, seed, x: epochs.map((epoch) => epoch.epoch) })));
  const parts = (epochs, field) => Object.keys(epochs[0][field]).map((name) => ({ name, y: epochs.map((epoch) => epoch[field][name]) }));
  if (!run.histories[0].epochs.length) return null;
  return make("div", { class: "charts" },
    lineChart("Loss (weighted parts)", lines((epochs) => [{ name: "all", y: epochs.map((epoch) => epoch.loss) }, ...parts(epochs, "losses")]), null),
    lineChart("Training accuracy", lines((epochs) => [{ name: "accuracy", y: epochs.map((epoch) => epoch.accuracy) }]), [0, 1]),
    Object.keys(run.histories[0].epochs[0].alpha).length ? lineChart("Fusion weights", lines((epochs) => parts(epochs, "alpha")), [0, 1]) : null);
}

/** Lines over epochs; a name has one colour and dash, also over several seeds. */
function lineChart(title, lines, range) {
  const names = [...new Set(lines.map((line) => line.name))];
  const values = lines.flatMap((line) => line.y), epochs = lines.flatMap((line) => line.x);
  const [low, high] = range || [Math.min(0, ...values), Math.max(...values, 1e-9)];
  const [first, last] = [Math.min(...epochs), Math.max(...epochs)];
  const width = 320, height = 180, left = 38, bottom = 24, top = 8, right = 8;
  const x = (value) => left + (width - left - right) * (last > first ? (value - first) / (last - first) : 0.5);
  const y = (value) => top + (height - top - bottom) * (1 - (value - low) / (high - low || 1));
  const look = (name) => ({ class: "line", style: { "--stroke": data.looks.lines[names.indexOf(name) % data.looks.lines.length] }, "stroke-dasharray": DASHES[names.indexOf(name) % DASHES.length] });
  const ticks = [low, (low + high) / 2, high];
  const chart = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}, from epoch ${first} to ${last}; the numbers are in the table below the chart` },
    ticks.map((tick) => [draw("line", { class: "rule", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }), draw("text", { x: left - 5, y: y(tick) + 3.5, "text-anchor": "end" }, range ? fixed(100 * tick, 0) + "%" : fixed(tick, 2))]).flat(),
    draw("text", { x: x(first), y: height - 8, "text-anchor": "middle" }, String(first)), draw("text", { x: x(last), y: height - 8, "text-anchor": "end" }, `epoch ${last}`),
    lines.map((line) => draw("polyline", { ...look(line.name), points: line.y.map((value, index) => `${x(line.x[index]).toFixed(1)},${y(value).toFixed(1)}`).join(" ") })));
  const key = names.length < 2 ? null : make("ul", { class: "key" }, names.map((name) =>
    make("li", {}, draw("svg", { viewBox: "0 0 22 8", "aria-hidden": "true" }, draw("line", { ...look(name), x1: 0, x2: 22, y1: 4, y2: 4 })), name)));
  const seeds = [...new Set(lines.map((line) => line.seed))];
  const heading = (line) => names.length > 1 ? line.name + (seeds.length > 1 ? `, seed ${line.seed}` : "") : `seed ${line.seed}`;
  const steps = [...new Set(epochs)].sort((one, other) => one - other);
  const rows = steps.map((step) => [String(step), ...lines.map((line) => number(line.y[line.x.indexOf(step)], 3))]);
  return make("figure", {}, make("figcaption", {}, title), chart, key, make("details", {}, make("summary", {}, "Numbers"), table(title, ["epoch", ...lines.map(heading)], rows)));
}
