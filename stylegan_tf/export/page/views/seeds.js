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
  const seedOf = new Map(); // {cell: its seed}
  let first = 0, next = 0, loading = false, round = 0;

  function begin() {
    first = next = Math.round(numberIn(from, 0, LAST, 0));
    from.value = first;
    round += 1; // what is still being drawn is replaced
    loading = false;
    seedOf.clear();
    grid.replaceChildren();
    more();
  }

  function more() {
    if (loading || next > LAST) return;
    const cells = Array.from({ length: Math.min(AT_ONCE, LAST - next + 1) }, (_, i) => cell(next + i));
    next += cells.length;
    grid.append(...cells);
    draw(cells);
  }

  /** Draws all anew, first those that are in sight. */
  function redraw() {
    round += 1;
    const cells = [...grid.children], seen = new Set(cells.filter(inSight));
    draw([...seen, ...cells.filter((one) => !seen.has(one))]);
  }

  async function draw(cells) {
    loading = true;
    const now = round;
    let whole = true;
    for (let at = 0; whole && at < cells.length; at += AT_ONCE) {
      const some = cells.slice(at, at + AT_ONCE);
      const recipes = some.map((one) => ({ a: seedSource(seedOf.get(one), app.state) }));
      whole = await app.guard(() => app.drawInto("seeds", some.map((one) => one.firstChild), recipes));
      if (now !== round) return;
    }
    loading = false;
    if (whole && near()) more();
  }

  function cell(seed) {
    const made = make(
      "button",
      { class: "cell", tabindex: seed === first ? 0 : -1, "aria-label": `seed ${seed}`, "aria-pressed": String(app.state.recipe.a.seed === seed), click: choose, keydown: asOther },
      make("canvas", { width: 1, height: 1 }),
      make("span", { text: String(seed) }),
    );
    seedOf.set(made, seed);
    return made;

    function choose() {
      for (const other of grid.children) other.setAttribute("aria-pressed", String(other === made));
      app.set({ a: seedSource(seed, app.state), mix: null, plane: null });
    }
    function asOther(event) {
      const source = seedSource(seed, app.state);
      if (event.key === "b") app.set({ b: source });
      if (event.key === "c") app.set({ b: app.state.recipe.b ?? source, c: source });
      if (["b", "c"].includes(event.key)) app.say(`Source ${event.key.toUpperCase()} is seed ${seed}.`);
    }
  }

  const inSight = (element) => {
    const { top, bottom } = element.getBoundingClientRect();
    return bottom > 0 && top < window.innerHeight;
  };
  const near = () => end.isConnected && end.getBoundingClientRect().top < window.innerHeight + 300;
  const watching = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && more(), { rootMargin: "300px" });
  begin();
  watching.observe(end);
  return { redraw, leave: () => watching.disconnect() };
}
