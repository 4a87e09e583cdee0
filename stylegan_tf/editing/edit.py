"""Images that are edited: moved along a direction of latent space, in some of the layers."""

import hashlib
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from dnnlib.image_files import image_grid
from stylegan_tf.editing.directions import FILE, closed_form, has_planes, principal_components, read_planes
from stylegan_tf.editing.projection import sampled_labels, sampled_z
from stylegan_tf.pictures.figures import check_size, style_layers
from stylegan_tf.pictures.sampler import latents

SPACES = ("w", "z")
# Of principal components and of the closed form, so many are named.
_FOUND = 16


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


def planes_of(target, network_hash):
    """Path of the planes of a Target's network: beside its metrics, or, where it comes with the project, beside it."""
    own = target.path.with_name(FILE)
    return own if has_planes(own, network_hash) else target.home / FILE


def find_directions(sampler, file, space, samples, layers):
    """The `Directions` of a network in a space: of attributes, where they are known, and those found without labels.

    Args:
        sampler: Sampler.
        file: Path of `directions.FILE`, which need not be there.
        space: "w" or "z".
        samples: See `sampled_latents`.
        layers: Slice of the layers that the closed form looks at.

    Raises:
        ValueError: There are none, or the file is damaged.
    """
    planes = read_planes(file, sampler.network_hash, space)
    if space == "z":
        if planes is None:
            raise ValueError(
                f"{file} has no attributes of this network, and other directions are of w; measure --metric=ls with "
                "run_metrics.py, or leave --space=z out."
            )
        return planes
    found = principal_components(samples, _FOUND)
    if sampler.generator.synthesis.styles:
        found = found.joined(closed_form(sampler.generator, layers, _FOUND))
    return found if planes is None else planes.joined(found)


def make_edit(name, strength, normal, samples, space):
    """An `Edit` by a number of deviations, those of samples, [N, size], along a normal of length 1, [size]."""
    deviation = float(np.std(np.asarray(samples, np.float64) @ normal))
    return Edit(name, strength, (strength * deviation * normal).astype(np.float32), space)


def unit_steps(sampler, file):
    """All directions of w that are known of a network, each with the step of a deviation along it.

    Args:
        sampler: Sampler.
        file: See `find_directions`.

    Returns:
        {name: (float32 [dlatent_size], what is known of it, in a few words)}.
    """
    samples = sampled_latents(sampler, "w")
    found = find_directions(sampler, file, "w", samples, slice(None))
    return {
        name: (make_edit(name, 1.0, normal, samples, "w").step, remark)
        for name, normal, remark in zip(found.names, found.normals, found.remarks, strict=True)
    }


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
