"""How a run starts from trained networks: weights of a snapshot, and layers of the discriminator that keep them."""

import json
import math
import re
from pathlib import Path

import keras

from stylegan_tf.files.find import find_snapshots, open_pickle
from stylegan_tf.files.keras_file import open_network
from stylegan_tf.files.published import is_published, obtain_network
from stylegan_tf.recipes.schedule import growth_at

IN_SNAPSHOT = ("G", "D", "Gs")

# Settings that leave no trace in the variables' shapes, but decide what their values mean: the stored scale of weights,
# and the orientation of up-convolutions.
MEANING = {
    "G": ("use_wscale", "mapping_lrmul", "fused_scale"),
    "D": ("use_wscale",),
    "Gs": ("use_wscale", "mapping_lrmul", "fused_scale"),
}


def initialize(models, source):
    """Fills G, D and Gs with a snapshot's weights, as far as they fit: also of another resolution, size or labels.

    A variable is copied where the source has one of the same path, such as 64x64_first/kernel, and shape. The others
    stay as they were initialised. Noise images and the average of w are copied as well.

    Args:
        models: `Models`. Call this outside of the strategy's scope.
        source: Folder of a snapshot, or of a run for its newest snapshot; a pickle of the original's, its URL, or a
            name in `published.PUBLISHED`.

    Returns:
        Lines that say what was copied and what was not, a list.

    Raises:
        ValueError: There is nothing to start from, or it does not fit; no variable is changed then.
    """
    networks = load_networks(source)
    transfers = [Transfer(getattr(models, name), networks[name], name, source) for name in IN_SNAPSHOT]
    if not any(transfer.pairs for transfer in transfers):
        raise ValueError(
            f"No variable of {source} has the shape that this run needs; choose networks of its size with "
            "generator.fmap_base, generator.latent_size and the like."
        )
    for transfer in transfers:
        for ours, theirs in transfer.pairs:
            ours.assign(keras.ops.convert_to_numpy(theirs))
    return [f"Starting from {describe(source)}."] + [line for transfer in transfers for line in transfer.lines()]


class Transfer:
    """What one network can take over from its source.

    Args:
        network, source: The network to fill, and the one to copy from.
        name: G, D or Gs.
        origin: Where the source is from, for messages.

    Attributes:
        pairs: [(variable to fill, variable to copy)].

    Raises:
        ValueError: The source is another class of network, or its weights are scaled for other settings.
    """

    def __init__(self, network, source, name, origin):
        check_meaning(network, source, name, origin)
        self.network, self.name = network, name
        ours, theirs = by_path(network), by_path(source)
        shared = [path for path in ours if path in theirs]
        self.pairs = [(ours[path], theirs[path]) for path in shared if ours[path].shape == theirs[path].shape]
        self.missing = [path for path in ours if path not in theirs]
        self.unused = [path for path in theirs if path not in ours]
        self.reshaped = {
            path: f"{path} {tuple(theirs[path].shape)} instead of {tuple(ours[path].shape)}"
            for path in shared
            if ours[path].shape != theirs[path].shape
        }

    def lines(self):
        """The numbers of variables and parameters that are copied, and the others in groups."""
        variables = self.network.variables
        copied = [ours for ours, _ in self.pairs]
        lines = [
            f"{self.name}: copied {len(copied)} of {len(variables)} variables, "
            f"{count_parameters(copied):,} of {count_parameters(variables):,} parameters."
        ]
        if self.missing:
            lines.append(f"    not in the source: {grouped(self.missing)}")
        if self.reshaped:
            lines.append(f"    other shape in the source: {grouped(self.reshaped, self.reshaped)}")
        if self.unused:
            lines.append(f"    not used of the source: {grouped(self.unused)}")
        return lines


def check_meaning(network, source, name, origin):
    """ValueError unless the values of the source's variables mean the same in the network."""
    ours, theirs = type(network).__name__, type(source).__name__
    if ours != theirs:
        raise ValueError(
            f"{name} of {origin} is a {theirs}, and this run trains a {ours}; start from a run of the same networks."
        )
    for setting in MEANING[name]:
        wanted, stored = network.get_config().get(setting), source.get_config().get(setting)
        if wanted != stored:
            prefix = "discriminator" if name == "D" else "generator"
            raise ValueError(
                f"The weights of {name} of {origin} were trained with {setting}={stored!r} and mean something else "
                f"with {wanted!r}; set {prefix}.{setting} to the source's value."
            )


