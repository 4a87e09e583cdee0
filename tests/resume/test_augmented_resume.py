"""A run with ADA that is stopped between two changes of its probability is, resumed, the run that was never stopped."""

import json

import numpy as np
import pytest
from processes import finish
from tiny_training import arguments, create_dataset, read_events, start

# 32 steps of 8 images, R1 in every second. p moves after steps 4, 8, ...; the stop is after step 13.
OPTIONS = ("--augment=ada", "--snapshot-ticks=100")
SETTINGS = (
    *("deterministic=true", "loss.r1_interval=2", "max_images=40", "ada.pipeline=bgc", "ada.kimg=1", "ada.target=-0.5"),
    "schedule.tick_kimg_base=0.128",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of an unbroken run, and of one that was resumed."""
    folder = tmp_path_factory.mktemp("augmented")
    create_dataset(folder / "data", resolution=4, labels=False)
    # Deterministic operations are a state of the whole process, hence others.
    unbroken = start(arguments(folder, *OPTIONS, "--total-kimg=0.256", settings=SETTINGS))
    outdir = folder / "broken"
    stopped = [f"--outdir={outdir}", *OPTIONS, "--total-kimg=0.104"]
    finish(start(arguments(folder, *stopped, settings=SETTINGS)))
    finish(start([f"--outdir={outdir}", "--resume=latest", "--total-kimg=0.256"]))
    finish(unbroken)
    name = "00000-tiny-f-cpu"
    return folder / "results" / name, outdir / name


def checkpoint(run_dir):
    """{name: array} and progress of a run's only checkpoint."""
    with np.load(run_dir / "checkpoint-000000.npz") as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays.pop("__progress__")))


def test_checkpoints_are_equal(runs):
    (unbroken, progress), (broken, _) = map(checkpoint, runs)
    assert progress["steps"] == 32
    assert unbroken.keys() == broken.keys() >= {"ada|p", "ada|sums"}
    for name in unbroken:
        np.testing.assert_array_equal(unbroken[name], broken[name], err_msg=name)


def test_probability_moved_and_was_told(runs):
    for run_dir in runs:
        events = read_events(run_dir)
        p = {step: value for (tag, step), value in events.items() if tag == "ada/p"}
        assert p.keys() >= {128, 256}
        # Every move is 32 images of 1,000.
        assert all(value / 0.032 == pytest.approx(round(value / 0.032), abs=1e-4) for value in p.values())
        assert max(p.values()) > 0
        assert all(-1 <= events[tag, 256] <= 1 for tag in ("signs/real", "signs/R1"))
        (line,) = (line for line in (run_dir / "log.txt").read_text().splitlines() if line.startswith("tick 2 "))
        assert f"  p {p[256]:.4f} signs {events['signs/real', 256]:.2f}" in line


def test_only_the_first_images_are_used(runs):
    assert "40 images of tiny." in (runs[0] / "log.txt").read_text()
