"""What leaves the studio: pictures with their text, latents, the command that makes them again, walks as videos."""

import io
import json
import shlex

import numpy as np

from dnnlib.image_files import write_png
from dnnlib.videos import save_video
from studio.recipes import Between, at_once, images, styles
from stylegan_tf.editing.projected import RESULT
from stylegan_tf.pictures.gallery import Look
from stylegan_tf.pictures.sampler import random_noise

RECIPE = "studio recipe"
# Of what is shown at once, and thrown away.
FAST = {"compress_level": 1}
MOST_FRAMES, MOST_KEYS, MOST_SECONDS = 1800, 64, 120


def encode(image, text=None, **options):
    """A PNG file's bytes; see `write_png`."""
    buffer = io.BytesIO()
    write_png(buffer, image, text, **options)
    return buffer.getvalue()


def picture(recipe, value, opened):
    """A PNG file of a recipe, bytes, with text as `run_generator.py` writes it and the recipe's JSON, `value`."""
    (image,) = opened.sampler.pictures(images([recipe], opened))
    text = {RECIPE: json.dumps(value, sort_keys=True)}
    if (look := plain_look(recipe, opened)) is not None:
        text |= look.text(opened.sampler, recipe.sources[0].value)
    else:
        text |= look_of(recipe, opened).origin(opened.sampler)
    return encode(image, text)


def latents_file(recipe, opened):
    """A w.npz of a recipe, bytes, as `run_generator.py images --w` takes it."""
    sampler, noise = opened.sampler, _noise_images(recipe, opened)
    facts = {"network sha256": sampler.network_hash, "noise images": len(noise), "made by": "studio"}
    buffer = io.BytesIO()
    arrays = {f"noise{i}": image for i, image in enumerate(noise)}
    np.savez(buffer, w=styles([recipe], opened), **arrays, facts=json.dumps(facts))
    return buffer.getvalue()


def _noise_images(recipe, opened):
    """The noise images of a recipe's image, a list of float32 [1, R, R, 1]."""
    generator, source = opened.sampler.generator, recipe.sources[0]
    if recipe.noise == "random":
        return [image.numpy() for image in random_noise(generator.noise_shapes, np.array([recipe.noise_seed]))]
    if recipe.noise == "off":
        return [np.zeros(shape, np.float32) for shape in generator.noise_shapes]
    if source.kind == "picture":
        return opened.pictures[source.value].noise
    return [np.asarray(image) for image in generator.noise_images]


def look_of(recipe, opened):
    """The Look of a recipe, but for its class."""
    return Look(str(opened.target.path), recipe.psi, recipe.cutoff, recipe.noise)


def plain_look(recipe, opened):
    """The Look that makes a recipe's image of a seed alone, or None if there is more to it."""
    source = recipe.sources[0]
    mixed = recipe.mix or recipe.x or recipe.y or any(step.strength for step in recipe.steps)
    if source.kind != "seed" or mixed or (recipe.noise == "random" and recipe.noise_seed != source.value):
        return None
    return look_of(recipe, opened)._replace(label=source.label)


def command(recipe, network, opened):
    """The command that makes a recipe's image again.

    Returns:
        (command, whether the latents must be saved first).
    """
    look = plain_look(recipe, opened)
    words = ["python", "run_generator.py", "images", f"--network={network}"]
    if look is None:
        return shlex.join([*words, f"--w={RESULT}", "--outdir=pictures"]), True
    sampler = opened.sampler
    words.append(f"--seeds={recipe.sources[0].value}")
    if look.psi != sampler.usual_psi:
        words.append(f"--truncation-psi={look.psi}")
    if look.cutoff != sampler.truncated_layers:
        words.append(f"--truncation-cutoff={look.cutoff}")
    if look.noise != "fixed":
        words.append(f"--noise={look.noise}")
    if look.label is not None:
        words.append(f"--class={sampler.class_name(look.label).removesuffix(f' ({look.label})')}")
    return shlex.join([*words, "--outdir=pictures"]), False


class Walk:
    """A video through recipes.

    Args:
        recipes: Recipes, at least two.
        frames: Number of frames.
        loop: Whether it comes back to the first.
        opened: `opened.Opened`.
    """

    def __init__(self, recipes, frames, loop, opened):
        self.recipes, self.opened = recipes, opened
        ways = len(recipes) if loop else len(recipes) - 1
        self.places = np.arange(frames) * (ways / (frames if loop else max(1, frames - 1)))

    def parts(self):
        """The frames' numbers, as many at a time as are made at once."""
        count, step = len(self.places), at_once(self.opened.sampler.resolution)
        return np.split(np.arange(count), range(step, count, step))

    def frames(self, numbers):
        """Frames, uint8 [N, H, W, C]."""
        first, t = np.divmod(self.places[numbers], 1.0)
        keys = [self.recipes[int(key) % len(self.recipes)] for key in (*first, *(first + 1))]
        between = map(Between, keys[: len(t)], keys[len(t) :], t.tolist())
        return self.opened.sampler.pictures(images(list(between), self.opened))


def save_walk(path, ask, walk, fps, report):
    """Writes a Walk.

    Args:
        path: .mp4 or .gif.
        ask: Function that has a function called by the engine, and returns its result.
        walk: Walk.
        fps: Frames a second.
        report: Function of the number of frames that are made.
    """

    def frames():
        done = 0
        for numbers in walk.parts():
            yield from ask(lambda numbers=numbers: walk.frames(numbers))
            done += len(numbers)
            report(done)

    save_video(path, frames(), fps)
