// What the page shows, as one object that fits into the address: a link restores it.

/**
 * A source of w: `{seed, class}`, `{mean: true}` or `{picture}`. A recipe is what the server and the web export draw:
 * `{a, b, c, t, plane, mix, directions, psi, cutoff, noise, noise_seed}`; see studio/recipes.py.
 */

/** Images that a walk goes through at most; see studio/saving.py. */
export const MOST_KEYS = 64;

/** The state of a fresh page. */
export const fresh = () => ({
  network: null,
  view: "seeds",
  psi: null, // the network's own
  label: null, // class of new seeds; null: each in turn
  noise: "fixed",
  recipe: { a: { seed: 0 } },
  keys: [], // recipes that a walk goes through
});

/** The state that an address holds; what does not fit is left out. */
export function read(hash) {
  const state = fresh();
  try {
    const given = JSON.parse(decodeURIComponent(hash.slice(1)));
    for (const key of Object.keys(state)) if (key in given) state[key] = given[key];
    if (!isRecipe(state.recipe) || !Array.isArray(state.keys) || !state.keys.every(isRecipe)) return fresh();
  } catch {
    return fresh();
  }
  return state;
}

/** Whether something can be shown as a recipe; whether it means anything is for those who draw it. */
function isRecipe(value) {
  if (typeof value?.a !== "object" || value.a === null) return false;
  const { mix, plane, directions } = value;
  return [mix, plane, directions].every((list) => Array.isArray(list ?? [])) && (plane ?? []).every((x) => typeof x === "number");
}

/** What comes after # in the address of a state. */
export const write = (state) => "#" + encodeURIComponent(JSON.stringify(state));

/**
 * Takes out of a state what another network does not know: layers, directions and pictures of yours; of another snapshot
 * of the same run (`sameRun`), your pictures alone. A seed stays.
 */
export function carryOver(state, sameRun) {
  const stays = ({ a, b, c }) => sameRun && ![a, b, c].some((source) => source?.picture);
  if (!stays(state.recipe)) state.recipe = { a: { seed: state.recipe.a.seed ?? 0 } };
  state.keys = state.keys.filter(stays);
}

/** A recipe with what holds for all images: truncation and noise. */
export function whole(recipe, state) {
  const made = { ...recipe };
  if (state.psi !== null) made.psi = state.psi;
  if (state.noise !== "fixed") made.noise = state.noise;
  return made;
}

/** The source of a seed, with the class that is chosen. */
export const seedSource = (seed, state) => (state.label === null ? { seed } : { seed, class: state.label });

/** A source in a few words. */
export function nameOf(source, classes = []) {
  if (!source) return "nothing";
  if (source.mean) return "the mean";
  if (source.picture) return "your picture";
  const known = classes.find((one) => one.number === source.class);
  return `seed ${source.seed}` + (known ? `, ${known.name}` : "");
}

/** A recipe in a few words. */
export function describe(recipe, classes) {
  const parts = [nameOf(recipe.a, classes)];
  if (recipe.mix?.length) parts.push(`layers ${recipe.mix.join(", ")} of ${nameOf(recipe.b, classes)}`);
  else if (recipe.plane) parts.push(`${recipe.plane.map((x) => x.toFixed(2)).join(", ")} towards ${nameOf(recipe.b, classes)}` + (recipe.c ? ` and ${nameOf(recipe.c, classes)}` : ""));
  for (const { name, strength } of recipe.directions ?? []) if (strength) parts.push(`${name} ${strength > 0 ? "+" : ""}${strength}`);
  return parts.join(" · ");
}
