"""The papers' tables at a small scale: every row is trained here, measured here, and put into one table and one plot.

    python benchmarks/ablation.py --dataset=digits --table=1 --kimg=60

All rows see as many images with the same small recipe; what differs besides stands below the table. Each row is a run
of run_training.py, measured by run_metrics.py; on digits, benchmarks/digits_quality.py says how many are recognised.
Their commands and what they said are in the run's folder. What has been measured is a line of OUTDIR/DATASET.jsonl and
is neither trained nor measured again, in whichever table it stands: E of Table 1 is 0% of Table 2. An ablation that was
stopped, or killed, goes on when the same command is given again, a run from its last checkpoint.
"""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
from tqdm import tqdm

# Python puts this file's folder on the path, not the project's.
sys.path.insert(0, str(Path(__file__).parents[1]))

import dnnlib.quiet_tensorflow  # noqa: F401
from benchmarks.ablation_report import measured, write_report
from benchmarks.ablation_tables import MORE_METRICS, SAMPLES, TABLES, Row, configure, metrics_of
from datasets.opening import open_dataset
from dnnlib.cli import INTERRUPTED, Command, UserPath, Whole, one_line_errors
from dnnlib.json_lines import append_record, read_records
from dnnlib.run_dir import run_dirs
from metrics import METRICS
from metrics.evaluate import RESULTS, check_needs
from metrics.options import options_of
from stylegan_tf.files.find import find_snapshots
from stylegan_tf.files.results import named_results
from stylegan_tf.recipes.paper import essence
from stylegan_tf.recipes.presets import CONFIGS
from stylegan_tf.recipes.settings import TrainingConfig
from stylegan_tf.runtime.processor import describe_processor
from stylegan_tf.training.checks import check_settings
from stylegan_tf.training.effects import check_effects
from stylegan_tf.training.preparation import check_existing_data, sketch_networks

ROOT = Path(__file__).parents[1]
FIRST_SEED = 1000
USUAL_KIMG = {"digits": 60, "avatars": 120}
# Errors that are results: of a run that cannot go on, and of a network that makes no images.
FAILURES = re.compile(r"Error: (Training has diverged.*|The network is broken.*|.*not finite.*)")


# Errors that say that a network has nothing that a metric could be measured on.
UNMEASURABLE = re.compile(r"Error: (For each of the \d+ attributes, all .*)")


class Task(NamedTuple):
    """A run to train and to measure.

    Attributes:
        row: Row.
        config: TrainingConfig.
        changes: Settings that make it of `row.config`.
        metrics: Names of the metrics.
        key: What tells runs apart that learn something else, or are measured otherwise.
        folder: Folder of the run's numbered folder.
    """

    row: Row
    config: TrainingConfig
    changes: list
    metrics: list
    key: str
    folder: Path

    @property
    def name(self):
        return f"{self.row.name}, seed {self.config.seed}"

    def is_answered_by(self, record):
        """Whether a record tells all that this is for."""
        return record["key"] == self.key and ("failed" in record or set(self.metrics) <= set(record["metrics"]))


class CommandFailed(Exception):
    """A command ended with an error that is no result."""


def key_of(config):
    """The same for runs that learn the same from the same images, whatever their configurations are called."""
    facts = [essence(config), config.dataset, config.resolution, config.seed, SAMPLES]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def make_tasks(table, dataset, config, kimg, seeds, settings, images, data_dir="data", runs="results/ablation"):
    """{Row: [Task, one a seed]} of a table; ValueError for settings that do not exist."""
    tasks = {}
    for row in TABLES[table].rows(images, config or TABLES[table].config):
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            run_config, changes = configure(row, TABLES[table], dataset, kimg, seed, settings)
            run_config = replace(run_config, data_dir=data_dir)
            key = key_of(run_config)
            folder = Path(runs) / f"{dataset}-{row.config}-{key}"
            names = metrics_of(table, dataset)
            tasks.setdefault(row, []).append(Task(row, run_config, changes, names, key, folder))
    return tasks


def check(tasks, settings):
    """ValueError or DatasetError for the first run that cannot be trained or measured."""
    given = {change.partition("=")[0]: f"--set {change.partition('=')[0]}" for change in settings}
    for task in tasks:
        check_settings(task.config)
        check_effects(task.config, given)
        data = check_existing_data(task.config)
        generator, _ = sketch_networks(task.config, data.resolution, data.num_channels)
        if task.config.style_mixing_prob and not generator.has_styles:
            raise ValueError(f"{task.row.name}: the generator of {task.row.config} has no styles that could be mixed.")
        # A table's runs are compared with the whole data set.
        whole = open_dataset(data.name, task.config.data_dir, data.resolution)
        check_needs(task.metrics, whole, options_of(data.name, task.config.mirror))


