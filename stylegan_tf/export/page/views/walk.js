// A walk through images: played here, and recorded as a video.

import { field, make, numberIn, save } from "../dom.js";
import { describe, whole } from "../state.js";

export const title = "Walk";

export function render(app, panel) {
  const { backend, state } = app;
  const list = make("div", { class: "grid" });
  const [secondsLabel, seconds] = field("Seconds", { type: "number", min: 1, max: 60, value: 6 });
  const play = make("button", { text: "Play", click: toggle });
  const told = make("p", { class: "hint", role: "status" });
  const progress = make("progress", { max: 1, value: 0, hidden: true });
  const record = ["mp4", "gif"].map((format) => make("button", { text: `Record ${format.toUpperCase()}`, click: () => app.guard(() => recorded(format)) }));
  const hint = make("p", { class: "hint", text: "“Add to walk” adds the image on the stage. A click takes an image out again." });
  panel.append(make("div", { class: "row" }, secondsLabel, play, ...(backend.features.record ? record : [])), hint, list, progress, told);
  let playing = null, recording = false;
  draw();

  function draw() {
    const buttons = state.keys.map((recipe, i) => make("button", { class: "cell", "aria-label": `Take out ${describe(recipe, app.facts.classes)}`, click: () => {
      state.keys.splice(i, 1);
      draw();
    } }, make("canvas", { width: 1, height: 1 })));
    list.replaceChildren(...buttons);
    enable();
    if (buttons.length) app.guard(() => app.drawInto("keys", buttons.map((button) => button.firstChild), state.keys), "keys");
  }
  function enable() {
    play.disabled = state.keys.length < 2;
    for (const button of record) button.disabled = recording || state.keys.length < 2;
  }
  function toggle() {
    playing = playing === null ? requestAnimationFrame(frame) : stop();
    play.textContent = playing === null ? "Play" : "Stop";
  }
  function stop() {
    cancelAnimationFrame(playing);
    return null;
  }
  function frame(time) {
    if (playing === null || state.keys.length < 2) return;
    const place = ((time / 1000 / numberIn(seconds, 1, 60, 6)) % 1) * state.keys.length;
    const from = Math.floor(place), t = place - from;
    const [a, b] = [state.keys[from], state.keys[(from + 1) % state.keys.length]];
    app.latest("walk", async () => app.toStage(await app.drawBetween(a, b, t)));
    playing = requestAnimationFrame(frame);
  }
  async function recorded(format) {
    recording = true;
    enable();
    progress.hidden = false;
    told.textContent = "Recording ...";
    try {
      const asked = { network: state.network, recipes: state.keys.map((key) => whole(key, state)), seconds: numberIn(seconds, 1, 60, 6), fps: 24, format, loop: true };
      save(await backend.walk(asked, ({ done, of }) => { progress.value = done / of; }), `walk.${format}`);
      told.textContent = `Saved walk.${format}.`;
    } finally {
      recording = false;
      enable();
      progress.hidden = true;
      if (told.textContent === "Recording ...") told.textContent = "";
    }
  }
  return { redraw: draw, leave: () => { playing = stop(); } };
}
