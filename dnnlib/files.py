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
