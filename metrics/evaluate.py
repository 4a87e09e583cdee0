"""Measures networks: what is asked for, one JSON line a result, one table."""

import importlib.metadata
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import click
import tensorflow as tf

import metrics
from datasets.opening import is_created, open_dataset, split_path
from dnnlib.files import check_can_create
from dnnlib.json_lines import append_record, read_records
from metrics import networks
from metrics.networks import files_of
from metrics.options import Options, options_of
from metrics.rows import CACHE_VERSION
from metrics.session import Session, digest
from stylegan_tf.editing.directions import FILE as DIRECTIONS
from stylegan_tf.editing.directions import has_planes, write_planes
from stylegan_tf.files.find import find_snapshots, find_targets, load_generator, pass_over
from stylegan_tf.files.results import named_results
from stylegan_tf.perception import weights
from stylegan_tf.recipes.presets import is_mirrored
from stylegan_tf.runtime.devices import make_strategy
from stylegan_tf.runtime.hosts import Hosts

RESULTS = "metrics.jsonl"
# The metrics of the paper's tables.
PAPER = ("fid50k", "ppl_zfull", "ppl_wfull", "ppl_zend", "ppl_wend", "ls")
_PACKAGES = ("tensorflow", "keras", "numpy", "scikit-learn")

# Options that only some metrics look at: {option: whether a metric of that name does}.
_TAKEN_BY = {
    "mirror": lambda name: metrics.METRICS[name].reals,
    "inception": lambda name: metrics.METRICS[name].network is networks.inception,
    "vgg16": lambda name: metrics.METRICS[name].network is networks.lpips,
    "lpips": lambda name: metrics.METRICS[name].network is networks.lpips,
    "crop": lambda name: name.startswith("ppl_"),
    "svm": lambda name: name == "ls",
    "degenerate": lambda name: name == "ls",
    "classifiers": lambda name: metrics.METRICS[name].network in networks.BY_CLASSIFIERS,
}


class Request(NamedTuple):
    """What to measure.

    Attributes:
        targets: Networks, a list of `Target`.
        names: Metrics, a list without repetitions.
        dataset: Name of the data set, None if there is none.
        data_dir: Folder of data sets.
        options: Options.
        outdir: Folder of the results.
        num_gpus: GPUs to work on, 0 for the CPU.
    """

    targets: list
    names: list
    dataset: str | None
    data_dir: str
    options: Options
    outdir: Path
    num_gpus: int

    def describe(self):
        """The same as a dictionary for JSON."""
        return {
            "networks": [str(target.path) for target in self.targets],
            "metrics": {
                name: {"summary": metrics.METRICS[name].summary, "samples": self.samples(metrics.METRICS[name])}
                for name in self.names
            },
            "files": self.files(),
            "dataset": self.dataset,
            "data_dir": self.data_dir,
            "results": str(self.outdir / RESULTS),
            "num_gpus": self.num_gpus,
            **asdict(self.options),
        }

    def check(self):
        """DatasetError or ValueError if the data set, as far as it is there, cannot be what the metrics need."""
        if self.dataset is not None and is_created(self.dataset, self.data_dir):
            check_needs(self.names, open_dataset(self.dataset, self.data_dir), self.options)

    def files(self):
        """{published file that is needed: where it is, or from where it will be downloaded}."""
        networks = dict.fromkeys(metrics.METRICS[name].network for name in self.names)
        return {
            file.name: str(weights.find(file, self.options.cache_dir, path) or f"to be downloaded from {file.origin}")
            for network in networks
            for file, path in files_of(network, self.options)
        }

    def samples(self, metric):
        """The number of samples of a metric, in words where it is the data set's."""
        return self.options.num_samples or metric.usual or "as many as there are real images"


def resolve(network, all_snapshots, names, num_gpus, dataset=None, data_dir=None, outdir=None, **given):
    """The Request of a user's options; what is None there is as in the network's run.

    Raises:
        ValueError: There is no such network or metric, or an option fits none of the metrics.
    """
    targets = find_targets(network, all_snapshots, given.get("cache_dir") or Options.cache_dir)
    newest = targets[-1]
    if dataset is not None:
        dataset, data_dir = split_path(dataset, data_dir)
    names = list(dict.fromkeys(known for name in names for known in (PAPER if name == "paper" else (name,))))
    config = newest.config
    own = config is not None and dataset in (None, config.dataset)
    dataset = config.dataset if dataset is None and config else dataset
    mirror = config.mirror if own else bool(dataset) and is_mirrored(dataset)
    defaults = options_of(dataset, mirror)
    options = replace(defaults, **{name: value for name, value in given.items() if value is not None})
    if options.truncation_psi is not None and (odd := [name for name in names if not metrics.METRICS[name].reals]):
        raise ValueError(
            f"--truncation-psi is for metrics that compare with real images, not for {', '.join(odd)}; measure those "
            "without it."
        )
    for name, takes in _TAKEN_BY.items():
        if given.get(name) is not None and not any(map(takes, names)):
            raise ValueError(f"--{name} has no effect on {', '.join(names)}; leave it out.")
    if all_snapshots and not (Path(network).is_dir() and find_snapshots(Path(network))):
        raise ValueError(f"--all-snapshots has no effect on {network}, which is no run; leave it out.")
    if data_dir is not None and dataset is None:
        raise ValueError("--data-dir has no effect without --dataset; leave it out.")
    data_dir = data_dir or (config.data_dir if own else "data")
    return Request(targets, names, dataset, data_dir, options, Path(outdir or newest.home), num_gpus)


