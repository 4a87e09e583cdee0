"""A run that is stopped and resumed is the run that was never stopped, bit for bit."""

import json
import re
import shutil
import signal
import time

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from processes import finish
from tiny_training import arguments, create_dataset, read_events, start

import run_training

# 1,600 images in minibatches of 8, with a look at the schedule every 32: from the look at 96 on, 8 x 8 fades in. Ticks
# end at 152, 304, 456, ...
SETTINGS = (
    "deterministic=true",
    "max_label_size=full",
    "schedule.lod_training_kimg=0.08",
    "schedule.lod_transition_kimg=2",
    "schedule.tick_kimg_base=0.15",
)
OPTIONS = ("--total-kimg=1.6", "--snapshot-ticks=100")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of an unbroken run, and of one that ended at 80 images, was resumed, stopped by SIGTERM, and resumed."""
    folder = tmp_path_factory.mktemp("resume")
    create_dataset(folder / "data")
    outdir = folder / "broken"
    # Deterministic operations are a state of the whole process, hence others. Graphs are those of users.
    unbroken = start(arguments(folder, *OPTIONS, settings=SETTINGS), optimized=True)
    first = arguments(folder, f"--outdir={outdir}", *OPTIONS, "--total-kimg=0.08", settings=SETTINGS)
    finish(start(first, optimized=True))
    resume = [f"--outdir={outdir}", "--resume=latest", "--total-kimg=1.6"]
    stopped = start(resume, optimized=True)
    (run_dir,) = outdir.iterdir()
    while "tick 1 " not in (run_dir / "log.txt").read_text().partition("Resuming")[2]:
        assert stopped.poll() is None, stopped.communicate()
        time.sleep(0.005)
    stopped.send_signal(signal.SIGTERM)
    assert "Stopped by SIGTERM" in finish(stopped)
    finish(start(resume, optimized=True))
    finish(unbroken)
    return folder / "results" / "00000-tiny-f-cpu", run_dir


def checkpoint(run_dir):
    """{name: array} and progress of a run's last checkpoint."""
    with np.load(run_dir / "checkpoint-000001.npz") as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays.pop("__progress__")))


def test_the_stops_were_where_they_hurt(runs):
    """Between two looks at the schedule, within a tick, with a level change to come; and anywhere in a fade."""
    _, broken = runs
    log = (broken / "log.txt").read_text()
    first, second = map(float, re.findall(r"Resuming .* at ([\d.]+) kimg", log))
    stop = float(re.search(r"Stopped by SIGTERM at ([\d.]+) kimg", log)[1])
    assert first == 0.1  # 80 images
    assert first <= stop == second < 1.6
    assert re.findall(r"tick 1 .* lod ([\d.]+)", log) == ["1.00", "0.98"]


def test_checkpoints_are_equal(runs):
    (unbroken, unbroken_progress), (broken, broken_progress) = map(checkpoint, runs)
    assert unbroken.keys() == broken.keys()
    names = "|".join(unbroken)
    for part in ("G|", "D|", "Gs|", "w_average", "noise", "|m", "|v", "G_optimizer|updates", "D_optimizer|updates"):
        assert part in names
    for name in unbroken:
        np.testing.assert_array_equal(unbroken[name], broken[name], err_msg=name)
    for progress in (unbroken_progress, broken_progress):
        assert progress.pop("seconds") > progress.pop("tick_seconds") > 0
    assert unbroken_progress == broken_progress
    assert unbroken_progress["images_seen"] == 1600


def test_the_run_trained(runs):
    arrays, _ = checkpoint(runs[0])
    assert arrays["G_optimizer|updates"] == arrays["D_optimizer|updates"] == (1600 - 96) / 8  # since the level changed
    assert any(np.any(array != 0) for name, array in arrays.items() if name.startswith("G|") and name.endswith("|m"))


@pytest.mark.parametrize("network", ["G", "D", "Gs"])
def test_networks_are_equal(runs, network):
    unbroken, broken = (
        keras.saving.load_model(run_dir / "network-snapshot-000001" / f"{network}.keras") for run_dir in runs
    )
    for ours, theirs in zip(unbroken.get_weights(), broken.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_pictures_are_equal(runs):
    unbroken, broken = runs
    for name in ("reals.png", "fakes000001.png"):
        assert (unbroken / name).read_bytes() == (broken / name).read_bytes()


def test_losses_are_equal(runs):
    unbroken, broken = map(read_events, runs)
    tags = ("G_loss", "D_loss", "penalty", "scores/real", "scores/fake", "lod", "fade", "minibatch", "G_lrate")
    compared = {key: value for key, value in unbroken.items() if key[0] in tags}
    assert {step for _, step in compared} == {*range(152, 1600, 152), 1600}
    assert compared == {key: broken[key] for key in compared}

    def printed(folder):
        lines = (folder / "log.txt").read_text().splitlines()
        return [re.sub(r" time .* data wait \d+%", "", line) for line in lines if line.startswith("tick")]

    whole, parts = map(printed, runs)
    # Where the first part ended, it printed the tick that it had begun.
    (extra,) = set(parts) - set(whole)
    assert extra.startswith("tick 1    kimg 0.1 ")
    parts.remove(extra)
    assert parts == whole


# The rest needs no process of its own.


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder with a finished run of 0.04 kimg in `results`."""
    folder = tmp_path_factory.mktemp("finished")
    create_dataset(folder / "data", resolution=4, labels=False)
    result = CliRunner().invoke(run_training.main, arguments(folder, "--total-kimg=0.04"))
    assert result.exit_code == 0, (result.output, result.exception)
    return folder


@pytest.fixture
def own(finished, tmp_path):
    """(copy of the run's folder, how to resume it)."""
    shutil.copytree(finished / "results", tmp_path / "results")
    return tmp_path / "results" / "00000-tiny-f-cpu", [f"--outdir={tmp_path / 'results'}", "--resume=latest"]


def test_finished_run(own):
    run_dir, resume = own
    log = (run_dir / "log.txt").read_text()
    files = {
        path: path.stat().st_mtime_ns for path in run_dir.rglob("*.*") if path.suffix in (".npz", ".keras", ".png")
    }
    assert len(files) == 6
    result = CliRunner().invoke(run_training.main, resume)
    assert result.exit_code == 0
    assert result.stdout.endswith(f"Nothing to do: {run_dir} has reached 0.04 kimg.\n")
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert (run_dir / "log.txt").read_text() == log + result.stdout


def test_checkpoint_of_other_shapes(own):
    run_dir, resume = own
    path = run_dir / "config.json"
    text = path.read_text()
    for ours, other in (('"fmap_max": 8', '"fmap_max": 6'), ('"mapping_layers": 2', '"mapping_layers": 3')):
        assert ours in text
        path.write_text(text.replace(ours, other))
        result = CliRunner().invoke(run_training.main, resume)
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert f"{run_dir / 'checkpoint-000000.npz'} belongs to another configuration" in result.stderr
