// The sources A, B and C: their images, and which seeds they are.

import { make, numberIn, show } from "../dom.js";
import { nameOf, seedSource } from "../state.js";

/**
 * Adds the sources to a panel.
 * @param {string[]} letters Such as ["a", "b"]; those that are missing are drawn.
 * @returns A function that draws them anew.
 */
export function addSources(app, panel, letters) {
  const { recipe } = app.state;
  const missing = {};
  let seed = recipe.a.seed ?? 0;
  for (const letter of letters) if (!recipe[letter]) missing[letter] = seedSource((seed += 1), app.state);
  if (Object.keys(missing).length) app.set(missing);
  const row = make("div", { class: "sources" });
  const canvases = letters.map((letter) => {
    const canvas = make("canvas", { width: 1, height: 1, role: "img" });
    const input = make("input", {
      type: "number", min: 0, max: 2 ** 32 - 1, value: app.state.recipe[letter].seed ?? "", "aria-label": `Seed of ${letter.toUpperCase()}`,
      change: () => {
        app.set({ [letter]: seedSource(numberIn(input, 0, 2 ** 32 - 1, 0), app.state) });
        draw();
      },
    });
    row.append(make("div", { class: "source" }, canvas, make("strong", { text: letter.toUpperCase() }), input));
    return canvas;
  });
  panel.append(row);
  function draw() {
    const sources = letters.map((letter) => app.state.recipe[letter]);
    app.latest(`sources-${letters.length}`, async () => {
      const bitmaps = await app.draw(`sources-${letters.length}`, sources.map((a) => ({ a })));
      bitmaps?.forEach((bitmap, i) => {
        show(canvases[i], bitmap);
        canvases[i].setAttribute("aria-label", nameOf(sources[i], app.facts.classes));
      });
    });
  }
  draw();
  return draw;
}
