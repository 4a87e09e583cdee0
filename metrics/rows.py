"""Tables of float32 rows on disk, one row a sample: what evaluations compute, and where they go on when interrupted."""

import contextlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from tqdm import tqdm

from dnnlib.files import acquired, atomic_file

# Raised whenever the same facts would give other rows, or the files change.
CACHE_VERSION = 1
# Seconds between two lines of progress where there is no terminal.
_LINE_SECONDS = 30


def open_cache(folder):
    """Creates a cache folder, or checks that it is this version's; returns its path.

    Raises:
        ValueError: Another version has written it, or it is no cache.
    """
    folder = Path(folder)
    path = folder / "cache.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            temporary.write_text(json.dumps({"version": CACHE_VERSION}) + "\n")
    try:
        version = json.loads(path.read_text())["version"]
    except (KeyError, TypeError, ValueError):
        version = None
    if version != CACHE_VERSION:
        raise ValueError(
            f"{folder} was written by another version of this project: {path} says {version}, this one needs "
            f"{CACHE_VERSION}. Delete the folder, or choose another --cache-dir."
        )
    return folder


class Rows:
    """The first rows of a file, which are read when they are sliced; the file may be deleted meanwhile.

    Args:
        path: File of float32 rows, little-endian, without any header.
        count: Number of rows.
        columns: Numbers in a row.
    """

    def __init__(self, path, count, columns):
        self.file = open(path, "rb")  # noqa: SIM115, open as long as this object is used
        self.shape = (count, columns)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        """float32 [k, columns] of a slice without a step."""
        count, columns = self.shape
        start, stop, step = rows.indices(count)
        if step != 1:
            raise ValueError(f"Rows are read in order; received a step of {step}.")
        self.file.seek(start * columns * 4)
        values = np.fromfile(self.file, "<f4", max(stop - start, 0) * columns)
        return values.reshape(-1, columns)

    def __del__(self):
        if hasattr(self, "file"):
            self.file.close()


def fill_rows(path, count, columns, compute, batch, description):
    """Computes the rows that a file does not have yet; returns all of them.

    Whole batches are appended, so that an interrupted evaluation, also a killed one, goes on with the batch it was at,
    and ends with the same rows as an undisturbed one. Two processes that fill the same file wait for one another.

    Args:
        path: File of rows.
        count: Rows to have.
        columns: Numbers in a row.
        compute: Function of sample indices, int64 [batch], that returns their rows, float [batch, columns]. The last
            indices may be beyond `count`.
        batch: Indices at a time.
        description: What the bar is called.

    Returns:
        Rows.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with acquired(_lock(path), f"writing {path}"), path.open("ab") as file:
        row_bytes = 4 * columns
        rows = os.path.getsize(path) // row_bytes
        if rows < count:
            # What a killed process has left of a batch, and the end of a table that was shorter.
            done = rows // batch * batch
            file.truncate(done * row_bytes)
            with Progress(description, done, count) as progress:
                for start in range(done, count, batch):
                    values = compute(np.arange(start, start + batch))[: count - start]
                    file.write(np.ascontiguousarray(values, "<f4").tobytes())
                    file.flush()
                    progress.update(len(values))
        return Rows(path, count, columns)


def remove_rows(path):
    """Deletes a file of rows and its lock, unless another process is writing it, which then needs them."""
    lock = _lock(path)
    with contextlib.suppress(Timeout), lock.acquire(timeout=0):
        Path(path).unlink(missing_ok=True)
        Path(lock.lock_file).unlink(missing_ok=True)


def _lock(path):
    return FileLock(f"{path}.lock", poll_interval=0.5)


class Progress:
    """A bar with rate and time left on a terminal, a line every half minute elsewhere.

    Args:
        description: What is counted.
        done: How many images are done.
        count: How many there are.
    """

    def __init__(self, description, done, count):
        self.description, self.first, self.done, self.count = description, done, done, count
        self.bar = tqdm(desc=description, initial=done, total=count, unit="img", disable=None)
        self.started = self.told = time.monotonic()

    def update(self, images):
        """Counts images."""
        self.done += images
        self.bar.update(images)
        now = time.monotonic()
        if self.bar.disable and now - self.told > _LINE_SECONDS:
            self.told = now
            rate = (self.done - self.first) / (now - self.started)
            left = (self.count - self.done) / rate / 60
            print(
                f"{self.description}: {self.done:,} of {self.count:,} images, {rate:.1f}/s, {left:.1f} min left",
                file=sys.stderr,
                flush=True,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()
