"""Trains a StyleGAN: python run_training.py --dataset=ffhq --num-gpus=8"""

import json
import os

# Hides TensorFlow's start-up messages, which a CPU user would take for errors; 0 shows them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click

from datasets.errors import DatasetError
from dnnlib.cli import Command, fail
from dnnlib.run_dir import find_run_dir
from stylegan_tf.configs import PRESETS, make_config, override, to_dict
from stylegan_tf.training.trainer import Trainer, count_gpus, load_run_config

# What may differ from a run's own configuration when it is resumed.
RESUMABLE = {"total_kimg", "snapshot_ticks", "num_gpus", "data_dir", "cache_megabytes"}


@click.command(cls=Command, context_settings={"show_default": True, "max_content_width": 110})
@click.option("--dataset", help="Data set: a folder in --data-dir, or digits, which creates itself.  [default: ffhq]")
@click.option("--data-dir", help="Folder of data sets.  [default: data]")
@click.option("--outdir", default="results", help="Where each run gets a numbered folder.")
@click.option(
    "--config",
    "preset",
    type=click.Choice(list(PRESETS)),
    help="Preset: f is the paper's configuration F.  [default: digits for that data set, else f]",
)
@click.option("--resolution", type=int, help="Side of the images.  [default: the data set's]")
@click.option(
    "--num-gpus", type=click.IntRange(min=0), help="GPUs to use; 0 trains on the CPU.  [default: all there are]"
)
@click.option(
    "--minibatch",
    type=click.IntRange(min=1),
    help="Images in a minibatch over all GPUs, at every resolution.  [default: the preset's, by resolution]",
)
@click.option(
    "--total-kimg",
    type=click.FloatRange(min=0, min_open=True),
    help="Length of the run in thousands of images.  [default: the preset's]",
)
@click.option("--gamma", type=click.FloatRange(min=0), help="Weight of R1.  [default: the preset's]")
@click.option("--mirror/--no-mirror", default=None, help="Mirror half of the real images.  [default: the preset's]")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of everything random.  [default: 1000]")
@click.option(
    "--snapshot-ticks", type=click.IntRange(min=1), help="Ticks between two snapshots.  [default: the preset's]"
)
@click.option("--resume", metavar="RUN", help="Go on with a run: its folder, its number, or latest.")
@click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="Any other setting, such as schedule.lod_training_kimg=300; --dry-run shows them all. Repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Print the resolved configuration and stop.")
def main(outdir, preset, resume, settings, dry_run, minibatch, gamma, **options):
    """Train a StyleGAN.

    Everything a run needs to be understood or resumed is in its folder: configuration, log, pictures, TensorBoard
    events, network snapshots (.keras) and checkpoints. Ctrl-C stops it in a state to resume from.
    """
    given = {name: value for name, value in options.items() if value is not None}
    changes = [f"{name}={json.dumps(value)}" for name, value in given.items()]
    if minibatch is not None:
        changes += [f"schedule.minibatch_base={minibatch}", "schedule.minibatch_dict={}"]
    if gamma is not None:
        changes.append(f"loss.r1_gamma={gamma}")
    changes += settings
    try:
        run_dir = find_run_dir(outdir, resume) if resume is not None else None
        if run_dir:
            config = resumed_config(run_dir, preset, changes)
        else:
            preset = preset or (given.get("dataset") if given.get("dataset") in PRESETS else "f")
            config = override(make_config(preset, given.get("num_gpus", count_gpus())), changes)
        if dry_run:
            click.echo(json.dumps(to_dict(config), indent=2))
            return
        trainer = Trainer(config, run_dir)
    except (ValueError, OSError) as error:
        fail(error)
    try:
        trainer.run(outdir)
    except (DatasetError, OSError) as error:
        fail(error)


def resumed_config(run_dir, preset, changes):
    """The configuration of a run, with the changes that a resumed run may have; ValueError for any other."""
    stored = load_run_config(run_dir)
    config = override(stored, changes)
    before, after = flat(to_dict(stored)), flat(to_dict(config) | ({"config": preset} if preset else {}))
    for name in before | after:
        if before.get(name) != after.get(name) and name not in RESUMABLE:
            raise ValueError(
                f"{run_dir} was started with {name}={before.get(name)}, not {after.get(name)}; a resumed run keeps its "
                f"configuration but for {', '.join(sorted(RESUMABLE))}."
            )
    return config


def flat(values, prefix=""):
    """{"loss.r1_gamma": 10.0, ...} of nested dicts."""
    items = {}
    for name, value in values.items():
        items |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return items


if __name__ == "__main__":
    main()
