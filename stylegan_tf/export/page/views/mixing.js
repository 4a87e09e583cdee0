// Style mixing: layers of A whose style is that of B, and the table of Figure 3.

import { field, make } from "../dom.js";
import { seedSource } from "../state.js";
import { addSources } from "./sources.js";

export const title = "Mixing";
const MOST = 8; // rows and columns of the table

export function render(app, panel) {
  const { num_layers: count, groups } = app.facts;
  if (count < 2) {
    panel.append(make("p", { class: "hint", text: "This network has a single style: there is nothing to mix." }));
    return { redraw() {}, leave() {} };
  }
  const draw = addSources(app, panel, ["a", "b"]);
  const chosen = new Set(app.state.recipe.mix ?? groups.coarse ?? [0]);
  const layers = Array.from({ length: count }, (_, layer) =>
    make("button", { text: String(layer), "aria-label": `layer ${layer}`, click: () => toggle([layer], !chosen.has(layer)) }));
  const named = Object.entries(groups).map(([name, members]) =>
    make("button", { text: name, click: () => { chosen.clear(); toggle(members, true); } }));
  const [rowsLabel, rows] = field("Rows", { type: "text", value: "0,1,2", size: 10, change: table });
  const [columnsLabel, columns] = field("Columns", { type: "text", value: "10,11,12,13", size: 12, change: table });
  const cells = make("div", { class: "table" });
  panel.append(
    make("h2", { text: "Styles that B gives" }),
    make("div", { class: "row", role: "group", "aria-label": "Groups of layers" }, ...named),
    make("div", { class: "row", role: "group", "aria-label": "Layers" }, ...layers),
    make("h2", { text: "Rows with these styles of the columns (Figure 3)" }),
    make("div", { class: "row" }, rowsLabel, columnsLabel),
    cells,
  );
  update();

  function toggle(members, on) {
    for (const layer of members) on ? chosen.add(layer) : chosen.delete(layer);
    update();
  }
  function update() {
    layers.forEach((button, layer) => button.setAttribute("aria-pressed", String(chosen.has(layer))));
    app.set({ mix: [...chosen].sort((a, b) => a - b), plane: null });
    table();
  }
  function table() {
    app.guard(async () => {
      const [down, along] = [rows, columns].map(seedsIn);
      const recipes = [];
      for (const a of [null, ...down])
        for (const b of [null, ...along]) {
          if (a === null && b === null) continue;
          const [rowSource, columnSource] = [a, b].map((seed) => seed !== null && seedSource(seed, app.state));
          recipes.push(a === null ? { a: columnSource } : b === null ? { a: rowSource } : { a: rowSource, b: columnSource, mix: [...chosen] });
        }
      const shape = `${down.length}x${along.length}`;
      if (cells.dataset.shape !== shape) {
        cells.dataset.shape = shape;
        cells.style.gridTemplateColumns = `repeat(${along.length + 1}, minmax(40px, 110px))`;
        cells.replaceChildren(make("div"), ...recipes.map(() => make("canvas", { width: 1, height: 1 })));
      }
      await app.drawInto("table", cells.querySelectorAll("canvas"), recipes);
    }, "table");
  }
  function seedsIn(input) {
    const seeds = input.value.split(/[\s,]+/).filter((text) => /^\d{1,10}$/.test(text)).map(Number).filter((seed) => seed < 2 ** 32);
    if (!seeds.length) throw new Error("Rows and columns are seeds such as 0,1,2.");
    return seeds.slice(0, MOST - 1);
  }
  return { redraw: () => { draw(); table(); }, leave() {} };
}
