"""Checkpoints: all that a run needs to go on as if it had not stopped, in one file that is whole or not there."""

import io
import json
import re
import zipfile
import zlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from dnnlib.files import atomic_file, remove_partial

# What reading a damaged file can end in: errors of the disk, of the ZIP format and of what is in it.
DAMAGE = (OSError, EOFError, LookupError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error)


@dataclass
class Progress:
    """Where a run is.

    Attributes:
        images_seen: Real images shown to the discriminator.
        steps: Steps taken; in a run that a version before 0.2 began, those since its last resume.
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
    steps: int = 0
    schedule_images: int = 0
    repeat: int = 0
    lod: float | None = None
    tick: int = 0
    minibatches: int = 0
    tick_images: int = 0
    tick_seconds: float = 0.0
    seconds: float = 0.0


def save_checkpoint(run_dir, variables, progress, keep=3, hours=1.0):
    """Writes `checkpoint-KIMG.npz`, in the place of one of the same kimg, and removes old ones.

    When it returns, the checkpoint has reached the disk.

    Args:
        run_dir: Folder of the run.
        variables: {name: tf.Variable}.
        progress: Progress.
        keep: Newest checkpoints that stay, at least 1.
        hours: Of those before them, one in so many hours stays; 0 for none.

    Returns:
        Path of the checkpoint.

    Raises:
        OSError: It cannot be written, as the disk is full, for example; those of before are all there then.
    """
    run_dir = Path(run_dir)
    path = run_dir / f"checkpoint-{progress.images_seen // 1000:06d}.npz"
    remove_partial(run_dir, "checkpoint-*")
    with atomic_file(path, durable=True) as temporary, open(temporary, "wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            __progress__=json.dumps({**asdict(progress), "names": list(variables)}),
            **{name.replace("/", "|"): variable.numpy() for name, variable in variables.items()},
        )
    remove_old_checkpoints(run_dir, path, keep, hours)
    return path


def remove_old_checkpoints(run_dir, newest, keep, hours):
    """Removes the checkpoints up to `newest` but for the last `keep`, and one in so many `hours` of those before them.

    One that lies beyond `newest` is damaged, as the run has gone on from one before it; it takes no other's place.
    """
    before = [path for path in checkpoints(run_dir) if kimg_of(path) < kimg_of(newest)]
    last_kept = None
    for path in before[: max(len(before) + 1 - keep, 0)]:
        written = path.stat().st_mtime
        if hours and (last_kept is None or written >= last_kept + hours * 3600):
            last_kept = written
        else:
            path.unlink()


def load_newest(run_dir, variables):
    """Fills the variables from the newest checkpoint of a run that is not damaged.

    A file is read and checked to its end before any variable is changed.

    Args:
        run_dir: Folder of the run.
        variables: {name: tf.Variable}.

    Returns:
        progress: Progress.
        path: The checkpoint.
        damaged: [(path, reason)] of newer ones that could not be read, newest first.

    Raises:
        FileNotFoundError: There is no checkpoint.
        ValueError: All of them are damaged, or the newest that is not belongs to another configuration or to a newer
            version of this program.
    """
    damaged = []
    for path in reversed(checkpoints(run_dir)):
        try:
            arrays, values = read_checkpoint(path)
        except DAMAGE as error:
            damaged.append((path, f"{type(error).__name__}: {error}"))
            continue
        unknown = values.keys() - {field.name for field in fields(Progress)}
        if unknown:
            raise ValueError(
                f"{path} was written by a newer version of this program, which counts {', '.join(sorted(unknown))}; "
                "resume with that version."
            )
        check_fit(path, arrays, variables)
        for name, variable in variables.items():
            variable.assign(arrays[name])
        return Progress(**values), path, damaged
    if not damaged:
        raise FileNotFoundError(f"{run_dir} holds no checkpoint to resume from; start a new run.")
    reasons = "; ".join(f"{path.name}: {reason}" for path, reason in damaged)
    raise ValueError(
        f"{run_dir} holds no readable checkpoint ({reasons}); put one back from a copy or start a new run."
    )


def read_checkpoint(path):
    """Returns {name: array} and {field of Progress: value}; raises one of DAMAGE if a file is not as it was written."""
    with zipfile.ZipFile(path) as archive:
        # Whole members, since their checksums are verified at their ends.
        arrays = {
            member.filename.removesuffix(".npy").replace("|", "/"): np.lib.format.read_array(
                io.BytesIO(archive.read(member)), allow_pickle=False
            )
            for member in archive.infolist()
        }
    progress = json.loads(str(arrays.pop("__progress__")))
    # Checksums say nothing of a member that is gone. Earlier versions did not write the names.
    if missing := set(progress.pop("names", ())) - arrays.keys():
        raise ValueError(f"{min(missing)} is missing")
    return arrays, progress


def check_fit(path, arrays, variables):
    """ValueError unless there is an array for every variable, of its type and shape, and no other."""
    ours = {name: (variable.dtype.as_numpy_dtype, tuple(variable.shape)) for name, variable in variables.items()}
    theirs = {name: (array.dtype.type, array.shape) for name, array in arrays.items()}
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            stored, expected = (
                f"{found[0].__name__} {list(found[1])}" if (found := table.get(name)) else "missing"
                for table in (theirs, ours)
            )
            raise ValueError(f"{path} belongs to another configuration: {name} is {stored}, expected {expected}.")


def checkpoints(run_dir):
    """The checkpoints of a run, oldest first."""
    found = (path for path in Path(run_dir).iterdir() if re.fullmatch(r"checkpoint-\d{6,}\.npz", path.name))
    return sorted(found, key=kimg_of)


def kimg_of(path):
    """Thousands of images that a checkpoint had seen, by its name."""
    return int(path.stem.removeprefix("checkpoint-"))