def load_networks(source):
    """{"G", "D", "Gs": network} of what `initialize` takes, in the host's memory; ValueError if there are none."""
    with keras.device("cpu:0"):
        path = find_pickle(source)
        if path is None:
            folder = find_snapshot(source)
            return {name: open_network(folder / f"{name}.keras", "start from another snapshot") for name in IN_SNAPSHOT}
        networks = open_pickle(path)
    if len(networks) != len(IN_SNAPSHOT):
        raise ValueError(
            f"{path} holds {len(networks)} network{'s' * (len(networks) > 1)}, not G, D and Gs; give another."
        )
    return dict(zip(IN_SNAPSHOT, networks, strict=True))


def find_pickle(source):
    """The path of a pickle, downloaded if need be; None if `source` is a folder of this project's."""
    if Path(source).exists():
        return Path(source) if Path(source).suffix == ".pkl" else None
    return obtain_network(source) if is_published(source) else None


def find_snapshot(source):
    """The folder of a snapshot: `source` itself, or the newest snapshot of the run in `source`; ValueError if none."""
    source = Path(source)
    if not source.is_dir():
        raise ValueError(
            f"{source} is nothing to start from; give the folder of a snapshot or of a run, a .pkl file, its URL, or "
            "the name of a published network."
        )
    found = find_snapshots(source)
    folder = found[max(found)] if found else source
    missing = [f"{name}.keras" for name in IN_SNAPSHOT if not (folder / f"{name}.keras").is_file()]
    if len(missing) == len(IN_SNAPSHOT):
        raise ValueError(
            f"{folder} holds no networks; give the folder of a snapshot, or of a run that has written one."
        )
    if missing:
        raise ValueError(f"{folder} is incomplete, without {' and '.join(missing)}; choose another snapshot.")
    return folder


def describe(source):
    """What a run starts from: the snapshot that was found, or the source as it was named."""
    return str(source if find_pickle(source) else find_snapshot(source))


def initial_resolution(source):
    """The side of the images at which the training of a snapshot, or of a run's newest one, stood.

    Raises:
        ValueError: `source` holds no networks, or a snapshot's training.json is missing or damaged.
    """
    if find_pickle(source):
        Gs = load_networks(source)["Gs"]
        return growth_at(Gs.pickled_lod, Gs.resolution)[0]
    path = find_snapshot(source) / "training.json"
    try:
        resolution = json.loads(path.read_text())["resolution"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not say at which resolution the training stood: {error}") from None
    if not isinstance(resolution, int):
        raise ValueError(f"{path} must have a whole number as its resolution; it has {resolution!r}.")
    return resolution


def by_path(network):
    """{path without the network's own name: Keras variable}."""
    return {variable.path.partition("/")[2]: variable for variable in network.variables}


def count_parameters(variables):
    """The number of numbers in variables."""
    return sum(math.prod(variable.shape) for variable in variables)


def grouped(paths, descriptions=None):
    """Paths of variables in one line, those of a resolution or of the mapping network together.

    Args:
        paths: Paths, iterable.
        descriptions: {path: what to say of it}; of a group it is said of the first variable only.
    """
    groups = {}
    for path in paths:
        groups.setdefault(group(path), []).append(descriptions[path] if descriptions else path)
    texts = []
    for name, items in groups.items():
        first = f", the first {items[0]}" if descriptions else ""
        texts.append(items[0] if len(items) == 1 else f"{name} ({len(items)} variables{first})")
    return ", ".join(texts)


def group(path):
    """What a variable is counted with: 64x64, noise images, mapping, ..."""
    if resolution := re.search(r"\d+x\d+", path):
        return resolution[0]
    return "noise images" if re.search(r"noise\d+$", path) else path.partition("/")[0]


def freeze_layers(discriminator, count):
    """Makes the layers of a discriminator that are nearest to the image untrainable, to fine-tune on few images.

    Counted are, from the full resolution down: fromRGB, then every block's two convolutions, then convolution, dense
    layer and output at 4x4. The fromRGB of a lower resolution goes with the first convolution after it.

    Args:
        discriminator: A `Discriminator`, before its optimizer is made.
        count: Number of layers.

    Raises:
        ValueError: There are not as many, or none would be left to train.

    Reference:
        Mo et al., 2020, "Freeze the Discriminator: a Simple Baseline for Fine-Tuning GANs".
    """
    steps = [[discriminator.from_rgb[0]]]
    steps += [[layer] for block in discriminator.blocks for layer in block]
    steps += [[discriminator.conv], [discriminator.dense], [discriminator.output_layer]]
    for i, from_rgb in enumerate(discriminator.from_rgb[1:], start=1):
        steps[1 + 2 * i].append(from_rgb)  # with the first convolution of block i, or that of 4x4
    if count >= len(steps):
        raise ValueError(
            f"Of the discriminator's {len(steps)} layers, one at least must be trained; {count} are too many."
        )
    for layers in steps[:count]:
        for layer in layers:
            layer.trainable = False
