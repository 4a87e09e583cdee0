// Your own picture: it is projected while you look on, and becomes a source.

import { field, make, numberIn } from "../dom.js";

export const title = "Your picture";
const LOOKING = "Looking at it ...";
const shown = new WeakMap(); // {app: what is in its panel}, which goes on while another view is shown

export function render(app, panel) {
  if (!shown.has(app)) shown.set(app, begun(app));
  panel.append(...shown.get(app));
  return { redraw() {}, leave() {} };
}

/** The elements of a panel. */
function begun(app) {
  const input = make("input", { type: "file", accept: "image/*", "aria-label": "Choose a picture", change: () => {
    if (input.files.length) begin(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  } });
  const [stepsLabel, steps] = field("Steps", { type: "number", min: 1, max: 2000, value: 200 });
  const drop = make("div", { class: "drop", dragover: over, dragleave: () => drop.classList.remove("over"), drop: dropped },
    make("p", { text: "Drop a picture here, or choose one. It stays on this machine." }), input);
  const target = make("img", { alt: "Your picture", hidden: true, error: () => { target.hidden = true; } }), found = make("img", { alt: "What the network makes of it", hidden: true });
  const progress = make("progress", { max: 1, value: 0, hidden: true });
  const told = make("p", { class: "hint", role: "status" });
  const stop = make("button", { text: "Stop here", hidden: true, click: () => app.guard(() => app.backend.stop(running)) });
  let running = null; // the projection that the panel shows; a new picture takes the place of one that is still going on
  let uploads = Promise.resolve(); // one after the other, in the order in which pictures were chosen

  function over(event) {
    event.preventDefault();
    drop.classList.add("over");
  }
  function dropped(event) {
    event.preventDefault();
    drop.classList.remove("over");
    begin(event.dataTransfer.files[0]);
  }
  function begin(file) {
    uploads = uploads.then(() => app.guard(() => upload(file), "picture"));
  }
  async function upload(file) {
    if (!file) throw new Error("That is no file; save the picture first, and drop or choose its file.");
    const { network } = app.state, before = told.textContent;
    told.textContent = LOOKING;
    let id = null;
    try {
      id = await app.backend.project(network, file, Math.round(numberIn(steps, 1, 2000, 200)), (news) => id === running && hear(news, network));
    } catch (error) { // what the panel shows goes on
      if (told.textContent === LOOKING) told.textContent = before;
      throw error;
    }
    if (running) app.backend.stop(running).catch(() => {}); // which may have ended by itself
    running = id;
    target.src = URL.createObjectURL(file);
    found.hidden = true;
    target.hidden = progress.hidden = stop.hidden = false;
  }
  function hear(news, network) {
    if (news.error) {
      finish();
      told.textContent = "";
      app.guard(() => Promise.reject(new Error(news.error)), "picture");
      return;
    }
    if (news.waiting) {
      told.textContent = `${news.waiting} ...` + (news.share === undefined ? "" : ` ${Math.round(news.share * 100)}%`);
      progress.value = news.share ?? 0;
      return;
    }
    progress.value = news.step / news.of;
    if (news.image) {
      found.hidden = false;
      found.src = `data:image/png;base64,${news.image}`;
      told.textContent = `Step ${news.step} of ${news.of}, ${news.by} distance ${news.distance.toPrecision(3)}`;
    }
    if (!news.done) return;
    const here = app.state.network === network, picture = running;
    finish();
    told.textContent = here ? "It is the source A now: mix it, blend it, edit it." : "It was found, in the network that was open then.";
    if (here) app.set({ a: { picture }, mix: null, plane: null, directions: null });
  }
  function finish() {
    running = null;
    progress.hidden = stop.hidden = true;
  }
  return [make("div", { class: "row" }, stepsLabel), drop, make("div", { class: "pair" }, target, found), progress, make("div", { class: "row" }, stop), told];
}
