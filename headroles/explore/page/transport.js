// How a page asks: over HTTP on this machine, or through the widget's model in a notebook.

/** `ask` of a local page: JSON to an address beside it. */
export function fetched(address = "ask") {
  return async (message) => {
    const reply = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(message) });
    const answer = await reply.json();
    if (answer.error) throw new Error(answer.error);
    return answer;
  };
}

/** `ask` of a widget: custom messages with a number, which the answer carries too. */
function messaged(model) {
  const waiting = new Map(), visit = (message) => {
    const own = message && waiting.get(message.id);
    if (!own) return;
    waiting.delete(message.id);
    if (message.error) own.fail(new Error(message.error));
    else own.done(message.answer);
  };
  model.on("msg:custom", visit);
  const ask = (message) => new Promise((done, fail) => {
    const id = crypto.randomUUID ? crypto.randomUUID() : String(Math.random());
    waiting.set(id, { done, fail });
    model.send({ id, message });
  });
  return { ask, stop: () => model.off("msg:custom", visit) };
}

/** What is chosen, kept here: name -> value, with those who want to know. */
function ownState(start) {
  const values = { ...start }, listeners = [];
  return {
    get: (name) => values[name],
    set(name, value) {
      values[name] = value;
      for (const [own, visit] of listeners) if (own === name) visit(value);
    },
    listen: (name, visit) => listeners.push([name, visit]),
    stop: () => listeners.splice(0),
  };
}

/** The same, kept by the widget's model, so that Python has it too. */
function sharedState(model) {
  const stops = [];
  return {
    get: (name) => model.get(name),
    set(name, value) {
      model.set(name, value);
      model.save_changes();
    },
    listen(name, visit) {
      const own = () => visit(model.get(name));
      model.on(`change:${name}`, own);
      stops.push(() => model.off(`change:${name}`, own));
    },
    stop: () => stops.splice(0).forEach((stop) => stop()),
  };
}

/** What notebooks call (anywidget). */
export default {
  render({ model, el }) {
    const { ask, stop } = messaged(model);
    const ending = mount(el, ask, sharedState(model));
    return () => {
      stop();
      ending.then((end) => end());
    };
  },
};
