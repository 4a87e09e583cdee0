"""How a run starts from trained networks: weights of a snapshot, and layers of the discriminator that keep them."""

import math
import re

import keras

from stylegan_tf.files.find import load_trained


def initialize(models, source):
    """Fills G, D and Gs with a snapshot's weights, as far as they fit: also of another resolution, size or labels.

    A variable is copied where the source has one of the same path, such as 64x64_first/kernel, and shape. The others
    stay as they were initialised. Noise images and the average of w are copied as well.

    Args:
        models: `Models`. Call this outside of the strategy's scope.
        source: See `find.find_targets`; of a run, the newest snapshot is taken.

    Returns:
        Lines that say what was copied and what was not, a list.

    Raises:
        ValueError: There is nothing to start from, or it does not fit; no variable is changed then.
    """
    transfers, lines = plan_transfers(models.G, models.D, models.Gs, source)
    for transfer in transfers:
        for ours, theirs in transfer.pairs:
            ours.assign(keras.ops.convert_to_numpy(theirs))
    return lines


def plan_transfers(G, D, Gs, source):
    """What `initialize` would copy: (list of `Transfer`, its lines). The networks to fill need no values."""
    origin, sources = load_networks(source)
    networks = {"G": G, "D": D, "Gs": Gs}
    transfers = [Transfer(networks[name], network, name, source) for name, network in sources.items()]
    if not any(transfer.pairs for transfer in transfers):
        raise ValueError(
            f"No variable of {source} has the shape that this run needs; choose networks of its size with "
            "generator.fmap_base, generator.latent_size and the like."
        )
    return transfers, [f"Starting from {origin}."] + [line for transfer in transfers for line in transfer.lines()]


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
    for setting in network.meaning:
        wanted, stored = network.arguments[setting], source.arguments[setting]
        if wanted != stored:
            prefix = "discriminator" if name == "D" else "generator"
            raise ValueError(
                f"The weights of {name} of {origin} were trained with {setting}={stored!r} and mean something else "
                f"with {wanted!r}; set {prefix}.{setting} to the source's value."
            )


def load_networks(source):
    """`find.load_trained` in the host's memory."""
    with keras.device("cpu:0"):
        return load_trained(source)


def initial_resolution(source):
    """The side of the images at which the training of what `source` names stood.

    Raises:
        ValueError: `source` names no networks.
    """
    Gs = load_networks(source)[1]["Gs"]
    return Gs.growth[0] if Gs.growth else Gs.resolution


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
    steps = discriminator.layers_from_image
    if count >= len(steps):
        raise ValueError(
            f"Of the discriminator's {len(steps)} layers, one at least must be trained; {count} are too many."
        )
    for layers in steps[:count]:
        for layer in layers:
            layer.trainable = False
