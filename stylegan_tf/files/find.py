"""The networks that a user names: a run, a snapshot, a file, a pickle of the original's, its URL, or its name here."""

import json
import re
from pathlib import Path
from typing import NamedTuple

from stylegan_tf.files.keras_file import open_network, read_growth
from stylegan_tf.files.official import load_pickle
from stylegan_tf.files.published import PUBLISHED, is_published, obtain_network
from stylegan_tf.networks import Generator, ProGANGenerator
from stylegan_tf.recipes.schedule import growth_at
from stylegan_tf.recipes.settings import TrainingConfig, from_dict

SNAPSHOT = r"network-snapshot-(\d{6,})"
_GIVE = (
    "give a run, a snapshot, a .keras or .pkl file, the URL of a .pkl, or the name of a published network "
    f"({', '.join(PUBLISHED)})"
)


class Target(NamedTuple):
    """A network that is to be used.

    Attributes:
        path: Its .keras or .pkl file.
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


def find_targets(source, all_snapshots=False, cache_dir="cache"):
    """The networks that `source` names, a list, oldest first.

    Args:
        source: The folder of a run or of a snapshot, a .keras or .pkl file; or, where there is none of that name, the
            URL of a .pkl file or a name in `published.PUBLISHED`, which are downloaded.
        all_snapshots: Whether to take all snapshots of a run, not just the newest.
        cache_dir: Where downloads are kept.

    Raises:
        ValueError: There are none, or the training.json beside one is damaged.
        OSError: A download failed.
    """
    path = Path(source)
    if path.is_file():
        return [read_target(path)]
    if not path.is_dir():
        if not is_published(source):
            raise ValueError(f"{source} does not exist; {_GIVE}.")
        return [Target(obtain_network(str(source), cache_dir), Path(), None, None, None)]
    snapshots = find_snapshots(path)
    folders = [snapshots[kimg] for kimg in sorted(snapshots)] or [path]
    files = [folder / "Gs.keras" for folder in (folders if all_snapshots else folders[-1:])]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise ValueError(f"There is no {missing[0]}; {_GIVE}.")
    return [read_target(file) for file in files]


def find_snapshots(folder):
    """{kimg: path} of the snapshots in the folder of a run."""
    return {int(match[1]): path for path in folder.iterdir() if (match := re.fullmatch(SNAPSHOT, path.name))}


def read_target(path):
    """The Target of a file, with what the training.json beside it tells."""
    state = path.with_name("training.json")
    if not state.exists() or path.suffix == ".pkl":
        return Target(path, path.parent, None, None, None)
    try:
        values = json.loads(state.read_text())
        growth, kimg = (int(values["resolution"]), float(values["fade"])), values["images_seen"] / 1000
        config = from_dict(TrainingConfig, values["config"])
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"{state} is damaged ({error}); copy it again, or remove it and name the data set.") from None
    run = path.parent.parent
    return Target(path, run if (run / "config.json").exists() else path.parent, config, growth, kimg)


def open_target(target, dtype="float32"):
    """The generator of a Target, and (resolution, fade) of its newest block, None if it is grown or that is not known.

    See `load_generator`. Pickles know their growth themselves, and .keras files where `write_growth` has noted it.
    """
    generator, growth = _load(target.path, dtype)
    return generator, target.growth or growth


def load_generator(path, dtype="float32"):
    """Opens a generator; call it in the scope of the strategy whose devices are to work.

    Args:
        path: A .keras or .pkl file; of the three networks in a pickle, Gs is taken.
        dtype: Keras dtype policy to compute in, whatever the file's is: G of a run in mixed precision would be too
            coarse for path lengths.

    Raises:
        ValueError: The file is damaged, or it is no generator.
    """
    return _load(Path(path), dtype)[0]


def _load(path, dtype):
    """(generator, its growth as far as the file itself tells)."""
    pickled = path.suffix == ".pkl"
    network = open_pickle(path)[-1] if pickled else open_network(path, "give another one")
    if not isinstance(network, Generator | ProGANGenerator):
        raise ValueError(f"{path} is a {type(network).__name__}, no generator; give Gs.keras of a snapshot.")
    if pickled:
        growth = growth_at(network.pickled_lod, network.resolution) if network.pickled_lod else None
    else:
        growth = read_growth(path)
    if network.dtype_policy.name == dtype:
        return network, growth
    exact = type(network).from_config(network.get_config() | {"dtype": dtype})
    exact.set_weights(network.get_weights())
    return exact, growth


def open_pickle(path):
    """The networks in a pickle, a tuple: (G, D, Gs) as a rule."""
    networks = load_pickle(path)
    return networks if isinstance(networks, tuple) else (networks,)
