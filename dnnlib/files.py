"""Files and folders that are either complete or not there."""

import contextlib
import os
import shutil
import sys
from pathlib import Path

from filelock import Timeout


@contextlib.contextmanager
def atomic_file(path, durable=False):
    """Yields a temporary path beside `path`, which takes its place when the block ends without an exception.

    Args:
        path: The file to be written or replaced.
        durable: Whether the file has reached the disk when this returns, so that a machine that loses power has the old
            one or the new one. It takes milliseconds, which are too much for thousands of small files.
    """
    path = Path(path)
    temporary = partial_file(path)
    try:
        yield temporary
        if durable:
            _sync(temporary)
        os.replace(temporary, path)
        if durable:
            _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def partial_file(path):
    """Where `atomic_file` writes; a killed process leaves it behind."""
    return path.with_name(f".{path.stem}.partial{path.suffix}")


@contextlib.contextmanager
def atomic_folder(path):
    """Yields a new temporary folder beside `path`, which replaces it when the block ends without an exception.

    The files have reached the disk then. Two folders cannot trade places at once: a process that is killed just between
    the two renames leaves no `path`, but the old folder as .NAME.old and the new one as .NAME.partial.
    """
    path = Path(path)
    temporary, old = path.with_name(f".{path.name}.partial"), path.with_name(f".{path.name}.old")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for item in temporary.rglob("*"):
            if item.is_file():
                _sync(item)
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        _sync_folder(path.parent)
        shutil.rmtree(old, ignore_errors=True)
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


def acquired(lock, what):
    """A FileLock, acquired; says so if that means to wait for another process, which is doing `what`."""
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        print(f"Waiting for another process, which is {what}.", file=sys.stderr, flush=True)
        return lock.acquire()


def _partial(path):
    return path.with_name(f"{path.name}.partial")


def _sync(path):
    """Returns when a file is on the disk; OSError if it does not fit."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path):
    """Returns when the names in a folder are on the disk, where its file system knows how to do that."""
    with contextlib.suppress(OSError):
        _sync(path)
