"""What an image of the studio is made from, as the page writes it in JSON, and the styles that this means."""

import math
from dataclasses import dataclass

import numpy as np

from stylegan_tf.pictures.interpolation import lerp
from stylegan_tf.pictures.sampler import latents

NOISES = ("fixed", "random", "off")
MOST_DIRECTIONS = 64
_KEYS = {"a", "b", "c", "t", "plane", "mix", "directions", "psi", "cutoff", "noise", "noise_seed"}
# Pixels that are drawn at a time, and the most images.
_PIXELS, _MOST_AT_ONCE = 2**16, 16
# How far a plane, psi and directions reach, which keeps every number finite.
_FAR, _MOST_PSI, _MOST_STRENGTH = 100.0, 1000.0, 100.0


class RecipeError(ValueError):
    """A recipe that means nothing, in one sentence for the page."""


@dataclass(frozen=True)
class Source:
    """Where a w is from: a seed with its class, the mean of w, or a picture that was projected.

    Attributes:
        kind: "seed", "mean" or "picture".
        value: The seed, or what the picture is called; None for the mean.
        label: Column of the class of a seed; None without classes.
    """

    kind: str
    value: int | str | None = None
    label: int | None = None


@dataclass(frozen=True)
class Step:
    """A step along a direction.

    Attributes:
        vector: Of a deviation, float32 [dlatent_size].
        strength: How many deviations.
        layers: Slice of the layers that are moved.
    """

    vector: np.ndarray
    strength: float
    layers: slice


@dataclass(frozen=True)
class Recipe:
    """An image: w = a + x (b - a) + y (c - a), or a with the styles of b in the layers `mix`; then moved by `steps`.

    Attributes:
        sources: One to three Sources, a, b and c.
        x, y: Place in the plane through them.
        mix: Layers whose style is that of b; None for none.
        steps: Steps, a tuple.
        psi, cutoff: Truncation of seeds; pictures are as they were found.
        noise: One of NOISES; "fixed" is also the noise that was found for a picture a.
        noise_seed: What random noise is drawn from.
    """

    sources: tuple
    x: float
    y: float
    mix: frozenset | None
    steps: tuple
    psi: float
    cutoff: int
    noise: str
    noise_seed: int


@dataclass(frozen=True)
class Between:
    """The image at fraction t of the line from the w of one Recipe to that of another, with the noise of the first."""

    first: Recipe
    second: Recipe
    t: float


def parse(value, opened):
    """The Recipe, or Between, that JSON means for a network.

    Args:
        value: What the page has sent.
        opened: `opened.Opened`.

    Raises:
        RecipeError: It means nothing.
    """
    if isinstance(value, dict) and "from" in value:
        _check_keys(value, {"from", "to", "t"}, "What is between two recipes")
        first, second = (parse_recipe(value.get(name), opened) for name in ("from", "to"))
        return Between(first, second, _number(value.get("t"), "t", 0, 1))
    return parse_recipe(value, opened)


