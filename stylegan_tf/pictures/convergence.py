"""Metrics of runs over their training, as a figure and as a table (Figure 9)."""

import csv
import json
import math
import os
import shlex
from pathlib import Path
from typing import NamedTuple

from dnnlib.files import atomic_file
from dnnlib.image_files import read_text
from dnnlib.json_lines import read_records
from dnnlib.optional import import_optional
from stylegan_tf.files.results import named_results
from stylegan_tf.recipes.schedule import level_of
from stylegan_tf.recipes.settings import TrainingConfig, from_dict

_COLUMNS = 3
# From so many thousands of images on, the axis counts millions.
_MILLIONS = 10_000


class Run(NamedTuple):
    """What is known of a run's convergence.

    Attributes:
        name: How it is called in the figure.
        results: {metric: {kimg: value}}, in order of kimg; a value that was not finite is NaN.
        grown: {resolution: kimg from which on it has faded in}, of those that the networks grew to.
    """

    name: str
    results: dict
    grown: dict


def write_convergence(runs, path, metrics=()):
    """Draws a panel for each metric, with a curve for each run, and writes the numbers as CSV beside it.

    Vertical lines mark when a resolution has faded in, dashed for the full one.

    Args:
        runs: Folders of runs.
        path: The PNG file, its folder is created if need be; PATH with .csv has a line run,metric,kimg,value for each
            measurement.
        metrics: Metrics to draw, as results are called: fid50k, ppl_wfull, ls_z, ...; all there are if empty.

    Raises:
        ValueError: A folder is no run or has no metrics, a metric is none of theirs, or Matplotlib is missing; or there
            are files at PATH that do not show the same runs.
    """
    path, folders = Path(path), [Path(run) for run in runs]
    text = {"figure": "convergence", "runs": ", ".join(str(folder.resolve()) for folder in folders)}
    check_redrawn(path, text)
    unique = len({folder.name for folder in folders}) == len(folders)
    read = [read_run(folder, folder.resolve().name if unique else str(folder)) for folder in folders]
    known = list(dict.fromkeys(metric for run in read for metric in run.results))
    if missing := [metric for metric in metrics if metric not in known]:
        raise ValueError(f"There is no metric {', '.join(missing)} of these runs; there are: {', '.join(known)}.")
    chosen = list(dict.fromkeys(metrics)) or known
    rows = [
        (run.name, metric, *point) for run in read for metric in chosen for point in run.results.get(metric, {}).items()
    ]
    write_curves(path, draw(read, chosen), ("run", "metric", "kimg", "value"), rows, text)


def write_curves(path, figure, header, rows, text):
    """Writes a Matplotlib figure as a PNG file, in a folder that is created if need be, and its numbers beside it.

    Args:
        path: The PNG file; PATH with .csv has the numbers.
        figure: The figure.
        header: Names of the numbers.
        rows: Tuples of numbers.
        text: {keyword: value} that says what is drawn, for the PNG file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150, metadata=text)
    with atomic_file(path.with_suffix(".csv")) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def check_redrawn(path, text):
    """ValueError unless what is at PATH, and with .csv, was drawn of the same runs, and may be drawn again."""
    if any(os.path.lexists(file) for file in (path, path.with_suffix(".csv"))):
        found = read_text(path) if path.is_file() else {}
        if any(found.get(keyword) != value for keyword, value in text.items()):
            raise ValueError(
                f"{path}, or the .csv beside it, is there and does not show these runs "
                f"({found.get('runs', 'unknown')}); choose another --outdir, or remove both."
            )


def read_run(folder, name):
    """The Run in a folder; see `write_convergence` for its errors."""
    try:
        config = from_dict(TrainingConfig, json.loads((folder / "config.json").read_text()))
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(
            f"{folder} is no run: it has no config.json; give a folder such as results/00000-..."
        ) from None
    except ValueError as error:
        raise ValueError(f"{folder / 'config.json'} is damaged ({error}); copy the run again.") from None
    results = read_results(folder)
    if not results:
        raise ValueError(
            f"{folder} has no metrics; measure its snapshots first, with python run_metrics.py "
            f"{shlex.quote(f'--network={folder}')} --all-snapshots --metric=fid50k."
        )
    return Run(name, results, grown(config))


def read_results(folder):
    """{metric: {kimg: value}}: what was measured while the run trained, and by run_metrics.py afterwards.

    Where a metric was measured twice, the later one counts, and run_metrics.py's. Results of truncated images are a
    metric of their own, and so are those of a part of the attributes.
    """
    results = {}
    for path in [*sorted(folder.glob("metric-*.jsonl")), folder / "metrics.jsonl"]:
        for record in read_records(path, {"kimg", "results"}):
            if not (isinstance(record["kimg"], int | float) and isinstance(record["results"], dict)):
                continue  # a network whose training is not known, or a foreign line
            psi = record.get("truncation_psi")
            for name, value in named_results(record).items():
                metric = name if psi is None else f"{name} (psi {psi:g})"
                if isinstance(value, int | float | None):
                    results.setdefault(metric, {})[record["kimg"]] = math.nan if value is None else value
    return {metric: dict(sorted(values.items())) for metric, values in results.items()}


def grown(config):
    """{resolution: kimg} of a TrainingConfig: when the schedule has faded a resolution in that it grows to."""
    schedule = config.schedule
    phase = schedule.lod_training_kimg + schedule.lod_transition_kimg
    full = level_of(config.resolution, "resolution")
    first = min(level_of(schedule.lod_initial_resolution, "lod_initial_resolution"), full)
    return {2**level: (level - first) * phase for level in range(first + 1, full + 1)} if phase else {}


def draw(runs, metrics):
    """The Matplotlib figure of runs, a panel for each metric with those that have it."""
    matplotlib_figure = import_optional("matplotlib.figure", "Drawing curves", "metrics")
    columns = min(len(metrics), _COLUMNS)
    rows = math.ceil(len(metrics) / columns)
    figure = matplotlib_figure.Figure(figsize=(4.5 * columns, 3.5 * rows), layout="constrained")
    last = max(kimg for run in runs for metric in metrics for kimg in run.results.get(metric, ()))
    unit, word = (1000, "Millions") if last >= _MILLIONS else (1, "Thousands")
    for position, metric in enumerate(metrics, 1):
        axes = figure.add_subplot(rows, columns, position)
        axes.set(title=metric, xlabel=f"{word} of real images seen")
        marks = {}
        for number, run in enumerate(runs):
            values = run.results.get(metric)
            if not values:
                continue
            kimg = [x / unit for x in values]
            axes.plot(kimg, list(values.values()), "o-", color=f"C{number}", markersize=3, label=run.name)
            for resolution, at in run.grown.items():
                if at <= max(values):
                    marks.setdefault((at / unit, resolution, resolution == max(run.grown)), []).append(f"C{number}")
        for (x, resolution, full), colours in marks.items():
            # In the run's colour, where there are several and it is not the same for all.
            mark_growth(axes, x, resolution, full, colours[0] if len(colours) == 1 < len(runs) else "grey")
        if len(runs) > 1:
            axes.legend(fontsize="small")
    return figure


def mark_growth(axes, x, resolution, full, colour):
    """Marks that a resolution has faded in, dashed if it is the full one."""
    axes.axvline(x, color=colour, linestyle="--" if full else ":", linewidth=1)
    axes.annotate(
        f"{resolution}x{resolution}",
        (x, 1),
        xycoords=("data", "axes fraction"),
        xytext=(2, -2),
        textcoords="offset points",
        verticalalignment="top",
        rotation=90,
        fontsize="x-small",
        color=colour,
    )
