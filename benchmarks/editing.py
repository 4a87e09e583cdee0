"""How often does an edit change what it should, and how often something else, as a data set's classifiers see it?

    python benchmarks/editing.py avatars-64

Needs the planes of run_metrics.py --metric=ls, which avatars-64 has beside it. Images of seeds are moved along
directions of four kinds: the normals of attributes' planes in W and in Z, the principal components of w, and the
closed form. Factors are what one classifier each tells: a digit, or the glasses of an avatar. Along an attribute's
direction, its own factor should get its value: the share is of the images that did not have it. The others do not
know what they change: as their own factor counts the one that they change most often. Printed are means over
directions, and how often another factor changes.
"""

import pathlib
import sys

# Python puts this file's folder on the path, not the project's.
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import dnnlib.quiet_tensorflow  # noqa: F401

# isort: split

import click
import numpy as np
import tensorflow as tf

from datasets.opening import open_dataset
from dnnlib.cli import Command, Finite, UserPath, Whole, one_line_errors
from metrics.linear_factors import factor_values
from metrics.networks import classifiers
from metrics.options import Options
from metrics.projection_distances import choose
from metrics.session import Session
from stylegan_tf.editing.directions import closed_form, principal_components, read_planes
from stylegan_tf.editing.edit import edited_styles, make_edit, planes_of, sampled_latents
from stylegan_tf.files.find import find_targets, load_generator
from stylegan_tf.images import to_uint8
from stylegan_tf.pictures.gallery import Look
from stylegan_tf.pictures.sampler import Sampler

HEADER = "directions       number  own factor  another factor"


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("network", type=UserPath())
@click.option("--images", "count", type=Whole(1, 10_000), default=100, help="Images that are moved.")
@click.option("--strength", type=Finite(0, 100), default=2.0, help="How far, in deviations of samples.")
@click.option("--most", type=Whole(1, 1000), default=10, help="Directions of each kind, the first ones.")
@click.option("--dataset", help="Data set whose classifiers look.  [default: the run's]")
@click.option("--data-dir", type=UserPath(), help="Folder of data sets.  [default: the run's, or data]")
@click.option("--cache-dir", type=UserPath("folder"), default="cache", help="Folder of classifiers.")
@click.option("--directions", "file", type=UserPath(path_type=pathlib.Path), help="File of the planes.")
@one_line_errors
def main(network, count, strength, most, dataset, data_dir, cache_dir, file):
    """Move images of NETWORK, and look what has changed."""
    tf.config.experimental.enable_tensor_float_32_execution(False)
    target = find_targets(network, cache_dir=cache_dir)[-1]
    generator = load_generator(target.path)
    sampler = Sampler(generator)
    dataset, data_dir, _ = choose(target, None, dataset, data_dir)
    if dataset is None:
        raise ValueError(f"{network} does not tell its data set; name it with --dataset.")
    file = file or planes_of(target, sampler.network_hash)
    planes = {space: read_planes(file, sampler.network_hash, space) for space in ("w", "z")}
    if planes["w"] is None:
        raise ValueError(f"{file} has no planes of this network; measure --metric=ls with run_metrics.py.")
    data = open_dataset(dataset, data_dir, generator.resolution, generator.label_size)
    look = Look(str(target.path), psi=1.0, cutoff=0)
    samples = {space: sampled_latents(sampler, space) for space in ("w", "z")}
    kinds = {
        "planes in W": ("w", planes["w"]),
        "planes in Z": ("z", planes["z"]),
        "components": ("w", principal_components(samples["w"], most)),
        "closed form": ("w", closed_form(generator, slice(None), most)),
    }
    with Session(generator, data, Options(cache_dir=cache_dir)) as session:
        seen_by = classifiers(session)
        click.echo(HEADER)
        for kind, (space, directions) in kinds.items():
            shares = []
            for name, normal in list(zip(directions.names, directions.normals, strict=True))[:most]:
                step = make_edit(name, strength, normal, samples[space], space)
                w = edited_styles(sampler, look, range(count), step, [0, 1], slice(None))
                before, after = (logits_of(sampler, seen_by, w[:, i]) for i in (0, 1))
                shares.append(changes(before, after, seen_by, name))
            own, another = np.nanmean(shares, axis=0)
            click.echo(f"{kind:<15}  {len(shares):6d}  {own:10.1%}  {another:14.1%}")


def logits_of(sampler, seen_by, w):
    """What the classifiers say of the images of w, float32 [N, attributes]."""
    shrink = sampler.resolution // seen_by.resolution
    images = sampler.synthesis(w)
    parts = [images[start : start + 50] for start in range(0, len(images), 50)]
    return np.concatenate([seen_by(_shrunk(part, shrink)) for part in parts])


def _shrunk(images, shrink):
    """uint8 images reduced by averaging boxes."""
    return to_uint8(tf.cast(images, tf.float32) / 127.5 - 1.0, shrink=shrink)


def changes(before, after, seen_by, name):
    """(share of images whose own factor has changed as it should, mean share of those in which another has).

    Args:
        before, after: Logits of the images, [N, attributes].
        seen_by: AttributeClassifiers.
        name: Of the direction; an attribute's, or another.
    """
    found = {
        factor: [factor_values(logits, columns) for logits in (before, after)]
        for factor, columns in seen_by.groups.items()
    }
    shares = {factor: float(np.mean(was != became)) for factor, (was, became) in found.items()}
    own = max(shares, key=shares.get)
    reached = shares[own]
    if name in seen_by.names:
        column = seen_by.names.index(name)
        own, columns = next((factor, columns) for factor, columns in seen_by.groups.items() if column in columns)
        # With one column, the value is whether there is the attribute.
        wanted = columns.index(column) if len(columns) > 1 else 1
        was, became = found[own]
        reached = float(np.mean(became[was != wanted] == wanted)) if np.any(was != wanted) else np.nan
    others = [share for factor, share in shares.items() if factor != own]
    return reached, float(np.mean(others)) if others else np.nan


if __name__ == "__main__":
    main()
