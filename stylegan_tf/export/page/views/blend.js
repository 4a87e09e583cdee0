// The plane through three sources: drag in it, and between two of them along its lower edge.

import { make } from "../dom.js";
import { addSources } from "./sources.js";

export const title = "Blend";
const REACH = 1.5, FROM = -0.25; // the plane from -0.25 to 1.25 on both sides
const STEP = 0.02, LARGE_STEP = 0.1;

export function render(app, panel) {
  const draw = addSources(app, panel, ["a", "b", "c"]);
  let [x, y] = app.state.recipe.plane ?? [0, 0];
  const dot = make("div", { class: "dot" });
  const corners = [["A", 0, 0], ["B", 1, 0], ["C", 0, 1]].map(([text, cx, cy]) => {
    const corner = make("div", { class: "corner", text });
    place(corner, cx, cy);
    return corner;
  });
  const pad = make("div", { class: "pad", tabindex: 0, role: "application", "aria-label": "Plane through A, B and C: drag, or use the arrow keys", pointerdown: grab, pointermove: drag, keydown: nudge }, ...corners, dot);
  const lone = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: x, "aria-label": "From A to B", input: () => move(Number(lone.value), 0) });
  panel.append(pad, make("p", { class: "hint", text: "Drag in the plane, or use the arrow keys (Shift: larger steps). Below: from A to B alone." }), make("label", {}, document.createTextNode("A "), lone, document.createTextNode(" B")));
  move(x, y);

  function place(element, px, py) {
    element.style.left = `${((px - FROM) / REACH) * 100}%`;
    element.style.top = `${(1 - (py - FROM) / REACH) * 100}%`;
  }
  function move(px, py) {
    const inside = (value) => Math.round(Math.min(FROM + REACH, Math.max(FROM, value)) * 1000) / 1000;
    [x, y] = [inside(px), inside(py)];
    place(dot, x, y);
    lone.value = x;
    pad.setAttribute("aria-description", `${x}, ${y}`);
    app.set({ plane: [x, y], mix: null });
  }
  function grab(event) {
    pad.setPointerCapture(event.pointerId);
    pad.focus();
    drag(event);
  }
  function drag(event) {
    if (event.type === "pointermove" && !pad.hasPointerCapture(event.pointerId)) return;
    const box = pad.getBoundingClientRect();
    move(FROM + ((event.clientX - box.left) / box.width) * REACH, FROM + (1 - (event.clientY - box.top) / box.height) * REACH);
  }
  function nudge(event) {
    const step = event.shiftKey ? LARGE_STEP : STEP;
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!way) return;
    event.preventDefault();
    move(x + way[0] * step, y + way[1] * step);
  }
  return { redraw: draw, leave() {} };
}
