"""The networks that a user names: a run, a snapshot, a file, ours or another project's, its URL, or its name here."""

import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

from stylegan_tf.files.contents import Kind, kind_of
from stylegan_tf.files.keras_file import open_network
from stylegan_tf.files.official import load_pickle
from stylegan_tf.files.published import PUBLISHED, is_published, obtain_network
from stylegan_tf.files.shipped_networks import SHIPPED, shipped_folder
from stylegan_tf.networks.interface import BaseGenerator
from stylegan_tf.recipes.settings import TrainingConfig, from_dict
from stylegan_tf.runtime.precision import with_policy

SNAPSHOT = r"network-snapshot-(\d{6,})"
# The networks of a snapshot, NAME.keras each, and of a pickle, in this order.
TRAINED = ("G", "D", "Gs")
_GIVE = (
    "give a run, a snapshot, a .keras, .pkl or .pt file, the URL of a .pkl or .pt, or the name of a network that comes "
    f"with the project ({', '.join(SHIPPED)}) or is published ({', '.join(list(PUBLISHED)[:3])}; run_metrics.py --help "
    "lists all)"
)


class Target(NamedTuple):
    """A network that is to be used.

    Attributes:
        path: Its .keras, .pkl or .pt file.
        home: Folder of its run, or of the file if it has none; the working directory for one that was downloaded, or
            that comes with the project.
        config: TrainingConfig of its run, None if it is not known.
        kimg: Thousands of real images that it was trained on, None if it is not known.
    """

    path: Path
    home: Path
    config: TrainingConfig | None
    kimg: float | None

    @property
    def name(self):
        """How it is called in tables."""
        return self.path.parent.name if self.config else self.path.name


def find_targets(source, all_snapshots=False, cache_dir="cache"):
    """The networks that `source` names, a list, oldest first.

    Args:
        source: The folder of a run or of a snapshot, a .keras, .pkl or .pt file; or, where there is none of that name,
            a name in `shipped_networks.SHIPPED`, or the URL of a .pkl or .pt file or a name in `published.PUBLISHED`,
            which are downloaded.
        all_snapshots: Whether to take all snapshots of a run, not just the newest. Of older ones, those that are
            incomplete or damaged are named and passed over.
        cache_dir: Where downloads are kept.

    Raises:
        ValueError: There are none, or the training.json beside one is damaged.
        OSError: A download failed.
    """
    path = Path(source)
    if path.is_file():
        if kind_of(path) is None:
            raise ValueError(f"{path} is no network; {_GIVE}.")
        return [read_target(path)]
    if not path.is_dir():
        if folder := shipped_folder(str(source)):
            return [read_target(folder / "Gs.keras")._replace(home=Path())]
        if not is_published(source):
            raise ValueError(f"{source} does not exist; {_GIVE}.")
        return [Target(obtain_network(str(source), cache_dir), Path(), None, None)]
    snapshots = find_snapshots(path)
    folders = [snapshots[kimg] for kimg in sorted(snapshots)] or [path]
    targets = []
    for folder in folders if all_snapshots else folders[-1:]:
        try:
            targets.append(read_target(folder / "Gs.keras"))
        except ValueError as error:
            if folder == folders[-1]:
                raise
            pass_over(error)
    return targets


def pass_over(error):
    """Says that one of several networks is left out, and why."""
    print(f"Passed over: {error}", file=sys.stderr, flush=True)


def find_snapshots(folder):
    """{kimg: path} of the snapshots in the folder of a run."""
    return {int(match[1]): path for path in folder.iterdir() if (match := re.fullmatch(SNAPSHOT, path.name))}


def read_target(path):
    """The Target of a file, with what the training.json beside it tells; ValueError if either cannot be used."""
    if not path.is_file():
        raise ValueError(f"There is no {path}; {_GIVE}.")
    state = path.with_name("training.json")
    if not state.exists() or kind_of(path) is Kind.FOREIGN:
        return Target(path, path.parent, None, None)
    try:
        values = json.loads(state.read_text())
        config, kimg = from_dict(TrainingConfig, values["config"]), values["images_seen"] / 1000
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"{state} is damaged ({error}); copy it again, or remove it and name the data set.") from None
    run = path.parent.parent
    return Target(path, run if (run / "config.json").exists() else path.parent, config, kimg)


def load_generator(path, dtype="float32"):
    """Opens a generator; call it in the scope of the strategy whose devices are to work.

    Args:
        path: A .keras, .pkl or .pt file; of the three networks in one of the last two, Gs is taken.
        dtype: Keras dtype policy to compute in, whatever the file's is: G of a run in mixed precision would be too
            coarse for path lengths.

    Raises:
        ValueError: The file is damaged, or it is no generator.
    """
    path = Path(path)
    network = open_pickle(path)[-1] if kind_of(path) is Kind.FOREIGN else open_network(path, "give another one")
    if not isinstance(network, BaseGenerator):
        raise ValueError(f"{path} is a {type(network).__name__}, no generator; give Gs.keras of a snapshot.")
    return network if network.dtype_policy.name == dtype else with_policy(network, dtype)


def load_trained(source):
    """Opens all networks of the snapshot or pickle that `source` names, to train on with them.

    Args:
        source: See `find_targets`; of a run, the newest snapshot.

    Returns:
        (path of the snapshot's folder or of the pickle, {"G", "D", "Gs": network}).

    Raises:
        ValueError: There are none, one is missing, or one is damaged.
        OSError: A download failed.
    """
    path = find_targets(source)[-1].path
    if kind_of(path) is Kind.FOREIGN:
        networks = open_pickle(path)
        if len(networks) != len(TRAINED):
            raise ValueError(
                f"{path} holds {len(networks)} network{'s' * (len(networks) > 1)}, not G, D and Gs; give another."
            )
        return path, dict(zip(TRAINED, networks, strict=True))
    files = {name: path.with_name(f"{name}.keras") for name in TRAINED}
    if missing := [file.name for file in files.values() if not file.is_file()]:
        raise ValueError(f"{path.parent} is incomplete, without {' and '.join(missing)}; choose another snapshot.")
    return path.parent, {name: open_network(file, "start from another snapshot") for name, file in files.items()}


def open_pickle(path):
    """The networks in a .pkl or .pt file, a tuple: (G, D, Gs) as a rule."""
    networks = load_pickle(path)
    return networks if isinstance(networks, tuple) else (networks,)
