"""How well does a network find images that it made itself, and how well real ones? (StyleGAN2, section 5)

    python benchmarks/projection.py results/00000-digits-f-cpu --output=projection.png

Images of seeds and images of the run's data set, as many of each, are projected. Printed are medians of the distance,
of the difference of pixels in grey levels, and, of its own images, of how far the w that was found is from the true
one, in deviations of w; then the share of pairs of a made and a real image in which the made one is nearer to its
projection: 50% would mean that projection cannot tell them apart. A run has seen all images of its data set.
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
from dnnlib.cli import Command, UserPath, Whole, one_line_errors
from dnnlib.optional import import_optional
from metrics.options import Options
from metrics.projection_distances import DISTANCES, choose, open_distance
from stylegan_tf.editing.projection import Projection, Schedule, sampled_labels, sampled_statistics
from stylegan_tf.files.find import find_targets, load_generator
from stylegan_tf.pictures.sampler import Sampler, latents


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("network", type=UserPath())
@click.option("--images", "count", type=Whole(1, 1000), default=20, help="Images of each kind.")
@click.option("--steps", type=Whole(1, 10**6), default=1000, help="Steps of each projection.")
@click.option("--distance", type=click.Choice(DISTANCES), help="See run_projector.py.")
@click.option("--truncation-psi", "psi", type=float, default=0.7, help="Of the network's own images.")
@click.option("--dataset", help="Data set of the real images.  [default: the run's]")
@click.option("--data-dir", type=UserPath(), help="Folder of data sets.  [default: the run's, or data]")
@click.option("--cache-dir", type=UserPath("folder"), default="cache", help="Folder of weights and classifiers.")
@click.option("--output", type=UserPath("file", path_type=pathlib.Path), help="PNG file of both histograms.")
@one_line_errors
def main(network, count, steps, distance, psi, dataset, data_dir, cache_dir, output):
    """Project images that NETWORK made, and real ones."""
    tf.config.experimental.enable_tensor_float_32_execution(False)
    target = find_targets(network, cache_dir=cache_dir)[-1]
    generator = load_generator(target.path)
    sampler = Sampler(generator)
    dataset, data_dir, name = choose(target, distance, dataset, data_dir)
    if dataset is None:
        raise ValueError(f"{network} does not tell its data set; name that of the real images with --dataset.")
    opened = open_distance(generator, name, dataset, data_dir, Options(cache_dir=cache_dir))
    data = open_dataset(dataset, data_dir, generator.resolution)
    chosen = np.sort(np.random.RandomState(0).permutation(data.num_images)[:count])
    real = np.asarray(data.read_images(generator.resolution, chosen))
    label = sampled_labels(sampler)
    w = sampler.mapping(latents(range(count), sampler.latent_size), None if label is None else label[:count])
    w = sampler.truncate(w, psi, sampler.num_layers)
    made = sampler.synthesis(w)
    mean, deviation = sampled_statistics(sampler, label)
    projection = Projection(generator, opened, np.concatenate([made, real]), (mean, deviation), Schedule(steps))
    with click.progressbar(length=steps, label="steps") as progress:
        while not projection.is_done:
            projection.step()
            progress.update(1)
    distances = projection.distances().reshape(2, count)
    images = np.clip(projection.images() * 127.5 + 127.5, 0, 255)
    off = np.abs(images - np.concatenate([made, real])).mean(axis=(1, 2, 3)).reshape(2, count)
    away = np.linalg.norm(projection.w[:count, 0] - w[:, 0], axis=1) / deviation
    start = np.linalg.norm(mean - w[:, 0], axis=1) / deviation
    for kind, found, pixels in zip(("made", "real"), distances, off, strict=True):
        click.echo(f"{kind}: {name} distance {np.median(found):.4g}, pixels {np.median(pixels):.2f} of 255 (medians)")
    click.echo(
        f"w of made ones: {np.median(away):.2f} deviations from the true one (at the start {np.median(start):.2f})"
    )
    told = np.mean(distances[0][:, None] < distances[1][None])
    click.echo(f"nearer to their projections: made ones in {told:.0%} of {count**2} pairs with real ones")
    if output:
        save_histograms(output, distances, name)
        click.echo(output)


def save_histograms(path, distances, name):
    """Writes the histograms of distances of made and of real images, [2, N]."""
    figures = import_optional("matplotlib.figure", "A figure of histograms", "metrics")
    figure = figures.Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    bins = np.geomspace(distances.min(), distances.max(), 16)
    for kind, found in zip(("images of the network", "real images"), distances, strict=True):
        axes.hist(found, bins, alpha=0.6, label=kind)
    axes.set(xscale="log", xlabel=f"{name} distance from the projection", ylabel="images")
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