def parse_recipe(value, opened):
    """`parse` of what can be saved or walked through: a Recipe, nothing in between."""
    _check_keys(value, _KEYS, "A recipe")
    sampler = opened.sampler
    sources = [_source(value[name], opened) for name in "abc" if value.get(name) is not None]
    if value.get("a") is None or (value.get("c") is not None and len(sources) < 3):
        raise RecipeError("A recipe needs the source a, and b where there is a c.")
    plane = value.get("plane")
    if plane is not None:
        if not isinstance(plane, list) or len(plane) != 2:
            raise RecipeError("plane must be two numbers, [x, y].")
        x, y = (_number(part, "plane", -_FAR, _FAR) for part in plane)
    else:
        x, y = _number(value.get("t", 0), "t", 0, 1), 0.0
    mix = value.get("mix")
    if mix is not None:
        if not isinstance(mix, list) or len(mix) > sampler.num_layers:
            raise RecipeError("mix must be a list of layers.")
        mix = frozenset(_whole(layer, "mix", 0, sampler.num_layers - 1) for layer in mix)
    if len(sources) < 2 and (mix or x):
        raise RecipeError("There is nothing to mix with: the recipe has no b.")
    steps = value.get("directions", [])
    if not isinstance(steps, list) or len(steps) > MOST_DIRECTIONS:
        raise RecipeError(f"directions must be a list of at most {MOST_DIRECTIONS}.")
    noise = value.get("noise", "fixed")
    if noise not in NOISES:
        raise RecipeError(f"noise must be {', '.join(NOISES)}; received {str(noise)[:40]!r}.")
    if noise == "random" and not sampler.noise_resolutions:
        raise RecipeError("The network has no noise that could be another.")
    seed = sources[0].value if sources[0].kind == "seed" else 0
    return Recipe(
        tuple(sources),
        x,
        y if len(sources) > 2 else 0.0,
        mix,
        tuple(_step(step, opened) for step in steps),
        _number(value.get("psi", sampler.usual_psi), "psi", -_MOST_PSI, _MOST_PSI),
        _whole(value.get("cutoff", sampler.truncated_layers), "cutoff", 0, 1000),
        noise,
        _whole(value.get("noise_seed", seed), "noise_seed", 0, 2**32 - 1),
    )


def uses_directions(value):
    """Whether JSON, which need not mean anything, asks for directions."""
    parts = (value, value.get("from"), value.get("to")) if isinstance(value, dict) else ()
    return any(isinstance(part, dict) and part.get("directions") for part in parts)


def styles(recipes, opened):
    """Styles of recipes of a network, Recipe or Between, float32 [N, num_layers, dlatent_size]."""
    parts = [(recipe.first, recipe.second) if isinstance(recipe, Between) else (recipe,) for recipe in recipes]
    w = iter(_styles([part for some in parts for part in some], opened))
    return np.array(
        [lerp(next(w), next(w), np.float32(recipe.t)) if isinstance(recipe, Between) else next(w) for recipe in recipes]
    )


def _styles(recipes, opened):
    """`styles` of recipes, none of them Between."""
    sampler = opened.sampler
    found = dict.fromkeys(source for recipe in recipes for source in recipe.sources)
    seeds = [source for source in found if source.kind == "seed"]
    if seeds:
        labels = None
        if sampler.label_size:
            labels = np.eye(sampler.label_size, dtype=np.float32)[[source.label for source in seeds]]
        mapped = sampler.mapping(latents([source.value for source in seeds], sampler.latent_size), labels)
        found |= zip(seeds, mapped, strict=True)
    for source in found:
        if source.kind == "picture":
            found[source] = opened.pictures[source.value].w[0]
        elif source.kind == "mean":
            found[source] = np.tile(np.asarray(sampler.generator.w_average), (sampler.num_layers, 1))
    rows = [(source, recipe) for recipe in recipes for source in recipe.sources]
    psi = np.ones([len(rows), sampler.num_layers], np.float32)
    for row, (source, recipe) in zip(psi, rows, strict=True):
        if source.kind != "picture":
            row[: recipe.cutoff] = recipe.psi
    w = sampler.truncate(np.array([found[source] for source, _ in rows], np.float32), psi, sampler.num_layers)
    whole, start = [], 0
    for recipe in recipes:
        count = len(recipe.sources)
        whole.append(_combined(recipe, w[start : start + count]))
        start += count
    return np.array(whole)


def _combined(recipe, w):
    """The w of a recipe, [num_layers, dlatent_size], of those of its sources, [1 to 3, num_layers, dlatent_size]."""
    a = w[0]
    if recipe.mix is not None:
        made = a.copy()
        layers = sorted(recipe.mix)
        if layers:
            made[layers] = w[1][layers]
    else:
        made = lerp(a, w[1], np.float32(recipe.x)) if len(w) > 1 else a.copy()
        if len(w) > 2:
            made = made + np.float32(recipe.y) * (w[2] - a)
    for step in recipe.steps:
        made[step.layers] += np.float32(step.strength) * step.vector
    return made


