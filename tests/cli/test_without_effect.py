"""Options that would do nothing are refused at the start; what a run would find out, a dry run does as well."""

import json
from dataclasses import replace

import click
import pytest
from click.testing import CliRunner
from entry_points import COMMANDS
from processes import ROOT
from tiny_training import create_dataset

from stylegan_tf.recipes.presets import make_config
from stylegan_tf.training.disk import count_steps

PICKLE = ROOT / "tests/reference/data/networks-stylegan1.pkl"


def dry_run(*options):
    return "run_training", ("--dataset=digits", "--num-gpus=0", "--dry-run", *options)


def metrics(*options):
    return "run_metrics", (f"--network={PICKLE}", "--num-gpus=0", "--dry-run", *options)


FULL_SIZE = "--set=schedule.lod_initial_resolution=32"
# (command with its arguments, the option that is refused, what the message says besides).
WITHOUT_EFFECT = [
    (dry_run("--metric-ticks=3"), "--metric-ticks", "without --metrics"),
    (dry_run("--freeze-d=3"), "--freeze-d", "without --init-from"),
    (dry_run("--set=freeze_d=3"), "--set freeze_d", "without --init-from"),
    (dry_run("--set=ada.target=0.5"), "--set ada.target", "without --augment=ada"),
    (dry_run("--set=ada.interval=8", "--augment=ada-fixed:0.3"), "ada.interval", "without --augment=ada"),
    (dry_run("--set=ada.kimg=8", "--augment=diffaugment"), "--set ada.kimg", "without --augment=ada"),
    (dry_run("--set=ada.pipeline=blit"), "--set ada.pipeline", "without --augment=ada or ada-fixed:P"),
    (dry_run("--set=diffaugment=color", "--augment=ada"), "--set diffaugment", "without --augment=diffaugment"),
    (dry_run("--set=loss.r1_interval=8", "--gamma=0"), "--set loss.r1_interval", "without a --gamma above 0"),
    (dry_run("--set=loss.gradient_penalty_target=2"), "gradient_penalty_target", "without a loss.gradient_penalty"),
    (dry_run("--set=loss.path_length_decay=0.1"), "path_length_decay", "without a --path-length-weight"),
    (dry_run("--set=loss.path_length_interval=8"), "path_length_interval", "without a --path-length-weight"),
    (dry_run("--no-growing", "--set=schedule.lod_training_kimg=9"), "lod_training_kimg", "starts at the full"),
    (dry_run(FULL_SIZE, "--set=schedule.lod_transition_kimg=9"), "lod_transition_kimg", "starts at the full"),
    (
        dry_run("--dataset=ffhq", "--no-growing", "--set=schedule.G_lrate_base=0.1"),
        "schedule.G_lrate_base",
        "schedule.G_lrate_dict has an entry for every resolution of the run",
    ),
    (dry_run("--profile=90000:2"), "--profile=90000:2", "steps before it"),
    (metrics("--metric=ls", "--dataset=digits", "--mirror"), "--mirror", "on ls"),
    (metrics("--metric=ppl_wend", "--inception=x"), "--inception", "on ppl_wend"),
    (metrics("--metric=fid50k", "--dataset=digits", "--vgg16=x"), "--vgg16", "on fid50k"),
    (metrics("--metric=fid50k", "--dataset=digits", "--lpips=x"), "--lpips", "on fid50k"),
    (metrics("--metric=ppl_wend", "--svm=primal"), "--svm", "on ppl_wend"),
    (metrics("--metric=ppl_wend", "--all-snapshots"), "--all-snapshots", "is no run"),
    (metrics("--metric=ppl_wend", "--data-dir=x"), "--data-dir", "without --dataset"),
    (
        ("dataset_tool create-from-images", ("{new}", "{folder}", "--resize=box")),
        "--resize=box",
        "without --resolution",
    ),
    (("dataset_tool create-ffhq", ("{new}", "{folder}", "--metadata={file}")), "--metadata", "without --split"),
    (
        ("run_export", (f"--network={PICKLE}", "--output={new}.keras", "--format=keras", "--max-batch=3")),
        "--max-batch",
        "with --format=keras",
    ),
]


def invoke(command, arguments):
    return CliRunner().invoke(COMMANDS[command], list(arguments))


@pytest.mark.parametrize("given, option, words", WITHOUT_EFFECT, ids=lambda value: str(value)[-60:])
def test_options_without_effect(tmp_path, monkeypatch, given, option, words):
    monkeypatch.chdir(tmp_path)
    command, arguments = given
    places = {"new": tmp_path / "new", "folder": tmp_path, "file": PICKLE}
    result = invoke(command, [argument.format(**places) for argument in arguments])
    assert result.exit_code == 2, (result.output, result.exception)
    assert result.stderr.count("\n") == 1 and "has no effect" in result.stderr
    assert option in result.stderr and words in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", COMMANDS)