def evaluate(request):
    """Measures, appends a line to OUTDIR/metrics.jsonl for each metric of each network, and prints a table.

    What a line there says already is not measured again. Of several networks, those that are damaged are named and
    passed over.

    Raises:
        ValueError, OSError: Something is missing or broken; what has been measured is kept.
    """
    # As in training with fp32, the default: path lengths are differences in the seventh digit.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    for folder in (request.outdir, request.options.cache_dir):
        check_can_create(folder)
    strategy = make_strategy(request.num_gpus, Hosts())
    rows, opened = [], {}
    for target in request.targets:
        try:
            with strategy.scope():
                generator = load_generator(target.path)
        except ValueError as error:
            if not rows and target is request.targets[-1]:
                raise
            pass_over(error)
            continue
        dataset = open_fitting(request, generator)
        with Session(generator, dataset, request.options, opened) as session:
            rows.append((target.name, measure(request, target, session)))
    click.echo("\n".join(table(rows)))


def open_fitting(request, generator):
    """The data set of a request at the generator's resolution, None where there is none or nothing needs it."""
    needed = generator.label_size or any(metrics.METRICS[name].needs_data(request.options) for name in request.names)
    if request.dataset is None or not needed:
        return None
    dataset = open_dataset(request.dataset, request.data_dir, None, generator.label_size)
    if generator.resolution in dataset.resolutions:
        return open_dataset(request.dataset, request.data_dir, generator.resolution, generator.label_size)
    return dataset  # which the session refuses


def measure(request, target, session):
    """Measures one network; returns {result: value}."""
    path = request.outdir / RESULTS
    chosen = {name: metrics.METRICS[name] for name in request.names}
    opened = open_networks(chosen.values(), session)
    values = {}
    for name, network in zip(chosen, opened, strict=True):
        facts = identity(name, chosen[name], network, session)
        # Read for each metric, as another process may have measured meanwhile.
        known = {record["key"]: record for record in read_records(path, {"key", "results", "seconds"})}
        record, directions = known.get(digest(facts)), request.outdir / DIRECTIONS
        lacks_planes = chosen[name].keeps_planes and not has_planes(directions, session.network_hash)
        if record:
            click.echo(f"{target.path}: {name} is known from {path}.")
        if not record or lacks_planes:
            result, seconds = timed(chosen[name].measure, session, network, facts["samples"])
            path.parent.mkdir(parents=True, exist_ok=True)
        if lacks_planes:
            write_planes(directions, session.network_hash, result.planes)
        if not record:
            record = {
                "results": result.values,
                "seconds": round(seconds, 1),
                "network": str(target.path),
                "kimg": target.kimg,
                "dataset": session.dataset and session.dataset.name,
                **facts,
                "details": result.details,
                "versions": {package: importlib.metadata.version(package) for package in _PACKAGES},
                "key": digest(facts),
            }
            append_record(path, record)
            for line in result.lines:
                click.echo(line)
        results = named_results(record)
        click.echo(f"{target.name}: {describe(results)}  ({record['seconds']:.0f} s)")
        values |= results
    return values


def check_metrics(chosen, generator, dataset, options, opened=None):
    """Opens all that metrics need, so that what is missing is known before days of training.

    Args:
        chosen: Metrics of `METRICS`.
        generator: Network like the ones that are to be measured.
        dataset: MultiResolutionDataset, or None.
        options: Options.
        opened: Where the networks that look at images stay; see `Session`.

    Raises:
        ValueError, OSError: There are too few real images, or a network to look at images with is missing or broken.
    """
    if chosen:
        with Session(generator, dataset, options, opened=opened) as session:
            open_networks(chosen, session)


def check_needs(names, dataset, options):
    """ValueError for a metric of these names that needs more images than a data set has, or classifiers that it has
    not."""
    for name in names:
        metrics.METRICS[name].check_reals(dataset, options)
        networks.check_classifiers(metrics.METRICS[name].network, dataset, options)


def open_networks(chosen, session):
    """The networks that metrics look at images with, one each; an error before hours of work if any is missing."""
    for metric in chosen:
        metric.check(session)
    return [session.once(metric.network) for metric in chosen]


def timed(function, *arguments):
    """(what a function returns, seconds that it took)."""
    start = time.perf_counter()
    return function(*arguments), time.perf_counter() - start


def identity(name, metric, network, session):
    """Everything that decides a result, for JSON."""
    options = session.options
    compared = session.dataset is not None and (metric.reals or session.generator.label_size)
    return {
        "metric": name,
        "samples": metric.count(session),
        "seed": options.seed,
        "network_sha256": session.network_hash,
        "dataset_sha256": session.dataset_hash if compared else None,
        "features_sha256": network.hash,
        "mirror": options.mirror,
        "crop": options.crop,
        "svm": options.svm,
        "degenerate": options.degenerate,
        "truncation_psi": options.truncation_psi,
        "cache_version": CACHE_VERSION,
    }


def describe(results):
    """Results in a line."""
    return ", ".join(f"{name} {value:.4f}" for name, value in results.items())


def table(rows):
    """Lines of a table of [(network, {result: value})]."""
    names = list(dict.fromkeys(name for _, values in rows for name in values))
    width = max(len(name) for name, _ in rows)
    columns = [max(len(name), 10) for name in names]
    head = "  ".join(f"{name:>{size}}" for name, size in zip(names, columns, strict=True))
    lines = [f"{'network':{width}}  {head}"]
    for network, values in rows:
        known = (f"{values[name]:.4f}" if name in values else "-" for name in names)
        cells = (f"{cell:>{size}}" for cell, size in zip(known, columns, strict=True))
        lines.append(f"{network:{width}}  {'  '.join(cells)}")
    return lines