def start(arguments, environment):
    """Starts Python with these arguments; both outputs come out of the process's `stdout`."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def run(arguments, log, environment, each_line=lambda line: None):
    """Runs a script of the project, and writes the command and what it says to a file.

    Raises:
        KeyboardInterrupt: It was interrupted.
        CommandFailed: It ended with an error; the message is its last line.
    """
    last = ""
    with log.open("a") as file:
        print(f"\n$ {shlex.join(['python', *arguments])}", file=file, flush=True)
        process = start([str(ROOT / arguments[0]), *arguments[1:]], environment)
        for line in process.stdout:
            print(line, end="", file=file, flush=True)
            each_line(line)
            last = line.strip() or last
        code = process.wait()
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise CommandFailed(last)


class Progress:
    """A bar of thousands of images trained with, which threads count; a line a row where there is no terminal."""

    def __init__(self, kimg, count):
        self.kimg, self.lock = kimg, threading.Lock()
        self.bar = tqdm(total=kimg * count, unit="kimg", disable=None, bar_format="{l_bar}{bar}| {n:.0f}/{total} kimg")

    def reach(self, before, kimg):
        """Counts what a run has seen beyond `before`; returns how far it is."""
        with self.lock:
            self.bar.update(min(kimg, self.kimg) - before)
        return max(before, min(kimg, self.kimg))

    def tell(self, line):
        """A line above the bar."""
        with self.lock:
            self.bar.clear()
            click.echo(line)
            self.bar.refresh()


def work(task, path, environment, progress):
    """Trains and measures a run, and appends its record to the file `path`; returns the record.

    Raises:
        KeyboardInterrupt: It was stopped, in a state to go on from.
        CommandFailed: It could not be trained or measured, for a reason that is none of its own.
    """
    task.folder.mkdir(parents=True, exist_ok=True)
    log = task.folder / "commands.log"
    record = {
        "key": task.key,
        "dataset": task.config.dataset,
        "config": task.row.config,
        "settings": task.changes,
        "seed": task.config.seed,
        "kimg": task.config.total_kimg,
        "metrics": task.metrics,
        "machine": f"{os.cpu_count()} cores, {describe_processor()}",
    }
    try:
        snapshot = train(task, log, environment, progress)
        record["minutes"] = json.loads((snapshot / "training.json").read_text())["seconds"] / 60
        record["results"], record["remarks"] = measure(task, snapshot, log, environment)
    except CommandFailed as error:
        if not (failure := FAILURES.search(str(error))):
            raise CommandFailed(f"{task.name}: {error} ({log})") from None
        record["failed"] = failure[1]
    append_record(path, record)
    return record


def train(task, log, environment, progress):
    """Trains a run, or goes on with it; returns the folder of its last snapshot."""
    seen = 0

    def count(line):
        nonlocal seen
        if tick := re.search(r"^tick \d+ +kimg ([\d.]+)", line):
            seen = progress.reach(seen, float(tick[1]))

    if (snapshot := last_snapshot(task)) is None:
        arguments = ["run_training.py", f"--dataset={task.config.dataset}", f"--config={task.row.config}"]
        arguments += [f"--outdir={task.folder}", "--auto-resume", f"--data-dir={task.config.data_dir}"]
        run([*arguments, *(f"--set={change}" for change in task.changes)], log, environment, count)
        snapshot = last_snapshot(task)
    progress.reach(seen, task.config.total_kimg)
    return snapshot


def last_snapshot(task):
    """The folder of a run's snapshot after all its images, None if it is not there.

    The run may be that of another table's row, which learned the same from another configuration and was not asked all.
    """
    for home in task.folder.parent.glob(f"*-{task.key}"):
        for _, folder in run_dirs(home):
            for kimg, snapshot in find_snapshots(folder).items():
                if kimg >= int(task.config.total_kimg):
                    return snapshot
    return None


def measure(task, snapshot, log, environment):
    """({result: value} of a trained run, sentences on what could not be measured)."""
    folder, remarks = snapshot.parent, []
    for names, count in calls_of(task.metrics):
        arguments = ["run_metrics.py", f"--network={snapshot}", f"--outdir={folder}", "--num-gpus=0"]
        arguments += [f"--metric={name}" for name in names] + ([f"--num-samples={count}"] if count else [])
        try:
            run(arguments, log, environment)
        except CommandFailed as error:
            if not (reason := UNMEASURABLE.search(str(error))):
                raise
            remarks.append(reason[1])
    results = {}
    wanted = {name: count for names, count in calls_of(task.metrics) for name in names}
    kimg = json.loads((snapshot / "training.json").read_text())["images_seen"] / 1000
    for line in read_records(folder / RESULTS, {"metric", "kimg", "samples", "results"}):
        name = line["metric"]
        if name in wanted and line["kimg"] == kimg and wanted[name] in (None, line["samples"]):
            results |= named_results(line)
    if task.config.dataset == "digits":
        quality = folder / "quality.json"
        run(["benchmarks/digits_quality.py", str(folder), f"--output={quality}"], log, environment)
        results["recognised"] = json.loads(quality.read_text())["recognised"]
    return results, remarks


def calls_of(names):
    """[(metrics that one call measures, their samples)], None for as many as there are real images to compare with.

    Linear separability, which not every network has, does not keep the others from being measured.
    """
    compare = [name for name in names if METRICS[name].reals]
    separate = [name for name in names if name == "ls"]
    others = [name for name in names if name not in (*compare, *separate)]
    return [(found, count) for found, count in ((compare, None), (separate, SAMPLES), (others, SAMPLES)) if found]


def records_of(path, tasks):
    """[(Row, newest record of each seed that answers its task)]."""
    known = read_records(path, {"key", "metrics", "seed"})
    rows = []
    for row, tasks_of_row in tasks.items():
        found = (next(filter(task.is_answered_by, reversed(known)), None) for task in tasks_of_row)
        rows.append((row, [record for record in found if record]))
    return rows


@click.command(cls=Command, context_settings={"show_default": True, "max_content_width": 110})
@click.option("--dataset", type=click.Choice(list(MORE_METRICS)), default="digits", help="Data set.")
@click.option(
    "--table",
    type=click.Choice(list(TABLES)),
    required=True,
    help="; ".join(f"{name}: {table.title}" for name, table in TABLES.items()) + ".",
)
@click.option(
    "--kimg",
    type=Whole(1, 100_000),
    help="Thousands of images that each row sees.  [default: "
    + ", ".join(f"{kimg} for {name}" for name, kimg in USUAL_KIMG.items())
    + "]",
)
@click.option("--row", "chosen", metavar="NAME", multiple=True, help="Train only this row of the table. Repeatable.")
@click.option("--seeds", type=Whole(1, 100), default=3, help="Runs of each row.")
@click.option("--jobs", type=Whole(1, 64), default=1, help="Runs at a time.")
@click.option(
    "--config",
    type=click.Choice(list(CONFIGS)),
    help="Configuration that the rows of "
    + ", ".join(f"{name} ({table.config})" for name, table in TABLES.items() if table.config)
    + " vary.",
)
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="A setting of every row. Repeatable.")
@click.option("--data-dir", type=UserPath("folder"), default="data", help="Folder of data sets.")
@click.option("--runs", type=UserPath("folder"), default="results/ablation", help="Folder of the runs.")
@click.option("--outdir", type=UserPath("folder"), default="results/ablation", help="Folder of results and tables.")
@one_line_errors
def main(dataset, table, kimg, chosen, seeds, jobs, config, settings, data_dir, runs, outdir):
    """Train and measure the rows of a table of the papers, at a small scale."""
    spec, kimg = TABLES[table], kimg or USUAL_KIMG[dataset]
    if config and not spec.config:
        raise ValueError(f"--config has no effect on table {table}, whose rows are configurations; leave it out.")
    images = open_dataset(dataset, data_dir).num_images
    tasks = make_tasks(table, dataset, config, kimg, seeds, settings, images, data_dir, runs)
    names = [row.name for row in tasks]
    if unknown := [name for name in chosen if name not in names]:
        raise ValueError(f"Table {table} has no row {unknown[0]!r}; there are: {'; '.join(names)}.")
    due = [task for row, tasks_of_row in tasks.items() if not chosen or row.name in chosen for task in tasks_of_row]
    check(due[::seeds], settings)

    outdir = Path(outdir)
    outdir.mkdir(parents=True, exist_ok=True)
    path = outdir / f"{dataset}.jsonl"
    name = f"{dataset}-{table}" + (f"-{config}" if config else "")
    command = ["python", "benchmarks/ablation.py", f"--dataset={dataset}", f"--table={table}", f"--kimg={kimg}"]
    command += [f"--seeds={seeds}", *([f"--config={config}"] if config else []), *(f"--set={s}" for s in settings)]

    def report():
        write_report(outdir / name, spec.title, shlex.join(command), records_of(path, tasks), spec.notes)

    known = read_records(path, {"key", "metrics", "seed"})
    due = {task.key: task for task in due if not any(map(task.is_answered_by, known))}
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    environment = {"OMP_NUM_THREADS": threads, "TF_NUM_INTRAOP_THREADS": threads}
    progress, failures = Progress(kimg, len(due)), []
    report()
    # By seed first, so that a table with one seed of every row is there as soon as can be.
    queue = sorted(due.values(), key=lambda task: task.config.seed)
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(partial(work, task, path, environment, progress)): task for task in queue}
        try:
            for future in as_completed(futures):
                try:
                    record = future.result()
                except CommandFailed as error:
                    failures.append(str(error))
                    progress.tell(f"Failed: {error}")
                    continue
                report()
                progress.tell(f"{futures[future].name}: {describe(record)}")
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    progress.bar.close()
    click.echo((outdir / name).with_suffix(".md").read_text())
    if failures:
        raise ValueError(f"{len(failures)} of {len(due)} runs failed, the first: {failures[0]}")


def describe(record):
    """A record in a line."""
    if not measured([record]):
        return record["failed"]
    return ", ".join(f"{name} {value:.4g}" for name, value in record["results"].items())


if __name__ == "__main__":
    main()
