"""Trains a StyleGAN: python run_training.py --dataset=ffhq --num-gpus=8"""

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
from click.core import ParameterSource

import dnnlib.quiet_tensorflow  # noqa: F401
from datasets.errors import DatasetError
from datasets.opening import split_path
from dnnlib.cli import MINIBATCH, Command, Finite, UserPath, Whole, fail, one_line_errors
from dnnlib.run_dir import find_run_dir
from metrics import METRICS
from metrics.evaluate import check_metrics, check_needs
from metrics.options import options_of
from stylegan_tf.recipes.declaration import Choices, Range
from stylegan_tf.recipes.paper import paper_fid
from stylegan_tf.recipes.presets import CONFIGS, GROWN, NO_GROWING, make_config
from stylegan_tf.recipes.settings import SETTINGS, override, to_dict
from stylegan_tf.runtime.agreement import LOST, HostLost
from stylegan_tf.runtime.devices import count_gpus
from stylegan_tf.runtime.hosts import find_hosts
from stylegan_tf.runtime.xla_cache import gpu_models, keep_compiled
from stylegan_tf.training.checks import check_settings
from stylegan_tf.training.diagnosis import DivergedError
from stylegan_tf.training.disk import disk_use
from stylegan_tf.training.effects import check_effects
from stylegan_tf.training.initialize import initial_resolution
from stylegan_tf.training.preparation import check_existing_data, suit_own_data
from stylegan_tf.training.rehearsal import rehearse
from stylegan_tf.training.resuming import find_same_run, resumed_config
from stylegan_tf.training.trainer import Trainer


def parse_profile(ctx, param, value):
    """(start, steps) of START:STEPS."""
    if value is None:
        return None
    start, _, steps = value.partition(":")
    if not (re.fullmatch("[0-9]{1,12}", start) and re.fullmatch("[0-9]{1,12}", steps) and int(steps)):
        raise click.BadParameter(f"it has the form START:STEPS, such as 20:5; received {value!r}.")
    return int(start), int(steps)


SETTING_OF = {}  # {parameter of an option: the setting that it is}


def setting_option(declaration, name=None, default=None):
    """An option that is one setting: its type, range and help are the setting's.

    Args:
        declaration: "--seed", or "--xla/--no-xla".
        name: Name of the setting, where it is not the option's.
        default: Who decides where it is not given; the setting's own default by default.
    """
    parameter = declaration.partition("/")[0].removeprefix("--").replace("-", "_")
    SETTING_OF[parameter] = name or parameter
    setting = SETTINGS[SETTING_OF[parameter]]
    shown = default or setting.unset or setting.default
    return click.option(declaration, default=None, type=click_type(setting), help=f"{setting.text}  [default: {shown}]")


def click_type(setting):
    """What click makes of an option with a setting's value."""
    allowed = setting.allowed
    if isinstance(allowed, Choices):
        return click.Choice(allowed)
    if isinstance(allowed, Range):
        if setting.kind in (int, int | None):
            return Whole(allowed.least, allowed.most)
        return Finite(allowed.least, allowed.most, least_open=allowed.excluded == allowed.least)
    if setting.path:
        return UserPath()
    return {bool: bool, bool | None: bool, int | None: int}.get(setting.kind, str)