def at_once(side):
    """How many images of a side are drawn at a time, between what others ask."""
    return max(1, min(_MOST_AT_ONCE, _PIXELS // side**2))


def images(recipes, opened, side=None):
    """Images of recipes of a network, uint8 [N, R, R, C].

    Args:
        recipes: Recipes, at least one.
        opened: `opened.Opened`.
        side: One of the network's previews; None for the full resolution.

    Raises:
        ValueError: The network is broken.
    """
    sampler = opened.sampler
    w = styles(recipes, opened)
    if side is not None:
        return sampler.preview(w, side)
    looks = [recipe.first if isinstance(recipe, Between) else recipe for recipe in recipes]
    made = [None] * len(recipes)
    for kind in dict.fromkeys(map(_noise_kind, looks)):
        chosen = [i for i, recipe in enumerate(looks) if _noise_kind(recipe) == kind]
        noise = kind
        if kind == "found":
            noise = [
                np.concatenate(images)
                for images in zip(*(opened.pictures[looks[i].sources[0].value].noise for i in chosen), strict=True)
            ] or "fixed"
        made_of = sampler.synthesis(w[chosen], noise, [looks[i].noise_seed for i in chosen])
        for i, image in zip(chosen, made_of, strict=True):
            made[i] = image
    return np.array(made)


def _noise_kind(recipe):
    return "found" if recipe.noise == "fixed" and recipe.sources[0].kind == "picture" else recipe.noise


def _source(value, opened):
    """The Source that JSON means."""
    _check_keys(value, {"seed", "class", "mean", "picture"}, "A source")
    sampler = opened.sampler
    kinds = [kind for kind in ("seed", "mean", "picture") if kind in value]
    if len(kinds) != 1:
        raise RecipeError("A source is a seed, the mean or a picture.")
    if kinds == ["mean"]:
        return Source("mean")
    if kinds == ["picture"]:
        name = value["picture"]
        if not isinstance(name, str) or name not in opened.pictures:
            raise RecipeError("There is no such picture in this network; project it into this one.")
        return Source("picture", name)
    seed, label = _whole(value["seed"], "seed", 0, 2**32 - 1), value.get("class")
    if not sampler.label_size:
        if label is not None:
            raise RecipeError("The network has no classes.")
        return Source("seed", seed)
    if label is None:
        return Source("seed", seed, sampler.classes[seed % len(sampler.classes)])
    label = _whole(label, "class", 0, sampler.label_size - 1)
    if label not in sampler.classes:
        raise RecipeError(f"There were no images of class {label} in training.")
    return Source("seed", seed, label)


def _step(value, opened):
    """The Step that JSON means."""
    _check_keys(value, {"name", "strength", "layers"}, "A direction")
    name, count = value.get("name"), opened.sampler.num_layers
    if not isinstance(name, str) or name not in opened.directions:
        raise RecipeError(f"The network has no direction {str(name)[:40]!r}.")
    layers = value.get("layers")
    if layers is None:
        layers = [0, count - 1]
    if not isinstance(layers, list) or len(layers) != 2:
        raise RecipeError("layers of a direction must be [first, last].")
    first, last = (_whole(layer, "layers", 0, count - 1) for layer in layers)
    strength = _number(value.get("strength"), "strength", -_MOST_STRENGTH, _MOST_STRENGTH)
    return Step(opened.directions[name][0], strength, slice(first, last + 1))


def _check_keys(value, known, what):
    if not isinstance(value, dict):
        raise RecipeError(f"{what} must be an object.")
    if unknown := value.keys() - known:
        raise RecipeError(f"{what} has no {min(unknown)[:40]!r}; there are {', '.join(sorted(known))}.")


def _number(value, name, least, most):
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RecipeError(f"{name} must be a number.")
    if not least <= value <= most:
        raise RecipeError(f"{name} must be from {least:g} to {most:g}; received {value:g}.")
    return float(value)


def _whole(value, name, least, most):
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise RecipeError(f"{name} must be a whole number from {least} to {most}.")
    return value
