// The page begins here: which backend there is, the network, the tabs, and what holds for all images.

import { App } from "./app.js";
import { OnnxBackend } from "./backend-onnx.js";
import { ServerBackend } from "./backend-server.js";
import { byId, make, save } from "./dom.js";
import { MOST_KEYS, carryOver, read, seedSource, whole, write } from "./state.js";
import * as blend from "./views/blend.js";
import * as directions from "./views/directions.js";
import * as mixing from "./views/mixing.js";
import * as picture from "./views/picture.js";
import * as seeds from "./views/seeds.js";
import * as walk from "./views/walk.js";

const VIEWS = { seeds, blend, mixing, directions, picture, walk };

start().catch((error) => {
  byId("message").textContent = error.message;
  byId("message").hidden = false;
});

async function start() {
  // An exported page has its network beside it.
  const exported = document.documentElement.dataset.exported !== undefined;
  const backend = exported ? await OnnxBackend.open() : await ServerBackend.open();
  const app = new App(backend, read(location.hash));
  const networks = backend.networks.filter((network) => network.snapshots.length);
  const broken = backend.networks.find((network) => network.error);
  if (!networks.length) throw new Error(broken.error);
  const all = networks.flatMap((network) => network.snapshots.map((snapshot) => snapshot.id));
  const lost = app.state.network !== null && !all.includes(app.state.network);
  if (lost) carryOver(app.state, false);
  if (!all.includes(app.state.network)) app.state.network = networks[0].snapshots.at(-1).id;
  if (!backend.features.projection) delete VIEWS.picture;
  if (!(app.state.view in VIEWS)) app.state.view = "seeds";
  let view = null;

  const select = byId("network"), timeline = byId("snapshot");
  select.append(...networks.map((network) => make("option", { value: network.id, text: network.name })));
  const snapshotsOf = (id) => networks.find((network) => network.id === id).snapshots;
  const current = networks.find((network) => network.snapshots.some(({ id }) => id === app.state.network));
  select.value = current.id;
  select.addEventListener("change", () => use(snapshotsOf(select.value).at(-1).id));
  timeline.addEventListener("input", () => app.latest("open", () => use(snapshotsOf(select.value)[Number(timeline.value)].id)));

  /** Opens a network and shows the view anew. */
  async function use(id) {
    await app.guard(async () => {
      await app.open(id);
      showFacts();
      app.refresh();
      enter(app.state.view);
    });
  }

  function showFacts() {
    const { facts, state } = app, snapshots = snapshotsOf(select.value);
    byId("timeline").hidden = snapshots.length < 2;
    timeline.max = snapshots.length - 1;
    timeline.value = snapshots.findIndex(({ id }) => id === state.network);
    byId("kimg").textContent = facts.kimg === null ? "" : `${Math.round(facts.kimg)} kimg`;
    byId("psi").value = state.psi ?? facts.psi;
    byId("psi-value").textContent = Number(byId("psi").value).toFixed(2);
    byId("class-label").hidden = !facts.classes.length;
    byId("class").replaceChildren(make("option", { value: "", text: "each in turn" }), ...facts.classes.map(({ number, name }) => make("option", { value: number, text: name })));
    byId("class").value = state.label ?? "";
    byId("noise-label").hidden = !facts.noise;
    byId("noise").value = state.noise;
    document.title = `Studio – ${facts.name}`;
  }

  /** Changes what holds for all images. */
  function changed() {
    app.refresh();
    app.latest("redraw", async () => view.redraw());
  }
  byId("psi").addEventListener("input", () => {
    app.state.psi = Number(byId("psi").value);
    byId("psi-value").textContent = app.state.psi.toFixed(2);
    changed();
  });
  byId("noise").addEventListener("change", () => {
    app.state.noise = byId("noise").value;
    changed();
  });
  byId("class").addEventListener("change", () => {
    app.state.label = byId("class").value === "" ? null : Number(byId("class").value);
    const { a } = app.state.recipe;
    if (a.seed !== undefined) app.state.recipe.a = seedSource(a.seed, app.state);
    changed();
  });
  byId("mean").addEventListener("click", () => app.set({ a: { mean: true }, mix: null, plane: null }));

  const saving = (name, work) => byId(name).addEventListener("click", () => app.guard(() => work(app.state.network, whole(app.state.recipe, app.state))));
  saving("save-png", async (network, recipe) => save(await backend.picture(network, recipe), `${nameFor(app.state.recipe)}.png`));
  saving("save-w", async (network, recipe) => save(await backend.latents(network, recipe), "w.npz"));
  saving("copy-command", async (network, recipe) => {
    const { command, needs_latents: first } = await backend.command(network, recipe);
    app.say(`${first ? "Save the latents as w.npz first; the command" : "The command"}${(await copied(command)) ? ", copied" : ""}: ${command}`);
  });
  byId("copy-link").addEventListener("click", () => app.guard(async () => {
    history.replaceState(null, "", write(app.state));
    app.say((await copied(location.href)) ? "The link is copied; it is the page's address." : "The link is the page's address.");
  }));
  byId("add-key").addEventListener("click", () => {
    const { keys, recipe } = app.state, full = keys.length >= MOST_KEYS;
    if (!full) keys.push(recipe);
    app.say(full ? `A walk goes through ${MOST_KEYS} images at most.` : `${keys.length} images in the walk.`);
    app.refresh();
    if (app.state.view === "walk") view.redraw();
  });
  byId("save-w").hidden = !backend.features.latents;
  byId("copy-command").hidden = !backend.features.command;

  /** Whether a text is on the clipboard now, for which browsers may give no leave. */
  async function copied(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return false;
    }
  }

  /** Shows a view. */
  function enter(name) {
    view?.leave();
    app.forgive();
    app.say("");
    app.state.view = name;
    for (const tab of byId("tabs").children) {
      tab.setAttribute("aria-selected", String(tab.id === `tab-${name}`));
      tab.tabIndex = tab.id === `tab-${name}` ? 0 : -1;
    }
    byId("panel").setAttribute("aria-labelledby", `tab-${name}`);
    byId("panel").replaceChildren();
    view = VIEWS[name].render(app, byId("panel"));
    app.refresh();
  }
  byId("tabs").append(...Object.entries(VIEWS).map(([name, { title }]) => make("button", { id: `tab-${name}`, role: "tab", "aria-controls": "panel", text: title, click: () => enter(name) })));
  byId("tabs").addEventListener("keydown", (event) => {
    const tabs = [...byId("tabs").children], at = tabs.indexOf(document.activeElement);
    const next = tabs[{ ArrowRight: (at + 1) % tabs.length, ArrowLeft: (at + tabs.length - 1) % tabs.length, Home: 0, End: tabs.length - 1 }[event.key]];
    if (at < 0 || !next) return;
    event.preventDefault();
    next.focus();
    next.click();
  });

  // A link that is opened in this tab, and a picture that is dropped beside its place, which would replace the page.
  window.addEventListener("hashchange", () => location.reload());
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());

  await use(app.state.network);
  const problem = broken?.error ?? (lost ? "The link's network is not in this studio; the image is of another one." : null);
  if (problem) await app.guard(() => Promise.reject(new Error(problem)), "networks");
}

/** A file's name for a recipe; that of a seed is for its image as it is. */
function nameFor({ a, mix, plane, directions }) {
  if (a.seed === undefined) return "image";
  return `seed${String(a.seed).padStart(4, "0")}` + (mix?.length || plane?.some(Boolean) || directions?.length ? "-edited" : "");
}
