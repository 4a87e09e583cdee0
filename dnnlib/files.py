"""Files and folders that are either complete or not there."""

import contextlib
import errno
import functools
import glob
import os
import re
import secrets
import shutil
import sys
import time
from pathlib import Path

from filelock import Timeout

# Seconds without a change after which a temporary file or folder belongs to no writer any more.
_ABANDONED = 24 * 3600
# File systems take 255 bytes, and temporary names are somewhat longer.
_LONGEST_NAME = 220
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.partial(\.[^.]+)?")


def expand_home(path):
    """Returns a path, a string, with ~ or ~USER at its beginning replaced by that home directory.

    Shells leave it to programs in --option=~/folder. A file here whose own name begins with ~ stays what it is.

    Raises:
        ValueError: There is no such user.
    """
    path = os.fspath(path)
    expanded = os.path.expanduser(path)
    if expanded == path and path.startswith("~") and not os.path.lexists(path):
        raise ValueError(
            f"The home directory of {path.partition('/')[0]} is not known; write ./{path} for a path here."
        )
    return expanded


@contextlib.contextmanager
def atomic_file(path, durable=False):
    """Yields a temporary path beside `path`, which takes its place when the block ends without an exception.

    Every writer has a temporary path of its own: of several that write the same file at a time, the last one's stays.
    What killed processes have left in the folder is removed when it has not changed for a day.

    Args:
        path: The file to be written or replaced.
        durable: Whether the file has reached the disk when this returns, so that a machine that loses power has the old
            one or the new one. It takes milliseconds, which are too much for thousands of small files.
    """
    path = Path(path)
    _remove_abandoned(path.parent)
    temporary = path.with_name(f".{path.stem}.{_token()}.partial{path.suffix}")
    try:
        yield temporary
        if durable:
            _sync(temporary)
        os.replace(temporary, path)
        if durable:
            _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path):
    """Yields a new temporary folder beside `path`, which replaces it when the block ends without an exception.

    The files have reached the disk then. Two folders cannot trade places at once: a process that is killed just between
    the two renames leaves no `path`, but the old folder as .NAME.TOKEN.old, which the next writer of `path` removes.
    Several writers at a time, and what else killed ones leave: as in `atomic_file`.
    """
    path = Path(path)
    _remove_abandoned(path.parent)
    temporary = path.with_name(f".{path.name}.{_token()}.partial")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for item in temporary.rglob("*"):
            if item.is_file():
                _sync(item)
        _take_the_place(temporary, path)
        _sync_folder(path.parent)
        for old in path.parent.glob(f".{glob.escape(path.name)}.*.old"):
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_partial(folder, name):
    """Removes what killed processes have left of files and folders that only this process writes.

    Args:
        folder: Where they would have been.
        name: What they would have been called, a pattern such as "checkpoint-*".
    """
    for left_over in Path(folder).glob(f".{name}.partial*"):
        _remove(left_over)


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


def check_can_create(folder):
    """Raises OSError if a folder cannot be written to, or could not be created with those above it."""
    path = Path(os.path.abspath(folder))
    missing = []
    while not os.path.lexists(path):
        missing.append(path.name)
        path = path.parent
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is a link to {os.readlink(path)}, which is not there. Remove the link, or create what it leads to."
        )
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is a file, and nothing can be written into it. Choose another folder.")
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(f"{path} cannot be written to. Choose another folder.")
    if too_long := [name for name in missing if len(os.fsencode(name)) > _LONGEST_NAME]:
        raise OSError(f"{too_long[0][:20]}... is too long for a name; choose one of at most {_LONGEST_NAME} bytes.")


def check_room(path, num_bytes, remedy="or choose another place"):
    """Raises OSError, which also tells a remedy, if the disk of a path, which need not exist, has not so much left."""
    free = free_bytes(path)
    if num_bytes > free:
        raise OSError(
            f"{path} needs about {describe_size(num_bytes)}, and its disk has only {describe_size(free)} left. "
            f"Make room, {remedy}."
        )


def free_bytes(path):
    """What is left of the disk of a path, which need not exist."""
    path = Path(os.path.abspath(path))
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def check_new_file(path):
    """Raises FileExistsError if PATH exists, also as a link that leads nowhere."""
    if os.path.lexists(path):
        raise FileExistsError(f"{path} already exists. Delete it or choose another name.")


def check_new_folder(path):
    """Raises OSError if PATH cannot become a new folder, as far as it is known without making it.

    Raises:
        FileExistsError: PATH exists, be it a link that leads nowhere; or PATH.partial, which a killed process has left.
        OSError: The folder that it is to be made in is a file, or must not be written to.
    """
    path = Path(path)
    if path.exists() or path.is_symlink():
        what = "already exists" if path.exists() else "is a link that leads nowhere"
        raise FileExistsError(f"{path} {what}. Delete it or choose another name.")
    if _partial(path).exists():
        raise FileExistsError(
            f"{_partial(path)} is left over from a command that was killed, or belongs to one still at work. "
            "Make sure that none is running, delete it and start again."
        )
    parent = existing_parent(path)
    if not parent.is_dir():
        raise NotADirectoryError(f"{path} cannot be created: {parent} is no folder. Give another path.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise PermissionError(f"{path} cannot be created: {parent} must not be written to. Give another path.")


def existing_parent(path):
    """Returns the nearest folder above `path` that is there: the one in which new ones are made."""
    path = Path(path).absolute().parent
    while not (path.exists() or path.is_symlink()):
        path = path.parent
    return path


def describe_size(num_bytes):
    """Returns a number of bytes in words: 512 B, 1.5 KiB, 271.0 GiB."""
    if num_bytes < 1024:
        return f"{num_bytes} B"
    exponent = min(4, (int(num_bytes).bit_length() - 1) // 10)
    return f"{num_bytes / 1024**exponent:.1f} {'KMGT'[exponent - 1]}iB"


def acquired(lock, what, meanwhile=lambda: None):
    """A FileLock, acquired; says so if that means to wait for another process, which is doing `what`.

    `meanwhile` is called every second of it; what it raises ends the waiting.
    """
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        print(f"Waiting for another process, which is {what}.", file=sys.stderr, flush=True)
    while True:
        with contextlib.suppress(Timeout):
            return lock.acquire(timeout=1)
        meanwhile()


def _take_the_place(temporary, path):
    """Renames a folder to `path`, and the one that is there to .NAME.TOKEN.old."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            path.rename(path.with_name(f".{path.name}.{_token()}.old"))
        try:
            temporary.rename(path)
            return
        except OSError as error:
            # Another writer has put its folder there between the two renames.
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise


def _token():
    """What makes a temporary name this writer's own."""
    return secrets.token_hex(4)


@functools.lru_cache(maxsize=1000)
def _remove_abandoned(folder):
    """Removes temporary files and folders that have not changed for a day; once a process, as that lists the folder."""
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            if _TEMPORARY.fullmatch(path.name) and path.stat().st_mtime < time.time() - _ABANDONED:
                _remove(path)


def _remove(path):
    """Removes a file or folder; another process may do the same."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


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
