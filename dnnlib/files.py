"""Files and folders that are either complete or not there."""

import contextlib
import os
import shutil
from pathlib import Path


@contextlib.contextmanager
def atomic_file(path):
    """Yields a temporary path beside `path`, which takes its place when the block ends without an exception."""
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path):
    """Yields a new temporary folder beside `path`, which replaces it when the block ends without an exception."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def new_folder(path):
    """Yields PATH.partial, a new folder, which becomes PATH when the block ends, and is removed when it raises.

    Unlike `atomic_folder` it never replaces anything: not PATH, nor what a killed process has left.

    Raises:
        FileExistsError: PATH exists, or PATH.partial does.
    """
    path = Path(path)
    check_new_folder(path)
    partial = _partial(path)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.rename(path)
    finally:
        # Gone after the renaming; what is still there is incomplete.
        shutil.rmtree(partial, ignore_errors=True)


def check_new_folder(path):
    """Raises FileExistsError if PATH exists, or PATH.partial, which a killed process has left."""
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} already exists. Delete it or choose another name.")
    if _partial(path).exists():
        raise FileExistsError(
            f"{_partial(path)} is left over from a command that was killed, or belongs to one still at work. "
            "Make sure that none is running, delete it and start again."
        )


def _partial(path):
    return path.with_name(f"{path.name}.partial")