def test_empty_values(command):
    """A script whose variable is not set gives them; they are not taken for the default."""
    before = []  # other arguments
    for parameter in COMMANDS[command].params:
        if isinstance(parameter, click.Argument):
            given = [*before, ""]
            before.append("x")
        elif parameter.is_flag:
            continue
        else:
            given = [f"{parameter.opts[-1]}="]
        result = invoke(command, given)
        assert result.exit_code == 2, (result.output, result.exception)
        assert result.stderr.count("\n") == 1 and "must not be empty" in result.stderr
        assert parameter.opts[-1] in result.stderr.lower()


# The same options where they have an effect, and defaults, which are what is without them.
@pytest.mark.parametrize(
    "options",
    [
        ("--metric-ticks=3", "--metrics=ls", "--set=loss.r1_interval=8", "--set=schedule.lod_training_kimg=9"),
        ("--set=ada.target=0.5", "--set=ada.pipeline=bg", "--augment=ada", "--profile=20:5"),
        ("--set=diffaugment=color", "--augment=diffaugment", "--set=schedule.G_lrate_base=0.1", "--metric-ticks=1"),
        ("--set=loss.path_length_decay=0.1", "--path-length-weight=2", "--no-growing", "--freeze-d=0"),
    ],
)
def test_options_with_effect(options):
    command, arguments = dry_run(*options)
    result = invoke(command, arguments)
    assert result.exit_code == 0, (result.output, result.exception)


def test_resumed_runs_stay_in_their_folder(tmp_path):
    (tmp_path / "a" / "00000-tiny").mkdir(parents=True)
    result = invoke("run_training", [f"--resume={tmp_path / 'a/00000-tiny'}", f"--outdir={tmp_path / 'b'}"])
    assert result.exit_code == 2
    assert f"--outdir={tmp_path / 'b'} has no effect on the run" in result.stderr


def test_steps_before_a_run():
    config = replace(make_config("f", "digits"), resolution=32)
    images, steps = 0, 0
    while images < config.total_kimg * 1000:
        images, steps = images + config.phase(images).minibatch, steps + 1
    assert count_steps(config) == steps
    assert count_steps(config, int(config.total_kimg * 1000) - 1) == 1


# What needs networks, found out without building them.


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Options that name a data set of colour images of 8x8, which has a recipe: nothing is chosen for it."""
    folder = tmp_path_factory.mktemp("rehearsal")
    create_dataset(folder, name="ffhq8")
    return "--dataset=ffhq8", f"--data-dir={folder}", "--num-gpus=0", "--minibatch=8", "--dry-run"


@pytest.mark.parametrize(
    "options, words",
    [
        (("--accumulate=3",), "into --accumulate=3 rounds, with 8 on each replica"),
        (("--accumulate=1000",), "--accumulate=1000 rounds"),
        (("--minibatch=6",), "groups of 4 for the minibatch standard deviation"),
        (("--freeze-d=1000", f"--init-from={PICKLE}"), "1000 are too many"),
        (("--config=sg2-e", f"--init-from={PICKLE}"), "is a Generator, and this run trains a StyleGAN2Generator"),
        (("--config=a", "--mixing-prob=0.5"), "--mixing-prob=0"),
    ],
)
def test_dry_run_refuses_what_networks_cannot(data, options, words):
    result = invoke("run_training", [*data, *options])
    assert result.exit_code == 2, (result.output, result.exception)
    assert words in result.stderr and result.stderr.count("\n") == 1


def remarks(*options):
    result = invoke("run_training", options)
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)["remarks"]


def test_dry_run_says_what_a_run_would_begin_with(data):
    assert remarks(*data) == []
    (line,) = remarks(*data, "--accumulate=8", "--no-growing")
    assert line.startswith("At 8x8, --accumulate=8 leaves 1 of 8 images a round")
    (line,) = remarks(*data, "--metrics=ppl_wend", "--snapshot-ticks=2", "--metric-ticks=3")
    assert line.endswith("that is every 6 ticks.")
    first, *copied = remarks(*data, f"--init-from={PICKLE}")
    assert first == f"Starting from {PICKLE}."
    assert [line.partition(":")[0] for line in copied if "copied" in line] == ["G", "D", "Gs"]


def test_dry_run_says_what_it_cannot_know_yet():
    (line,) = remarks("--dataset=cats", "--dry-run", "--num-gpus=0")
    assert line.startswith("Not checked before the data set is there")
