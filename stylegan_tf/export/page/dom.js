// Small helpers for the page's elements.

/** The element of an id. */
export const byId = (id) => document.getElementById(id);

/**
 * Makes an element.
 * @param {string} name Tag name.
 * @param {Object} [attributes] Attributes; functions are listeners, `text` is its text, booleans are properties.
 * @param {...Node} children
 */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") element.textContent = value;
    else if (typeof value === "function") element.addEventListener(key, value);
    else if (typeof value === "boolean") element[key] = value;
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Shows an ImageBitmap in a canvas, at its own size; small images with their pixels as squares. */
export function show(canvas, bitmap) {
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.classList.toggle("small-pixels", Math.max(bitmap.width, bitmap.height) <= 64);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
}

/** Has a file saved by the browser. */
export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

/** A label with an input; returns [label, input]. */
export function field(text, attributes) {
  const input = make("input", attributes);
  return [make("label", { text: text + " " }, input), input];
}

/** A number in a range: what a field holds, or its default. */
export function numberIn(input, least, most, otherwise) {
  const value = Number(input.value);
  return input.value.trim() !== "" && Number.isFinite(value) ? Math.min(most, Math.max(least, value)) : otherwise;
}

/** Moves the focus among the buttons of a grid with the arrow keys; Tab goes past it, as it may have no end. */
export function arrowKeys(grid) {
  grid.addEventListener("focusin", ({ target }) => {
    for (const button of grid.querySelectorAll("button[tabindex='0']")) button.tabIndex = -1;
    target.tabIndex = 0;
  });
  grid.addEventListener("keydown", (event) => {
    const cells = [...grid.querySelectorAll("button")];
    const at = cells.indexOf(document.activeElement);
    const columns = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (at >= 0 && step && cells[at + step]) {
      cells[at + step].focus();
      event.preventDefault();
    }
  });
}
