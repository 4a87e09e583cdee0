"""Reading reference vectors, the kinds there are, and the comparisons that tests on them share.

A test asks for the vectors of a kind with `@pytest.mark.vectors("g_mapping")` and takes them as its argument `vector`;
if it also takes `run`, it is called once for every run that the vector lists. A kind without a file yields no test.
"""

import functools
import json
import math

import numpy as np

from stylegan_tf.networks import Discriminator, Generator, MappingNetwork, SynthesisNetwork
from stylegan_tf.pretrained import behaviour_arguments, load_variables

DEFAULT_FOLDER = "tests/reference/data"

# Kind: file name pattern. See data/README.md for what each file contains.
KINDS = {
    "d_basic": "d_basic-*.npz",
    "g_mapping": "g_mapping-*.npz",
    "g_style": "g_style-*.npz",
    "g_synthesis": "g_synthesis-*.npz",
    "image_utils": "image_utils*.npz",
    "losses": "losses-*.npz",
    "ops": "ops*.npz",
    "process_reals": "process_reals*.npz",
    "tensorflow-addons": "tensorflow-addons*.npz",
    "training_schedule": "training_schedule*.json",
    "variables": "variables*.json",
    "weights": "*.npz",
}

NETWORKS = {
    "D_basic": Discriminator,
    "G_mapping": MappingNetwork,
    "G_style": Generator,
    "G_synthesis": SynthesisNetwork,
}


class Vector:
    """One file of reference vectors.

    Attributes:
        path: The file.
        config: What it says about itself, a dict.
    """

    def __init__(self, path):
        self.path = path
        if path.suffix == ".json":
            self.config = json.loads(path.read_text())
        else:
            with np.load(path) as arrays:
                self.config = json.loads(str(arrays["config"])) if "config" in arrays else {}

    @functools.cached_property
    def arrays(self):
        with np.load(self.path) as arrays:
            return {name: arrays[name] for name in arrays.files if name != "config"}

    def __getitem__(self, name):
        return self.arrays[name]

    def __contains__(self, name):
        return name in self.arrays

    def below(self, prefix):
        """{name without prefix: array} of all arrays whose names start with `prefix`."""
        return {name.removeprefix(prefix): array for name, array in self.arrays.items() if name.startswith(prefix)}

    def networks(self):
        """(name of the reference's function, its arguments, prefix of its weights), for our networks in the file."""
        config = self.config
        if "network" in config:
            found = [(config["network"], config["static_kwargs"], "weights/")]
        elif "func" in config:
            kwargs, funcs = config["static_kwargs"], {**config["func"], "Gs": config["func"]["G"]}
            found = [(funcs[net], kwargs[net], f"weights/{net}/") for net in kwargs]
        elif isinstance(config.get("G"), dict):
            nets = {net: config[net[0]] for net in ("G", "D", "Gs") if self.below(f"weights/{net}/")}
            found = [(net["func"], net["static_kwargs"], f"weights/{name}/") for name, net in nets.items()]
        else:
            found = []
        return [(func, kwargs, prefix) for func, kwargs, prefix in found if func in NETWORKS]


def find(folder, kind):
    """The vectors of a kind in a folder; kinds of networks only as far as this project has the networks."""
    vectors = [Vector(path) for path in sorted(folder.glob(KINDS[kind]))]
    if kind == "losses":
        vectors = [vector for vector in vectors if vector.config["G"]["func"] in NETWORKS]
    if kind == "weights":
        vectors = [vector for vector in vectors if vector.networks()]
    return vectors


def build(func, static_kwargs):
    """The network that the reference's function makes of these arguments."""
    return NETWORKS[func](**{k: v for k, v in static_kwargs.items() if k not in behaviour_arguments})


def load(vector, func, static_kwargs, prefix):
    """`build`, with the file's weights."""
    network = build(func, static_kwargs)
    load_variables(network, vector.below(prefix))
    return network


def growth(full_resolution, lod, structure="linear"):
    """The reference's lod as our (resolution, fade). "linear" and "recursive" are one function, "fixed" ignores lod."""
    if structure == "fixed":
        lod = 0
    return full_resolution >> math.floor(lod), 1.0 - (lod - math.floor(lod))


def nhwc(x):
    return np.transpose(x, (0, 2, 3, 1))


def nchw(x):
    return np.transpose(x, (0, 3, 1, 2))


def enlarge(images, resolution):
    """[N, H, W, C] to [N, resolution, resolution, C] by repeating pixels; our images are only as large as they need be."""
    factor = resolution // images.shape[1]
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def shrink(images, resolution):
    """[N, H, W, C] to [N, resolution, resolution, C] by averaging boxes."""
    n, size, _, c = images.shape
    factor = size // resolution
    return images.reshape(n, resolution, factor, resolution, factor, c).mean(axis=(2, 4))


def given_labels(labels):
    """None for the reference's [N, 0] labels of an unconditional network."""
    return labels if labels.shape[1] else None


def assert_close(actual, reference, tolerance, what=""):
    """Largest difference at most `tolerance` times the largest magnitude of the reference; a reference of 0 is exact."""
    actual = np.asarray(actual)
    assert actual.shape == reference.shape, f"{what} has shape {actual.shape}, the reference {reference.shape}"
    assert np.isfinite(actual).all(), f"{what} is not finite"
    if reference.size:
        difference, largest = np.abs(actual - reference).max(), np.abs(reference).max()
        assert difference <= tolerance * largest, f"{what} differs by {difference:.3g}, the reference is {largest:.3g}"
