// Everything that the numbers depend on, and the commands that make them again.

function settingsSection() {
  const flat = (value, before = "") => Object.entries(value).flatMap(([key, each]) =>
    each && typeof each === "object" && !Array.isArray(each) ? flat(each, before + key + ".") : [[before + key, Array.isArray(each) ? each.join(", ") || "none" : String(each)]]);
  const block = (title, value, open) => make("details", { open }, make("summary", {}, title), table(`Settings: ${title}`, ["setting", "value"], flat(value).map(([key, each]) => [key, make("code", {}, each)]), { plain: true }));
  section("settings", "Settings", "Settings, and how to make this again",
    make("p", {}, "The same input and seed give the same numbers."),
    make("pre", { class: "commands", tabindex: 0, role: "region", "aria-label": "Commands" }, make("code", {}, data.commands.join("\n"))),
    block("Role map", { headroles: data.version, model: map.model, images: map.images, bank: map.bank, settings: map.settings }, true),
    data.adaptations.map((run) => block(`Adapter ${run.name}`, run.settings, false)),
    ...SETTINGS.map(([title, value]) => block(title, value, false)));
}

/** Settings of other parts of the page: [title, value]. */
const SETTINGS = [];
