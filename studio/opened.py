"""The networks of a studio: what there is, and those that are open."""

import threading
from collections import OrderedDict
from functools import cached_property
from pathlib import Path

from stylegan_tf.editing.edit import planes_of, unit_steps
from stylegan_tf.files.find import find_snapshots, find_targets, load_generator
from stylegan_tf.pictures.sampler import Sampler
from stylegan_tf.runtime.devices import count_gpus, make_strategy
from stylegan_tf.runtime.hosts import Hosts
from stylegan_tf.runtime.precision import dtype_policy

# So many networks stay open, those that were used last.
MOST_OPEN = 4


class Opened:
    """A network that is open.

    Args:
        target: `find.Target`.
        policy: Keras dtype policy to compute in.
        pictures: {id: Projected} of the pictures that were projected into it.

    Attributes:
        target, sampler, pictures: The Target, the Sampler of its generator, and the pictures.
    """

    def __init__(self, target, policy, pictures):
        self.target = target
        with make_strategy(count_gpus(), Hosts()).scope():
            self.sampler = Sampler(load_generator(target.path, policy))
        self.pictures = pictures

    @property
    def has_directions(self):
        """Whether `directions` are there already."""
        return "directions" in vars(self)

    @cached_property
    def directions(self):
        """Its directions of w; see `unit_steps`. Of a large network they take many seconds: not the engine's work."""
        return unit_steps(self.sampler, planes_of(self.target, self.sampler.network_hash))


class Networks:
    """The networks that a studio offers; those of a run are its snapshots, which may become more.

    Args:
        sources: What the user has named: networks as `find.find_targets` takes them, or folders of runs.
        cache_dir: Folder of downloads.
        precision: What convolutions compute in.

    Raises:
        ValueError, OSError: There is none, or one of the first cannot be opened.
    """

    def __init__(self, sources, cache_dir="cache", precision="fp32"):
        self.cache_dir, self.policy = cache_dir, dtype_policy(precision)
        self._open, self._lock = OrderedDict(), threading.Lock()
        self._pictures = {}  # {id of a network: its pictures}, which stay when it is closed
        self.sources = [run for source in sources for run in _runs_of(source)]
        # What is damaged is said now, and what is looked at first need not be waited for.
        for network in self.list()[:MOST_OPEN]:
            if "error" in network:
                raise ValueError(network["error"])
            self.open(network["snapshots"][-1]["id"])

    def list(self):
        """The networks as they are now, a list for JSON, oldest snapshot first; their ids stay.

        One whose newest snapshot cannot be used has no snapshots, but an error.
        """
        found = []
        for number, source in enumerate(self.sources):
            try:
                targets = find_targets(source, _is_run(source), self.cache_dir)
            except ValueError as error:
                found.append({"id": str(number), "name": Path(source).name, "snapshots": [], "error": str(error)})
                continue
            snapshots = [{"id": _id(number, target), "kimg": target.kimg} for target in targets]
            name = Path(source).name if _is_run(source) else targets[-1].name
            found.append({"id": str(number), "name": name, "snapshots": snapshots})
        return found

    def find(self, network):
        """The Target of an id; ValueError if there is none."""
        number, _, _ = str(network).partition("-")
        if number.isdecimal() and len(number) < 7 and int(number) < len(self.sources):
            source = self.sources[int(number)]
            for target in find_targets(source, _is_run(source), self.cache_dir):
                if _id(int(number), target) == network:
                    return target
        raise ValueError(f"There is no network {str(network)[:40]!r} here; load the page anew.")

    def source_of(self, network):
        """What a user has to name to get the network of an id: its snapshot, or what was named."""
        target = self.find(network)
        number, _, _ = network.partition("-")
        source = self.sources[int(number)]
        return str(target.path.parent) if _is_run(source) else source

    def open(self, network):
        """The `Opened` of an id; of those that nobody has used for longest, one is closed.

        Raises:
            ValueError: There is none, or it is damaged.
        """
        network = str(network)
        with self._lock:
            if network not in self._open:
                target = self.find(network)
                self._open[network] = Opened(target, self.policy, self._pictures.setdefault(network, {}))
            self._open.move_to_end(network)
            while len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
            return self._open[network]


def _id(number, target):
    """What a network is called in addresses: the number of its source, and how long it was trained."""
    return f"{number}-{0 if target.kimg is None else round(target.kimg * 1000)}"


def _is_run(source):
    path = Path(source)
    return path.is_dir() and bool(find_snapshots(path))


def _runs_of(source):
    """What a user has named, a list: the runs in a folder of runs, or the source itself."""
    path = Path(source)
    if not path.is_dir() or find_snapshots(path) or (path / "Gs.keras").exists():
        return [str(source)]
    runs = [str(run) for run in sorted(path.iterdir()) if run.is_dir() and find_snapshots(run)]
    if not runs:
        raise ValueError(f"There is no network in {source}; give a run, a folder of runs, a file or a name.")
    return runs
