"""Do a network's feature maps hold droplets: small spots that outshine all the rest of every map?

    python benchmarks/droplets.py results/00001-digits-f-cpu results/00002-digits-sg2-e-cpu --output=droplets.png

StyleGAN's generator makes such spots, most of them invisible in its images, and StyleGAN2's is made so as not to
(Karras et al., 2019, section 2). After each layer, every feature map is brought to mean 0 and variance 1, and the
energy of a pixel is the mean of their squares. The peak of an image is the root of its largest energy. The mean energy
is 1, so that the peak is a little above 1 where no pixel stands out, and far above where all maps share a spot. Scale
and offset of the maps, which styles set, do not matter: networks of both kinds compare.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from tqdm import tqdm

# Python puts this file's folder on the path, not the project's.
sys.path.insert(0, str(Path(__file__).parents[1]))

import dnnlib.quiet_tensorflow  # noqa: F401
from dnnlib.cli import Command, one_line_errors
from dnnlib.files import atomic_file
from dnnlib.optional import import_optional
from stylegan_tf.files.find import find_targets, load_generator
from stylegan_tf.images import to_uint8
from stylegan_tf.pictures.gallery import Look
from stylegan_tf.pictures.sampler import Sampler

BATCH = 32


class Peaks(NamedTuple):
    """What was found in one network.

    Attributes:
        name: What it is called.
        layers: Resolution of each layer, a list.
        peaks: Peak of each image after each layer, [N, layers].
        image: The image with the highest peak, uint8 [R, R, C].
        energies: Its energy after each layer, a list of [H, W].
    """

    name: str
    layers: list
    peaks: np.ndarray
    image: np.ndarray
    energies: list


def energy(features):
    """Energy of pixels: the mean over feature maps of their squares, once each map has mean 0 and variance 1.

    Args:
        features: [N, H, W, C]. Maps that are the same everywhere count for nothing.

    Returns:
        float64 [N, H, W]; its mean over an image is 1, unless all maps are the same everywhere.
    """
    x = np.asarray(features, np.float64)
    x = x - x.mean(axis=(1, 2), keepdims=True)
    variance = np.square(x).mean(axis=(1, 2), keepdims=True)
    varied = variance > 1e-12 * max(float(variance.max()), 1e-300)
    total = (np.square(x) / np.where(varied, variance, np.inf)).sum(axis=-1)
    return total / np.maximum(varied.sum(axis=-1), 1)


def feature_maps(synthesis, w):
    """Features after each layer of a synthesis network, with the stored noise, and the images.

    Returns:
        [features, [N, H, W, C]] in the order of the layers, and images, [N, R, R, C].

    Raises:
        ValueError: The network is not made of layers by resolution.
    """
    layers = [layer for block in getattr(synthesis, "layers_by_resolution", ()) for layer in block]
    if not layers:
        raise ValueError(f"{type(synthesis).__name__} has no layers whose feature maps could be looked at.")
    found, calls = [], [layer.call for layer in layers]

    def kept(call):
        def call_and_keep(*args, **kwargs):
            found.append(call(*args, **kwargs))
            return found[-1]

        return call_and_keep

    try:
        for layer, call in zip(layers, calls, strict=True):
            layer.call = kept(call)
        images = synthesis(w)
    finally:
        for layer in layers:
            del layer.call
    return found, images


def measure(name, generator, count):
    """The Peaks of a generator's images of the first seeds, without truncation."""
    look = Look(name, psi=1.0, cutoff=generator.num_layers)
    w = look.styles(Sampler(generator), range(count))
    peaks = []
    for start in tqdm(range(0, count, BATCH), desc=name, unit="minibatch", disable=None):
        features, _ = feature_maps(generator.synthesis, w[start : start + BATCH])
        peaks.append(np.stack([np.sqrt(energy(x).max(axis=(1, 2))) for x in features], axis=1))
    peaks = np.concatenate(peaks)
    worst = int(peaks.max(axis=1).argmax())
    features, images = feature_maps(generator.synthesis, w[worst : worst + 1])
    energies = [energy(x)[0] for x in features]
    return Peaks(name, [x.shape[1] for x in features], peaks, np.asarray(to_uint8(images))[0], energies)


