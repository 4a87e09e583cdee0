"""Checkpoints: all that a run needs to go on as if it had not stopped, in one file that is whole or not there."""

import json
import re
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dnnlib.files import atomic_file

KEPT = 2


@dataclass
class Progress:
    """Where a run is.

    Attributes:
        images_seen: Real images shown to the discriminator.
        schedule_images: `images_seen` when the schedule was last looked at; its phase still holds.
        repeat: Minibatches since then.
        lod: The lod of the last minibatch, None before the first.
        tick: Ticks completed.
        minibatches: Steps since the last tick.
        tick_images: `images_seen` at the end of the last tick.
        tick_seconds: `seconds` at the end of the last tick.
        seconds: Time spent training.
    """

    images_seen: int = 0
    schedule_images: int = 0
    repeat: int = 0
    lod: float | None = None
    tick: int = 0
    minibatches: int = 0
    tick_images: int = 0
    tick_seconds: float = 0.0
    seconds: float = 0.0


def save_checkpoint(run_dir, variables, progress):
    """Writes `checkpoint-KIMG.npz` and removes all but the last few.

    Args:
        run_dir: Folder of the run.
        variables: {name: tf.Variable}.
        progress: Progress.
    """
    path = Path(run_dir) / f"checkpoint-{progress.images_seen // 1000:06d}.npz"
    with atomic_file(path) as temporary:
        np.savez(
            temporary,
            __progress__=json.dumps(asdict(progress)),
            **{name.replace("/", "|"): variable.numpy() for name, variable in variables.items()},
        )
    for old in checkpoints(run_dir)[:-KEPT]:
        old.unlink()
    return path


def load_checkpoint(path, variables):
    """Fills the variables from a checkpoint and returns its Progress.

    Raises:
        ValueError: The file is damaged, or is a checkpoint of other networks; nothing is changed then.
    """
    try:
        # Opened here, as NumPy does not close a file that it finds damaged.
        with open(path, "rb") as file, np.load(file) as archive:
            arrays = {name.replace("|", "/"): array for name, array in archive.items()}
        progress = Progress(**json.loads(str(arrays.pop("__progress__"))))
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is no readable checkpoint ({error}). Delete it to resume from the one before."
        ) from None
    for name in sorted(variables.keys() | arrays.keys()):
        ours = tuple(variables[name].shape) if name in variables else None
        stored = arrays[name].shape if name in arrays else None
        if ours != stored:
            raise ValueError(f"{path} belongs to another configuration: {name} has shape {stored}, expected {ours}.")
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return progress


def checkpoints(run_dir):
    """The checkpoints of a run, oldest first."""
    return sorted(p for p in Path(run_dir).iterdir() if re.fullmatch(r"checkpoint-\d{6,}\.npz", p.name))


def latest_checkpoint(run_dir):
    """The newest checkpoint of a run; FileNotFoundError if it has none."""
    found = checkpoints(run_dir)
    if not found:
        raise FileNotFoundError(f"{run_dir} holds no checkpoint to resume from; start a new run.")
    return found[-1]
