"""The results of a table of ablations: as a Markdown table, and as a plot with a panel a measure."""

import json
import math
import re
import statistics
from typing import NamedTuple

from dnnlib.files import atomic_file
from dnnlib.optional import import_optional

_COLUMNS = 3


class Measure(NamedTuple):
    """A column of the tables.

    Attributes:
        label: Its head.
        pattern: Regular expression of the whole name of a result; a group in it is said in the cell, since then the
            result is of something less.
        percent: Whether it is a share.
        higher: Whether higher is better.
    """

    label: str
    pattern: str
    percent: bool = False
    higher: bool = False


MEASURES = (
    Measure("FD", r"fd\d+k?"),
    *(Measure(f"FD, {n} latents", rf"fd\d+k?_mix{n}") for n in (2, 3, 4)),
    Measure("precision", r"precision\d+k?", percent=True, higher=True),
    Measure("recall", r"recall\d+k?", percent=True, higher=True),
    Measure("recognised", "recognised", percent=True, higher=True),
    Measure("factors in Z", "factors_z", higher=True),
    Measure("factors in W", "factors_w", higher=True),
    *(
        Measure(f"path length, {space.upper()}, {where}", f"pl_classifier_{space}{where}")
        for space in "zw"
        for where in ("full", "end")
    ),
    *(Measure(f"separability, {space.upper()}", rf"ls_{space}(?:_(\d+of\d+))?(?:_per_class)?") for space in "zw"),
)


class Cell(NamedTuple):
    """What was measured of one row.

    Attributes:
        values: A number a seed.
        remark: What it is of, where that is less than all; else "".
    """

    values: tuple
    remark: str = ""

    @property
    def mean(self):
        return statistics.fmean(self.values)

    def text(self, percent):
        """The mean, and the standard deviation over seeds."""
        shown = f"{self.mean:.1%}" if percent else digits(self.mean)
        if len(self.values) > 1:
            spread = statistics.stdev(self.values)
            shown += f" ± {f'{spread:.1%}' if percent else digits(spread, self.mean)}"
        return f"{shown} ({self.remark.replace('of', ' of ')})" if self.remark else shown


def digits(value, like=None):
    """A number with three significant digits, or with as many places as another one has."""
    size = abs(value if like is None else like)
    places = max(0, 2 - math.floor(math.log10(size))) if size else 2
    return f"{value:.{places}f}"


def cell(measure, records):
    """The Cell of a measure in the records of one row, None if none of them has it."""
    found, remarks = [], set()
    for record in records:
        for name, value in record["results"].items():
            if match := re.fullmatch(measure.pattern, name):
                found.append(value)
                remarks.add(next(filter(None, match.groups()), ""))
    return Cell(tuple(found), ", ".join(sorted(filter(None, remarks)))) if found else None


def collect(rows):
    """What there is to show.

    Args:
        rows: [(Row, records of it, one a seed that is there)].

    Returns:
        {Measure: [Cell or None, one a row]}, of those that any row has.
    """
    columns = {measure: [cell(measure, measured(records)) for _, records in rows] for measure in MEASURES}
    return {measure: cells for measure, cells in columns.items() if any(cells)}


def measured(records):
    """Those of the records that have results: not of runs that have diverged."""
    return [record for record in records if "results" in record]


def markdown(title, command, rows, notes):
    """The lines of a table with what belongs to it.

    Args:
        title: What it compares.
        command: The command that made it.
        rows: [(Row, records of it)].
        notes: Sentences.
    """
    columns = collect(rows)
    paper = any(row.paper for row, _ in rows)
    heads = ["", "", *(["the paper's FID"] if paper else []), *(measure.label for measure in columns), "minutes"]
    yield from (f"### {title}", "", f"    {command}", "")
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * 2}{'---:|' * (len(heads) - 2)}"
    for number, (row, records) in enumerate(rows):
        cells = [row.name, row.text, *([f"{row.paper:.2f}" if row.paper else ""] if paper else [])]
        cells += [found[number].text(measure.percent) if found[number] else "" for measure, found in columns.items()]
        minutes = [record["minutes"] for record in measured(records)]
        yield f"| {' | '.join([*cells, f'{statistics.fmean(minutes):.1f}' if minutes else ''])} |"
    yield ""
    yield from remarks(rows, notes)


def remarks(rows, notes):
    """Lines below a table: what the numbers are, what failed, and on which machines it was made."""
    records = [record for _, found in rows for record in found]
    seeds = sorted({record["seed"] for record in records})
    several = len(seeds) > 1
    spread = ", and the standard deviation over the seeds behind ±" if several else ""
    yield f"* Seed{'s' * several} {', '.join(map(str, seeds)) or 'none yet'}{spread}; minutes of training alone."
    yield from (f"* {note}" for note in notes)
    for row, found in rows:
        if several and 0 < len(found) < len(seeds):
            yield f"* {row.name}: {len(found)} of {len(seeds)} seeds so far."
        for record in found:
            said = [record["failed"]] if "failed" in record else record.get("remarks", [])
            yield from (f"* {row.name}, seed {record['seed']}: {text}" for text in said)
    yield from (f"* Made on: {machine}." for machine in sorted({record["machine"] for record in records}))


def draw(title, rows):
    """The Matplotlib figure: a panel a measure, a dot a seed, a line through the means of the rows in their order."""
    matplotlib_figure = import_optional("matplotlib.figure", "Drawing the plot", "metrics")
    columns = {
        f"{m.label} ({'higher' if m.higher else 'lower'} is better)": cells for m, cells in collect(rows).items()
    }
    if any(row.paper for row, _ in rows):
        paper = [Cell((row.paper,)) if row.paper else None for row, _ in rows]
        columns = {"the paper's FID, FFHQ (lower is better)": paper} | columns
    names = [row.name for row, _ in rows]
    height = math.ceil(max(len(columns), 1) / _COLUMNS)
    figure = matplotlib_figure.Figure(figsize=(4.2 * _COLUMNS, 3 * height), layout="constrained")
    figure.suptitle(title)
    for place, (label, cells) in enumerate(columns.items(), 1):
        axes = figure.add_subplot(height, _COLUMNS, place)
        axes.set_title(label, fontsize="medium")
        axes.set_xticks(range(len(names)), names, rotation=30 if max(map(len, names)) > 4 else 0, fontsize="small")
        known = [(x, found) for x, found in enumerate(cells) if found]
        axes.plot([x for x, _ in known], [found.mean for _, found in known], "-", color="C0", linewidth=1)
        dots = [(x, value) for x, found in known for value in found.values]
        axes.plot([x for x, _ in dots], [value for _, value in dots], "o", color="C0", markersize=4)
        axes.grid(axis="y", alpha=0.3)
    return figure


def write_report(path, title, command, rows, notes):
    """Writes PATH.md and PATH.png.

    Args:
        path: Path without a suffix; its folder exists.
        title, command, rows, notes: See `markdown`.
    """
    with atomic_file(path.with_suffix(".md")) as temporary:
        temporary.write_text("\n".join(markdown(title, command, rows, notes)) + "\n")
    with atomic_file(path.with_suffix(".png")) as temporary:
        text = {"figure": "ablation", "runs": json.dumps([row.name for row, _ in rows])}
        draw(title, rows).savefig(temporary, format="png", dpi=80, metadata=text)
