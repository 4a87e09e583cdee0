"""Reading reference vectors, the kinds there are, and the comparisons that tests on them share.

A test asks for the vectors of a kind with `@pytest.mark.vectors("g_mapping")` and takes them as its argument `vector`;
if it also takes `run`, it is called once for every run that the vector lists. A kind without a file yields no test.
"""

import functools
import json
import math
import pathlib

import numpy as np

DEFAULT_FOLDER = pathlib.Path(__file__).parent / "data"

# Kind: file name pattern. data/README.md tells what each file contains.
KINDS = {
    "ada-augment": "ada-augment-*.npz",
    "ada-augment-r1": "ada-augment-r1-*.npz",
    "ada-constants": "ada-constants*.json",
    "ada-controller": "ada-controller*.json",
    "d_basic": "d_basic-*.npz",
    "diffaugment": "diffaugment-*.npz",
    "g_mapping": "g_mapping-*.npz",
    "g_style": "g_style-*.npz",
    "g_synthesis": "g_synthesis-*.npz",
    "image_utils": "image_utils*.npz",
    "losses": "losses-*.npz",
    "metrics": "metrics*.npz",
    "networks-expected": "networks-expected-*.npz",
    "networks-expected-others": "networks-expected-[ar]*.npz",  # ada, adapt and rosinality
    "ops": "ops*.npz",
    "process_reals": "process_reals*.npz",
    "progan-d": "progan-d_*.npz",
    "progan-g": "progan-g_*.npz",
    "projector-parts": "projector-parts*.npz",
    "projector-steps": "projector-*.npz",
    "stylegan2-contributions": "stylegan2-contributions*.npz",
    "stylegan2-d": "stylegan2-d[-_]*.npz",
    "stylegan2-g": "stylegan2-g_*.npz",
    "stylegan2-losses": "stylegan2-losses*.npz",
    "stylegan2-ops": "stylegan2-ops*.npz",
    "stylegan2-train-steps": "stylegan2-train-steps*.npz",
    "stylegan2-training_schedule": "stylegan2-training_schedule*.json",
    "tensorflow-addons": "tensorflow-addons*.npz",
    "train-steps": "train-steps*.npz",
    "training_schedule": "training_schedule*.json",
    "variables": "*variables*.json",
    "weights": "*.npz",
}

# Files that a test opens beside those of its kind, or by their names.
COMPANIONS = (
    *("dataset-contents.npz", "networks-stylegan*.pkl", "networks-ada-*.pkl", "networks-adapt-*.pkl"),
    "networks-rosinality*.pt",
)

# The reference's names of the networks that this project has.
NETWORKS = (
    *("D_basic", "D_paper", "G_mapping", "G_paper", "G_style", "G_synthesis"),
    *("D_stylegan", "D_stylegan2", "G_main"),
)
# Of state version 5 on, functions of these names build other networks.
LAST_VERSION = 4


class Vector:
    """One file of reference vectors.

    Attributes:
        path: The file.
        config: What it says about itself, a dict.
        names: Names of its arrays.
    """

    def __init__(self, path):
        self.path = path
        if path.suffix == ".json":
            self.config, self.names = json.loads(path.read_text()), []
        else:
            with np.load(path) as file:
                self.config, self.names = json.loads(str(file["config"])) if "config" in file else {}, file.files

    @functools.cached_property
    def arrays(self):
        with np.load(self.path) as file:
            return {name: file[name] for name in self.names}

    def __getitem__(self, name):
        return self.arrays[name]

    def __contains__(self, name):
        return name in self.names

    def below(self, prefix):
        """{name without prefix: array} of all arrays whose names start with `prefix`."""
        return {name.removeprefix(prefix): self[name] for name in self.names if name.startswith(prefix)}

    @property
    def runs(self):
        """The list that a test with an argument `run` goes through."""
        if "networks" in self.config:
            return [run for run in self.config["networks"] if run["network"] in NETWORKS]
        return self.config["schedules" if "schedules" in self.config else "runs"]

    def networks(self):
        """(reference's function, its arguments, prefix of the weights) for each network in the file that we have."""
        config = self.config
        if config.get("state_version", 0) > LAST_VERSION:
            networks = []
        elif "network" in config:
            networks = [(config["network"], config["static_kwargs"], "weights/")]
        elif "func" in config:
            funcs = {"Gs": config["func"]["G"], **config["func"]}
            networks = [(funcs[net], kwargs, f"weights/{net}/") for net, kwargs in config["static_kwargs"].items()]
        elif "G" in config:
            networks = [
                (config[net[0]]["func"], config[net[0]]["static_kwargs"], f"weights/{net}/")
                for net in ("G", "D", "Gs")
                if any(name.startswith(f"weights/{net}/") for name in self.names)
            ]
        else:
            networks = []
        return [network for network in networks if network[0] in NETWORKS]


def unknown(folder):
    """Names of the files of vectors in a folder that are of no kind in the tables above."""
    known = [*KINDS.values(), *COMPANIONS]
    known.remove(KINDS["weights"])  # any file may hold weights
    files = [path for path in folder.iterdir() if path.suffix in (".npz", ".json", ".pkl", ".pt")]
    return sorted(path.name for path in files if not any(path.match(pattern) for pattern in known))


@functools.lru_cache
def find(folder, kind):
    """The vectors of a kind in a folder, as far as this project has the networks that they were made with."""
    vectors = [Vector(path) for path in sorted(folder.glob(KINDS[kind]))]
    if kind in ("losses", "networks-expected", "weights"):
        vectors = [vector for vector in vectors if vector.networks()]
    if kind == "projector-steps":
        vectors = [vector for vector in vectors if "num_steps" in vector.config]
    return vectors


def describe(run):
    """A short name of a run, for pytest's -k and for reading results."""
    for key in ("key", "loss_key", "output", "prefix", "name"):
        if key in run:
            return run[key].removeprefix("outputs/").removesuffix("/loss").removesuffix("/")
    raise ValueError(f"Cannot tell what this run is called: {run}.")


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
    """[N, H, W, C] to [N, resolution, resolution, C] by repeating pixels, as the reference enlarges all its images."""
    factor = resolution // images.shape[1]
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def shrink(images, resolution):
    """[N, H, W, C] to [N, resolution, resolution, C] by averaging boxes."""
    count, size, _, channels = images.shape
    factor = size // resolution
    return images.reshape(count, resolution, factor, resolution, factor, channels).mean(axis=(2, 4))


def given(labels):
    """The labels, or None for the [N, 0] that the reference passes to an unconditional network."""
    return labels if labels.shape[1] else None


def assert_close(actual, reference, tolerance, what="result"):
    """The largest difference is at most `tolerance` times the largest magnitude of the reference."""
    actual = np.asarray(actual)
    assert actual.shape == reference.shape, f"{what} has shape {actual.shape}, the reference {reference.shape}"
    assert np.isfinite(actual).all(), f"{what} is not finite"
    difference, largest = np.abs(actual - reference).max(initial=0), np.abs(reference).max(initial=0)
    assert difference <= tolerance * largest, f"{what} is off by {difference:.3g}, the reference reaches {largest:.3g}"