def table(found):
    """Lines: of each resolution, the mean peak over all images and layers, and the highest one."""
    width = max(len("network"), *(len(one.name) for one in found))
    resolutions = sorted({resolution for one in found for resolution in one.layers})
    yield f"{'network':{width}}  peak     " + "  ".join(f"{f'{r}x{r}':>9s}" for r in resolutions)
    for one in found:
        for word, reduce in (("mean", np.mean), ("highest", np.max)):
            columns = [[i for i, r in enumerate(one.layers) if r == resolution] for resolution in resolutions]
            cells = [f"{reduce(one.peaks[:, column]):9.2f}" if column else " " * 9 for column in columns]
            yield f"{one.name:{width}}  {word:<7s}  " + "  ".join(cells)


def places(layers):
    """Where layers of these resolutions stand: two places for each, of which a lone layer has the second."""
    level = {side: side.bit_length() - 3 for side in layers}
    return [2 * level[side] + 1 - layers[i + 1 :].count(side) for i, side in enumerate(layers)]


def draw(found):
    """The Matplotlib figure: peaks by layer, and the energies of each network's image with the highest peak."""
    matplotlib_figure = import_optional("matplotlib.figure", "Drawing curves", "metrics")
    columns = 1 + max(len(set(one.layers)) for one in found)
    figure = matplotlib_figure.Figure(figsize=(1.6 * columns, 4 + 1.8 * len(found)), layout="constrained")
    grid = figure.add_gridspec(1 + len(found), columns, height_ratios=[4, *[1.8] * len(found)])
    axes = figure.add_subplot(grid[0, :], ylabel="Peak / root mean square", xlabel="Layers, by resolution")
    for number, one in enumerate(found):
        x = places(one.layers)
        axes.plot(x, one.peaks.mean(axis=0), "o-", color=f"C{number}", label=f"{one.name}, mean")
        axes.plot(x, one.peaks.max(axis=0), ":", color=f"C{number}", label="highest")
        panel = figure.add_subplot(grid[1 + number, 0])
        panel.imshow(one.image.squeeze(), cmap="gray", vmin=0, vmax=255)
        panel.set_title(f"{number + 1}: image", fontsize="small")
        # Of each resolution, after its last layer.
        last = {resolution: energy for resolution, energy in zip(one.layers, one.energies, strict=True)}
        for column, (resolution, values) in enumerate(last.items(), 1):
            panel = figure.add_subplot(grid[1 + number, column])
            panel.imshow(np.sqrt(values), cmap="magma", vmin=0)
            panel.set_title(f"{resolution}x{resolution}", fontsize="small")
    ticks = {place: side for one in found for place, side in zip(places(one.layers), one.layers, strict=True)}
    axes.set_xticks(list(ticks), [str(side) for side in ticks.values()], fontsize="small")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize="small")
    for panel in figure.axes[1:]:
        panel.set(xticks=[], yticks=[])
    return figure


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("networks", nargs=-1, required=True, metavar="NETWORK...")
@click.option("--images", "count", type=click.IntRange(min=1), default=256, help="Images of each network.")
@click.option(
    "--output", type=click.Path(path_type=Path), default="droplets.png", help="The figure, a PNG file; overwritten."
)
@click.option("--cache-dir", default="cache", help="Folder of downloaded networks.")
@one_line_errors
def main(networks, count, output, cache_dir):
    """Compare the feature maps of networks: runs (their newest snapshots), snapshots, .keras or .pkl files."""
    found = []
    for network in networks:
        target = find_targets(network, cache_dir=cache_dir)[-1]
        name = target.home.name if target.config else target.path.name
        found.append(measure(name, load_generator(target.path), count))
    for line in table(found):
        click.echo(line)
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(output) as temporary:
        draw(found).savefig(temporary, format="png", dpi=150)
    click.echo(output)


if __name__ == "__main__":
    main()
