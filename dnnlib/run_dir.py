"""Numbered run folders: results/00012-ffhq-f-8gpu."""

import re
from pathlib import Path


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
    chosen = [path for number, path in known if run == "latest" or (run.isdigit() and number == int(run))]
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
