"""Images that are edited: moved along a direction of latent space, in some of the layers."""

import hashlib
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from dnnlib.image_files import image_grid
from stylegan_tf.editing.projection import sampled_labels, sampled_z
from stylegan_tf.pictures.figures import check_size, style_layers
from stylegan_tf.pictures.sampler import latents

SPACES = ("w", "z")


@dataclass(frozen=True)
class Edit:
    """A step along a direction.

    Attributes:
        name: What the direction is called.
        strength: Length of the step, in deviations of samples along the direction.
        step: The step itself, float32 [size].
        space: "w" or "z".
    """

    name: str
    strength: float
    step: np.ndarray
    space: str

    def __str__(self):
        """What it is, and a hash of the step: what a file is known by that was made with it."""
        known = hashlib.sha256(np.ascontiguousarray(self.step, np.float32).tobytes()).hexdigest()
        return f"{self.name}:{self.strength:g} in {self.space} (sha256 {known})"


def sampled_latents(sampler, space):
    """Samples of a latent space, [10,000, size], without truncation; classes take turns."""
    z = sampled_z(sampler)
    return z if space == "z" else sampler.mapping(z, sampled_labels(sampler))[:, 0]


def make_edit(name, strength, normal, samples, space):
    """An `Edit` by a number of deviations, those of samples, [N, size], along a normal of length 1, [size]."""
    deviation = float(np.std(np.asarray(samples, np.float64) @ normal))
    return Edit(name, strength, (strength * deviation * normal).astype(np.float32), space)


def edited_styles(sampler, look, seeds, edit, amounts, layers):
    """Styles of seeds, moved along a direction in some layers.

    Args:
        sampler: Sampler.
        look: Look.
        seeds: Seeds.
        edit: Edit.
        amounts: Numbers: how much of the step is taken; 0 for the image as it was.
        layers: Slice of layers that are moved.

    Returns:
        float32 [len(seeds), len(amounts), num_layers, dlatent_size].
    """
    w = look.styles(sampler, seeds)
    if edit.space == "w":
        return moved_styles(w, edit, amounts, layers)
    moved = np.repeat(w[:, None], len(amounts), axis=1)
    z, labels = latents(seeds, sampler.latent_size), look.labels(sampler, seeds)
    for i, amount in enumerate(amounts):
        other = sampler.truncate(sampler.mapping(z + amount * edit.step, labels), look.psi, look.cutoff)
        moved[:, i, layers] = other[:, layers]
    return moved


def moved_styles(w, edit, amounts, layers):
    """Styles, [N, num_layers, dlatent_size], moved along a direction of W, as `edited_styles` returns them."""
    moved = np.repeat(w[:, None], len(amounts), axis=1)
    moved[:, :, layers] += (np.asarray(amounts, np.float32)[:, None] * edit.step)[:, None]
    return moved


def edit(sampler, look, seeds=None, edits=(), layers=None, columns=5, projected=None):
    """Images that go from one side along a direction to the other: a row for each direction and seed.

    Args:
        sampler: Sampler.
        look: Look.
        seeds: Seeds.
        edits: Edits, each with rows of its own.
        layers: Layers that are moved, as in `style_layers`; None for all.
        columns: Images in a row, odd, so that the image itself is in the middle.
        projected: `projected.Projected` pictures in the place of seeds, with their own noise.

    Returns:
        uint8 [len(edits) * len(seeds) * R, columns * R, C].

    Raises:
        ValueError: There are no such layers, or the picture would be too large.
    """
    seeds = range(len(projected.w)) if seeds is None else seeds
    check_size(len(edits) * len(seeds) * columns * sampler.resolution**2)
    chosen = slice(None) if layers is None else style_layers(layers, sampler.num_layers)
    amounts = np.linspace(-1, 1, columns)
    pictures = []
    for change in tqdm(edits, unit="direction", disable=None):
        for row, seed in enumerate(seeds):
            if projected is None:
                w, noise = edited_styles(sampler, look, [seed], change, amounts, chosen)[0], look.noise
            else:
                w = moved_styles(projected.w[row : row + 1], change, amounts, chosen)[0]
                noise = [np.repeat(image[row : row + 1], columns, axis=0) for image in projected.noise]
            pictures.append(sampler.synthesis(w, noise, [seed] * columns))
    return image_grid(np.concatenate(pictures), columns)
