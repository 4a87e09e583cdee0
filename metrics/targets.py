"""The networks that a user points at: a file, a snapshot, or a run for its newest snapshot or all of them."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import keras

from stylegan_tf.configs import TrainingConfig, from_dict
from stylegan_tf.networks import Generator, ProGANGenerator
from stylegan_tf.training.initialize import SNAPSHOT, UNREADABLE


class Target(NamedTuple):
    """A network to measure.

    Attributes:
        path: Its .keras file.
        home: Folder of its run, or of the file if it has none.
        config: TrainingConfig of its run, None if it is not known.
        growth: (resolution, fade) of its newest block; None if it is not known, and for a network that is grown.
        kimg: Thousands of real images that it was trained on, None if it is not known.
    """

    path: Path
    home: Path
    config: TrainingConfig | None
    growth: tuple | None
    kimg: float | None

    @property
    def name(self):
        """How it is called in tables."""
        return self.path.parent.name if self.config else self.path.name


def find_targets(source, all_snapshots=False):
    """The networks that `source` names, a list, oldest first.

    Args:
        source: A .keras file, the folder of a snapshot, or that of a run.
        all_snapshots: Whether to take all snapshots of a run, not just the newest.

    Raises:
        ValueError: There are none, or the training.json beside one is damaged.
    """
    source = Path(source)
    if source.suffix == ".pkl":
        raise ValueError(
            f"{source} is a pickle, which cannot be read yet; give a .keras file, the folder of a snapshot or of a run."
        )
    if source.is_file():
        return [read_target(source)]
    if not source.is_dir():
        raise ValueError(f"{source} does not exist; give a .keras file, the folder of a snapshot or of a run.")
    snapshots = {int(match[1]): path for path in source.iterdir() if (match := re.fullmatch(SNAPSHOT, path.name))}
    folders = [snapshots[kimg] for kimg in sorted(snapshots)] or [source]
    files = [folder / "Gs.keras" for folder in (folders if all_snapshots else folders[-1:])]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise ValueError(f"There is no {missing[0]}; give a .keras file, the folder of a snapshot or of a run.")
    return [read_target(file) for file in files]


def read_target(path):
    """The Target of a .keras file, with what the training.json beside it tells."""
    state = path.with_name("training.json")
    if not state.exists():
        return Target(path, path.parent, None, None, None)
    try:
        values = json.loads(state.read_text())
        growth, kimg = (int(values["resolution"]), float(values["fade"])), values["images_seen"] / 1000
        config = from_dict(TrainingConfig, values["config"])
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"{state} is damaged ({error}); copy it again, or remove it and name the data set.") from None
    run = path.parent.parent
    return Target(path, run if (run / "config.json").exists() else path.parent, config, growth, kimg)


def load_generator(path):
    """Opens a generator to compute in float32; call it in the scope of the strategy whose devices are to work.

    Raises:
        ValueError: The file is damaged, or it is no generator.
    """
    try:
        network = keras.saving.load_model(path, compile=False)
    except UNREADABLE as error:
        raise ValueError(
            f"{path} is damaged, or no network of this project ({type(error).__name__}); give another one."
        ) from error
    if not isinstance(network, Generator | ProGANGenerator):
        raise ValueError(f"{path} is a {type(network).__name__}, no generator; give Gs.keras of a snapshot.")
    if network.dtype_policy.name == "float32":
        return network
    # G of a run in mixed precision: its images would be too coarse for path lengths.
    exact = type(network).from_config(network.get_config() | {"dtype": "float32"})
    exact.set_weights(network.get_weights())
    return exact
