"""Numbered run folders: results/00012-ffhq-f-8gpu."""

import contextlib
import fcntl
import os
import re
import socket
from pathlib import Path

LOCK = ".lock"


class RunLock:
    """The right to write in a run's folder, which one process at a time has; a context manager.

    The kernel keeps it, and gives it back when the process ends, however that is. The file says who has it.

    Args:
        run_dir: Folder of the run.

    Attributes:
        remark: Why two processes would not be kept apart, where the file system has no locks; else None.

    Raises:
        BlockingIOError: Another process has it; the message says which.
        OSError: The folder cannot be written to.
    """

    def __init__(self, run_dir):
        self.remark = self.file = None
        self.path = Path(run_dir) / LOCK
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_at(file, self.path):  # the one before has removed it meanwhile
                os.close(file)
                self.__init__(run_dir)
                return
        except BlockingIOError:
            owner = os.read(file, 1000).decode(errors="replace") or "another process"
            os.close(file)
            raise BlockingIOError(
                f"{run_dir} is being written by {owner}. Wait until that has ended, or stop it first."
            ) from None
        except OSError as error:
            self.remark = (
                f"{run_dir} cannot be locked ({error.strerror}): see to it that no other process writes there."
            )
        self.file = file
        with contextlib.suppress(OSError):  # a full disk
            os.ftruncate(file, 0)
            os.write(file, f"process {os.getpid()} on {socket.gethostname()}".encode())

    def release(self):
        """Gives it back."""
        if self.file is not None:
            if self.remark is None:
                with contextlib.suppress(OSError):
                    self.path.unlink()
            os.close(self.file)
            self.file = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.release()

    def __del__(self):
        self.release()


def _is_at(file, path):
    """Whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def is_locked(run_dir):
    """Whether a process writes in a run's folder."""
    try:
        file = os.open(Path(run_dir) / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(file)
    return False


def create_run_dir(outdir, description):
    """Creates OUTDIR/NNNNN-DESCRIPTION with the next free number and returns its path; OSError if it cannot."""
    outdir = Path(outdir)
    try:
        outdir.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(f"Runs cannot be written to {outdir}: it is a file. Choose another folder.") from None
    while True:
        number = max((number for number, _ in run_dirs(outdir)), default=-1) + 1
        path = outdir / f"{number:05d}-{description}"
        try:
            path.mkdir()
        except FileExistsError:  # another run was started at the same moment and took the number
            continue
        return path


def find_run_dir(outdir, run):
    """The folder of a run: a path, "latest" (the highest number in `outdir`) or a number; FileNotFoundError if none."""
    if run != "" and Path(run).is_dir():  # Path("") is the current folder
        return Path(run)
    known = run_dirs(outdir)
    chosen = [path for number, path in known if run == "latest" or (run.isdecimal() and number == int(run))]
    if not chosen:
        raise FileNotFoundError(
            f"There is no run {run!r}: it is no folder, and {outdir} holds {len(known)} numbered runs. "
            'Give a folder, a number or "latest".'
        )
    return chosen[-1]


def run_dirs(outdir):
    """[(number, path)] of the run folders in `outdir`, by number."""
    outdir = Path(outdir)
    paths = outdir.iterdir() if outdir.is_dir() else ()
    return sorted((int(path.name[:5]), path) for path in paths if path.is_dir() and re.match(r"\d{5}-", path.name))
