"""How much a run writes, what of it stays, and what has to go."""

import bisect
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from stylegan_tf.files.find import find_snapshots
from stylegan_tf.recipes.presets import full_resolution
from stylegan_tf.training.preparation import sketch_networks

# All snapshots of a run stay if they take no more than this together; of a larger run, so many of the newest.
SMALL_RUN_BYTES = 10e9
SNAPSHOTS_OF_LARGE_RUNS = 10

_BYTES = 4  # of a float32


class DiskUse(NamedTuple):
    """What a run is expected to write, but for pictures and events, which are small beside it.

    Attributes:
        snapshots: Snapshots of the networks that are written.
        keep: So many of the newest snapshots stay; 0 for all.
        snapshot_bytes, checkpoint_bytes: Size of one.
        kept_checkpoints: Newest checkpoints that stay.
        checkpoint_hours: One in so many hours of the older ones stays as well; 0 for none.
    """

    snapshots: int
    keep: int
    snapshot_bytes: int
    checkpoint_bytes: int
    kept_checkpoints: int
    checkpoint_hours: float

    @property
    def total_bytes(self):
        """All that stays, but for a checkpoint every `checkpoint_hours`."""
        kept_snapshots = min(self.keep or self.snapshots, self.snapshots)
        return kept_snapshots * self.snapshot_bytes + self.kept_checkpoints * self.checkpoint_bytes

    @property
    def first_bytes(self):
        """Without which nothing can be saved: a snapshot and a checkpoint."""
        return self.snapshot_bytes + self.checkpoint_bytes

    def __str__(self):
        kept = f", of which the newest {self.keep} stay" if 0 < self.keep < self.snapshots else ""
        hours = "hour" if self.checkpoint_hours == 1 else f"{self.checkpoint_hours:g} hours"
        older = f", and one more every {hours}" if self.checkpoint_hours else ""
        return (
            f"{self.snapshots} snapshots of {size(self.snapshot_bytes)}{kept}, and {self.kept_checkpoints} checkpoints "
            f"of {size(self.checkpoint_bytes)}{older}: about {size(self.total_bytes)}"
        )

    def to_dict(self):
        """For JSON."""
        return {**self._asdict(), "total_bytes": self.total_bytes}


def disk_use(config, num_channels=3, label_size=0):
    """The `DiskUse` of a run, of which nothing is built; None if its resolution is not known before its data are there.

    Args:
        config: TrainingConfig.
        num_channels, label_size: Of the data set.

    Raises:
        ValueError: The networks cannot be built.
    """
    resolution = config.resolution or full_resolution(config.dataset)
    if resolution is None:
        return None
    G, D = sketch_networks(config, resolution, num_channels, label_size)
    all_G, all_D = (count_numbers(network.variables) for network in (G, D))
    moments = 2 * sum(count_numbers(network.trainable_variables) for network in (G, D))
    snapshot_bytes = (2 * all_G + all_D) * _BYTES
    snapshots = math.ceil(count_ticks(replace(config, resolution=resolution)) / config.snapshot_ticks)
    return DiskUse(
        snapshots,
        snapshots_to_keep(config.keep_snapshots, snapshots * snapshot_bytes),
        snapshot_bytes,
        snapshot_bytes + moments * _BYTES,
        config.keep_checkpoints,
        config.checkpoint_hours,
    )


def count_numbers(variables):
    """The number of numbers in variables."""
    return sum(math.prod(variable.shape) for variable in variables)


def count_ticks(config):
    """The number of ticks of a run, the last of which may be shorter."""
    return _count(config, lambda phase: math.ceil(phase.tick_kimg * 1000 / phase.minibatch) * phase.minibatch)


def count_steps(config, images_seen=0):
    """The number of steps that a run has before it after so many images, or a few more: a level goes on for a few."""
    return _count(config, lambda phase: phase.minibatch, images_seen)


def _count(config, images_of, images_seen=0):
    """How many times a run sees `images_of(phase)` images, which are as many for all of a resolution, to its end."""
    count, total = 0, math.ceil(config.total_kimg * 1000)
    while images_seen < total:
        phase = config.phase(images_seen)
        # All that begin at a resolution are alike, and may be many.
        end = bisect.bisect(
            range(total), phase.resolution, lo=images_seen + 1, key=lambda images: config.phase(images).resolution
        )
        here = -(-(end - images_seen) // images_of(phase))
        count, images_seen = count + here, images_seen + here * images_of(phase)
    return count


def snapshots_to_keep(wanted, total_bytes):
    """How many of the newest snapshots stay, 0 for all.

    Args:
        wanted: The setting `keep_snapshots`.
        total_bytes: Size of all the snapshots that the run writes.
    """
    if wanted is None:
        return 0 if total_bytes <= SMALL_RUN_BYTES else SNAPSHOTS_OF_LARGE_RUNS
    return wanted


def remove_old_snapshots(run_dir, newest, keep):
    """Removes the snapshots of a run up to `newest`, a path, but for the last `keep` (0 for all).

    RUN/best is a copy, and stays.
    """
    snapshots = find_snapshots(Path(run_dir))
    kimg = int(re.search(r"\d+$", newest.name)[0])
    if keep:
        for old in sorted(number for number in snapshots if number <= kimg)[:-keep]:
            shutil.rmtree(snapshots[old])


def size(num_bytes):
    """1.2 GB, or below that 345.6 MB, for people."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"
