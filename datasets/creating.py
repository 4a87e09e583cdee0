"""The commands that create a data set: what all of them take, do and say."""

import functools
import inspect
import os
import shlex
import time

import click

from datasets.convert import create_dataset, plan_dataset
from datasets.errors import DatasetError
from datasets.parameters import ON_ERROR, OUT, WORKERS
from datasets.pyramid import ENCODINGS
from datasets.summary import describe_plan, describe_skipped, summarize
from dnnlib.cli import Whole
from dnnlib.files import check_new_folder

_OUT_HELP = "OUT is the folder to create: data/NAME, to be used as run_training.py --dataset=NAME."
_OPTIONS = (
    click.option("--max-images", type=Whole(1), help="Take so many of the first images.  [default: all]"),
    click.option(
        "--encoding",
        type=click.Choice(ENCODINGS),
        default="raw",
        help="raw is the original's format; png and jpeg take less disk and more time to read.",
    ),
    click.option("--quality", type=Whole(1, 100), help="Quality of --encoding=jpeg.  [default: 95]"),
    click.option("--shards", type=Whole(1, 99_999), default=1, help="Files that each resolution is spread over."),
    WORKERS,
    ON_ERROR,
    click.option("--dry-run", is_flag=True, help="Check the source, say what would be made, and stop."),
)


def creates(*parameters, shuffle=True):
    """Decorates a function that returns a Source: it becomes a command's, that creates the data set OUT from it.

    Args:
        parameters: Decorators of click, which give the function its arguments.
        shuffle: Default of --shuffle.
    """
    order = "Store the images in the original's shuffled order, or in the source's."
    shuffle_option = click.option("--shuffle/--no-shuffle", default=shuffle, help=order)

    def decorate(function):
        @functools.wraps(function)
        def run(out, dry_run, shuffle, max_images, encoding, quality, shards, workers, on_error, **source_options):
            if quality is not None and encoding != "jpeg":
                raise DatasetError(f"--quality has no effect with --encoding={encoding}; leave it out.")
            check_new_folder(out)  # before the source is looked through, which can take minutes
            source = function(**source_options)
            quality = quality or 95
            options = {"shuffle": shuffle, "max_images": max_images, "encoding": encoding, "quality": quality}
            options |= {"shards": shards, "on_error": on_error}
            if dry_run:
                click.echo(describe_plan(out, source, plan_dataset(out, source, **options)))
            else:
                _create(out, source, workers=workers, **options)

        run.__doc__ = f"{inspect.getdoc(function)}\n\n{_OUT_HELP}"
        for parameter in reversed((OUT, *parameters, shuffle_option, *_OPTIONS)):
            run = parameter(run)
        return run

    return decorate


def common_option(name):
    """The value of an option of all these commands, for a source that needs it too."""
    return click.get_current_context().params[name]


def _create(out, source, **options):
    """Creates a data set and says what came of it."""
    start = time.perf_counter()
    created = create_dataset(out, source, **options)
    minutes, seconds = divmod(round(time.perf_counter() - start), 60)
    what = summarize(created.num_images, created.labels, created.label_names, source, len(created.skipped))
    click.echo(f"Created {out} in {minutes} min {seconds} s: {what}.")
    folder, name = os.path.split(os.path.normpath(out))
    for line in describe_skipped(created.skipped, f"; all are in {os.path.join(out, name)}-skipped.txt"):
        click.echo(line)
    data_dir = "" if folder == "data" else shlex.join([f"--data-dir={folder or '.'}"])
    click.echo(f"Train on it: python run_training.py {shlex.join([f'--dataset={name}'])} {data_dir}".rstrip())
