// Directions as named sliders, with a range of layers.

import { field, make, numberIn } from "../dom.js";

export const title = "Directions";
const FAR = 5, SHOWN = 24;

export function render(app, panel) {
  const last = app.facts.num_layers - 1;
  const now = new Map((app.state.recipe.directions ?? []).map((step) => [step.name, step.strength]));
  const range = (app.state.recipe.directions ?? [])[0]?.layers ?? [0, last];
  const [filterLabel, filter] = field("Find", { type: "search", size: 14, input: list });
  const [fromLabel, from] = field("Layers", { type: "number", min: 0, max: last, value: range[0], input: update });
  const [toLabel, to] = field("to", { type: "number", min: 0, max: last, value: range[1], input: update });
  const sliders = make("div", { class: "sliders" });
  const hint = make("p", { class: "hint", text: "Looking for directions ..." });
  panel.append(make("div", { class: "row" }, filterLabel, fromLabel, toLabel, make("button", { text: "All to 0", click: reset })), hint, sliders);
  let names = [];
  app.guard(async () => {
    names = await app.directions();
    list();
  });

  function list() {
    const found = names.filter(({ name }) => name.toLowerCase().includes(filter.value.trim().toLowerCase()));
    const shown = found.slice(0, SHOWN);
    hint.textContent = found.length ? `In deviations; ${shown.length} of ${found.length}` + (found.length > SHOWN ? ", the others by their names." : ".") : "There are none of this name.";
    sliders.replaceChildren(...shown.map(slider));
  }
  function slider({ name, remark }) {
    const value = make("output", { text: (now.get(name) ?? 0).toFixed(1) });
    const input = make("input", { type: "range", min: -FAR, max: FAR, step: 0.1, value: now.get(name) ?? 0, "aria-label": name, input: () => {
      value.textContent = Number(input.value).toFixed(1);
      now.set(name, Number(input.value));
      update();
    } });
    return make("label", { class: "slider", title: `${name}: ${remark}` }, make("span", { text: name }), input, value);
  }
  function update() {
    const layers = [numberIn(from, 0, last, 0), numberIn(to, 0, last, last)].map(Math.round).sort((a, b) => a - b);
    const steps = [...now].filter(([, strength]) => strength).map(([name, strength]) => ({ name, strength, layers }));
    app.set({ directions: steps.length ? steps : null });
  }
  function reset() {
    now.clear();
    list();
    update();
  }
  return { redraw() {}, leave() {} };
}
