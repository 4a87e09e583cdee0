// A grid of seeds, more of them by scrolling.

import { arrowKeys, field, make, numberIn } from "../dom.js";
import { seedSource } from "../state.js";

export const title = "Seeds";
const AT_ONCE = 24, LAST = 2 ** 32 - 1;

export function render(app, panel) {
  const grid = make("div", { class: "grid", role: "group", "aria-label": "Images of seeds" });
  const end = make("div", { class: "hint", text: "More as you scroll." });
  const [label, from] = field("From seed", { type: "number", min: 0, max: LAST, value: app.state.recipe.a.seed ?? 0, change: begin });
  panel.append(make("div", { class: "row" }, label), make("p", { class: "hint", text: "A click shows an image; the keys b and c make the one in focus the source B or C." }), grid, end);
  arrowKeys(grid);
  let first = 0, next = 0, loading = false, round = 0;

  function begin() {
    first = next = Math.round(numberIn(from, 0, LAST, 0));
    round += 1; // what is still being drawn is replaced
    loading = false;
    grid.replaceChildren();
    more();
  }

  async function more() {
    if (loading || next > LAST) return;
    loading = true;
    const now = round, seeds = Array.from({ length: Math.min(AT_ONCE, LAST - next + 1) }, (_, i) => next + i);
    next += seeds.length;
    const cells = seeds.map(cell);
    grid.append(...cells);
    const recipes = seeds.map((seed) => ({ a: seedSource(seed, app.state) }));
    const whole = await app.guard(() => app.drawInto("seeds", cells.map((one) => one.firstChild), recipes));
    if (now !== round) return;
    loading = false;
    if (whole && near()) more();
  }

  function cell(seed) {
    const source = seedSource(seed, app.state);
    return make(
      "button",
      { class: "cell", tabindex: seed === first ? 0 : -1, "aria-label": `seed ${seed}`, "aria-pressed": String(app.state.recipe.a.seed === seed), click: choose, keydown: asOther },
      make("canvas", { width: 1, height: 1 }),
      make("span", { text: String(seed) }),
    );

    function choose(event) {
      for (const other of grid.children) other.setAttribute("aria-pressed", String(other === event.currentTarget));
      app.set({ a: source, mix: null, plane: null });
    }
    function asOther(event) {
      if (event.key === "b") app.set({ b: source });
      if (event.key === "c") app.set({ b: app.state.recipe.b ?? source, c: source });
      if (["b", "c"].includes(event.key)) app.say(`Source ${event.key.toUpperCase()} is seed ${seed}.`);
    }
  }

  const near = () => end.isConnected && end.getBoundingClientRect().top < window.innerHeight + 300;
  const seen = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && more(), { rootMargin: "300px" });
  begin();
  seen.observe(end);
  return { redraw: begin, leave: () => seen.disconnect() };
}