@click.command(cls=Command, context_settings={"show_default": True, "max_content_width": 110})
@setting_option("--dataset")
@setting_option("--data-dir")
@click.option("--outdir", type=UserPath("folder"), default="results", help="Where each run gets a numbered folder.")
@click.option(
    "--config",
    type=click.Choice(list(CONFIGS)),
    help=f"{SETTINGS['config'].text}  [default: {SETTINGS['config'].default}]",
)
@setting_option("--resolution")
@click.option("--no-growing", is_flag=True, help="Train at the full resolution from the start.")
@click.option(
    "--conditional/--unconditional", default=None, help="Whether to use the data set's labels.  [default: cifar10 only]"
)
@setting_option("--mirror/--no-mirror", default="the data set's")
@setting_option("--mixing-prob", "style_mixing_prob", default="the configuration's")
@setting_option("--gamma", "loss.r1_gamma", default="the configuration's")
@setting_option("--path-length-weight", "loss.path_length_weight", default="none")
@setting_option("--total-kimg", default="the configuration's")
@setting_option("--seed")
@setting_option("--num-gpus", default="all there are")
@click.option(
    "--minibatch",
    type=MINIBATCH,
    help="Images in a minibatch over all GPUs, at every resolution.  [default: the paper's, by resolution]",
)
@click.option("--max-minibatch-per-gpu", type=MINIBATCH, help="Most images that a GPU gets of a minibatch.")
@setting_option("--accumulate")
@setting_option("--precision")
@setting_option("--xla/--no-xla")
@setting_option("--augment")
@setting_option("--init-from")
@setting_option("--freeze-d")
@setting_option("--snapshot-ticks", default="the data set's")
@setting_option("--keep-snapshots")
@setting_option("--keep-checkpoints")
@click.option("--metrics", help=SETTINGS["metrics"].text)
@setting_option("--metric-ticks")
@click.option(
    "--profile", metavar="START:STEPS", callback=parse_profile, help="Write a TensorBoard profile of these steps."
)
@click.option("--wandb", metavar="PROJECT", help="Send numbers and pictures to Weights & Biases as well.")
@click.option("--resume", type=UserPath(), metavar="RUN", help="Go on with a run: its folder, its number, or latest.")
@click.option("--auto-resume", is_flag=True, help="Go on with the newest run of this configuration, if there is one.")
@click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="Any other setting, such as schedule.lod_training_kimg=300; docs/settings.md has them all. Repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Print the configuration, the paper's FID, the disk it takes, and stop.")
@one_line_errors
def main(outdir, config, resume, auto_resume, settings, dry_run, profile, wandb, **options):
    """Train a StyleGAN.

    Everything a run needs to be understood or resumed is in its folder: configuration, log, pictures, TensorBoard
    events, network snapshots (.keras) and checkpoints. Ctrl-C stops it in a state to resume from. Several machines
    train together when TF_CONFIG or SLURM names them; see docs/distributed.md.
    """
    given = {name: value for name, value in options.items() if value is not None}
    remark = None if dry_run else keep_compiled("cache/xla", gpu_models())
    if remark:
        click.echo(remark, err=True)
    try:
        given |= where_data_is(given)
        hosts = find_hosts()
        given["num_hosts"] = hosts.count
        if resume is not None and auto_resume:
            raise ValueError("--resume names a run and --auto-resume finds one; give one of them.")
        if given["no_growing"] and config in GROWN:
            raise ValueError(
                f"--config={config} is a row of the paper's table that grows; use --config={GROWN[config]} "
                "--no-growing for its networks without growing, or --config=sg2-e for the paper's row without."
            )
        run_dir = find_run_dir(outdir, resume) if resume is not None else None
        by_user = click.get_current_context().get_parameter_source("outdir") is ParameterSource.COMMANDLINE
        if run_dir and by_user and Path(outdir).resolve() != run_dir.resolve().parent:
            raise ValueError(
                f"--outdir={outdir} has no effect on the run {run_dir}, which goes on in its own folder. Leave it out."
            )
        if run_dir:
            run_config = resumed_config(run_dir, config, changes_of(given, settings))
        else:
            devices = given.get("num_gpus", count_gpus()), hosts.count
            preset = make_config(config or "f", given.get("dataset", "ffhq"), *devices)
            run_config = override(preset, changes_of(given, settings))
        check_settings(run_config, METRICS)
        named, reasons = names_of(given, settings), []
        if run_dir is None:
            run_config, reasons = suit_own_data(run_config, named)
        if auto_resume:
            run_dir = find_same_run(outdir, run_config)
        check_effects(run_config, named)
        if dry_run:
            data = check_existing_data(run_config) if run_dir is None else None
            if data:
                check_needs(run_config.metrics, data, options_of(data.name, run_config.mirror))
                check_effects(replace(run_config, resolution=data.resolution), named)
            remarks = reasons + rehearse(run_config, data, profile, resumed=run_dir is not None)
            disk = disk_use(run_config)
            told = {"paper": paper_fid(run_config), "disk": disk and disk.to_dict(), "remarks": remarks}
            click.echo(json.dumps(to_dict(run_config) | told, indent=2))
            return
        options = options_of(run_config.dataset, run_config.mirror)
        opened = {}  # networks that look at images, for the whole run
        metrics = {name: partial(metric, options=options, opened=opened) for name, metric in METRICS.items()}
        trainer = Trainer(run_config, run_dir, metrics, profile, wandb, [] if run_dir else reasons)
        check_effects(trainer.config, named)
        if hosts.chief:
            chosen = [METRICS[name] for name in run_config.metrics]
            check_metrics(chosen, trainer.models.Gs, trainer.data, options, opened)
        trainer.run(outdir)
    except HostLost as error:
        click.echo(error, err=True)
        raise SystemExit(LOST) from None
    except (DatasetError, DivergedError, OSError, ValueError) as error:
        fail(error)


def names_of(given, settings):
    """{setting: how it was given, as an option or with --set}, as `check_effects` takes them; ValueError for both."""
    options = {SETTING_OF[name]: f"--{name.replace('_', '-')}" for name in given if name in SETTING_OF}
    keys = [change.partition("=")[0] for change in settings]
    if twice := options.keys() & keys:
        key = min(twice)
        raise ValueError(f"{options[key]} and --set {key} are the same setting; give one of them.")
    return options | {key: f"--set {key}" for key in keys}


def where_data_is(given):
    """The options that say which data set is meant, with a path for --dataset taken apart."""
    if "dataset" not in given:
        return {}
    name, folder = split_path(given["dataset"], given.get("data_dir"))
    return {"dataset": name} | ({"data_dir": folder} if folder else {})


def changes_of(given, settings):
    """Settings, as `override` takes them, of the options that were given; --set goes last."""
    given = dict(given)
    changes = []
    if "init_from" in given:
        # What is there need not be grown again.
        changes.append(f"schedule.lod_initial_resolution={initial_resolution(given['init_from'])}")
    if given.pop("no_growing"):
        changes += NO_GROWING
    if "minibatch" in given:
        changes += [f"schedule.minibatch_base={given.pop('minibatch')}", "schedule.minibatch_dict={}"]
    if "max_minibatch_per_gpu" in given:
        most = given.pop("max_minibatch_per_gpu")
        changes.append(f"schedule.max_minibatch_per_gpu={json.dumps({2**r: most for r in range(2, 11)})}")
    if "metrics" in given:
        changes.append(f"metrics={json.dumps(given.pop('metrics').split(','))}")
    if "conditional" in given:
        changes.append(f"max_label_size={'full' if given.pop('conditional') else 0}")
    changes += [f"{SETTING_OF.get(name, name)}={json.dumps(value)}" for name, value in given.items()]
    return [*changes, *settings]


if __name__ == "__main__":
    main()
