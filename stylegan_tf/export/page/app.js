// What the views share: the network, the state, the image on the stage, and drawing.

import { byId, show } from "./dom.js";
import { carryOver, describe, whole, write } from "./state.js";

// From this side on, dragging shows an image of a lower resolution first.
const LARGE = 256, PREVIEW = 128;
// Where such an image takes longer, in milliseconds, the next ones are half as large, to this side.
const SLOW = 333, SMALLEST = 64;

export class App {
  /** @param backend `ServerBackend` or `OnnxBackend`. @param state See state.js. */
  constructor(backend, state) {
    this.backend = backend;
    this.state = state;
    this.facts = null; // what is known of the network
    this.names = null; // its directions, once they are asked for
    this.preview = PREVIEW; // side of previews, at most
    this.busy = new Map(); // {view: whether a newer request waits for the one under way}
    this.onDrawn = []; // functions that are told of a new image on the stage
  }

  /** Opens a network, which may be another snapshot of the one that was open. */
  async open(network) {
    const facts = await this.backend.describe(network);
    if (network !== this.state.network) {
      const { snapshots } = this.backend.networks.find((one) => one.snapshots.some(({ id }) => id === network));
      carryOver(this.state, snapshots.some(({ id }) => id === this.state.network));
    }
    if (!facts.classes.some((one) => one.number === this.state.label)) this.state.label = null;
    this.facts = facts;
    this.preview = PREVIEW;
    this.names = null;
    this.state.network = network;
  }

  /** The directions of the network, an array of {name, remark}. */
  async directions() {
    this.names ??= this.backend.directions(this.state.network);
    return this.names;
  }

  /** Changes the recipe on the stage and draws it. */
  set(changes) {
    this.state.recipe = { ...this.state.recipe, ...changes };
    for (const [key, value] of Object.entries(this.state.recipe)) if (value === null || value === undefined) delete this.state.recipe[key];
    this.refresh();
  }

  /** Draws the stage anew and keeps the state in the address. */
  refresh() {
    byId("caption").textContent = describe(this.state.recipe, this.facts.classes);
    byId("image").setAttribute("aria-label", byId("caption").textContent);
    clearTimeout(this.writing);
    this.writing = setTimeout(() => history.replaceState(null, "", write(this.state)), 200);
    this.latest("stage", async () => {
      const { previews, resolution } = this.facts;
      const side = previews.filter((one) => one <= this.preview).at(-1), began = performance.now();
      if (resolution >= LARGE && side) {
        this.toStage(await this.draw("stage-preview", [this.state.recipe], side));
        if (performance.now() - began > SLOW && side > SMALLEST) this.preview = side / 2;
        if (this.busy.get("stage")) return; // who drags on does not wait for the large image
      }
      this.toStage(await this.draw("stage", [this.state.recipe]));
    });
  }

  toStage(bitmaps) {
    if (!bitmaps) return;
    show(byId("image"), bitmaps[0]);
    byId("image").dataset.drawn = Number(byId("image").dataset.drawn ?? 0) + 1;
    for (const tell of this.onDrawn) tell(bitmaps[0]);
  }

  /** Runs a function that draws; while it runs, only the newest of those that are asked for waits. */
  async latest(view, work) {
    if (this.busy.has(view)) {
      this.busy.set(view, work);
      return;
    }
    this.busy.set(view, null);
    let next = work;
    while (next) {
      await this.guard(next, view);
      next = this.busy.get(view);
      this.busy.set(view, null);
    }
    this.busy.delete(view);
  }

  /** Images of recipes with what holds for all of them, an array of ImageBitmap; null where they are not wanted now. */
  draw(view, recipes, side, each) {
    return this.backend.draw(view, this.state.network, recipes.map((recipe) => whole(recipe, this.state)), side, each);
  }

  /** The image between two recipes, at fraction t of the line from one w to the other. */
  drawBetween(from, to, t) {
    const [first, second] = [from, to].map((recipe) => whole(recipe, this.state));
    return this.backend.draw("walk", this.state.network, [{ from: first, to: second, t }]);
  }

  /** Draws into canvases, as images come; returns whether all have, and no newer request of the view has come between. */
  async drawInto(view, canvases, recipes) {
    const bitmaps = await this.draw(view, recipes, undefined, (first, some) => some.forEach((bitmap, i) => show(canvases[first + i], bitmap)));
    return bitmaps !== null;
  }

  /** Runs something, and says what went wrong, until the same succeeds or another view is shown. */
  async guard(work, place = "page") {
    try {
      const result = await work();
      if (this.problem === place) this.forgive();
      return result;
    } catch (error) {
      this.problem = place;
      byId("message").textContent = error.message;
      byId("message").hidden = false;
      if (error.constructor === TypeError || error.constructor === ReferenceError) console.error(error);
      return undefined;
    }
  }

  /** Takes what went wrong off the page. */
  forgive() {
    this.problem = null;
    byId("message").hidden = true;
  }

  say(text) {
    byId("said").textContent = text;
  }
}
