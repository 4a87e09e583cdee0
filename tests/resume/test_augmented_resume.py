"""A run with ADA that is resumed between two changes of its probability is the run that was never stopped."""

import json
import shutil

import numpy as np
import pytest
from processes import finish
from tiny_training import arguments, create_dataset, read_events, start

# 130 steps of 8 images, R1 in every second. p moves after steps 4, 8, ...; the checkpoint on the way is after step 65.
OPTIONS = ("--augment=ada", "--total-kimg=1.04")
SETTINGS = (
    *(
        "deterministic=true",
        "loss.r1_interval=2",
        "max_images=40",
        "ada.pipeline=bgc",
        "ada.kimg=4",
        "ada.target=-0.95",
    ),
    "schedule.tick_kimg_base=0.52",
)
NAME = "00000-tiny-f-cpu"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of an unbroken run, and of one that was resumed from the checkpoint that the first wrote on its way."""
    folder = tmp_path_factory.mktemp("augmented")
    create_dataset(folder / "data", resolution=4, labels=False)
    # Deterministic operations are a state of the whole process, hence others.
    finish(start(arguments(folder, *OPTIONS, settings=SETTINGS)))
    unbroken, broken = folder / "results" / NAME, folder / "broken" / NAME
    broken.mkdir(parents=True)
    for file in ("config.json", "checkpoint-000000.npz"):
        shutil.copy(unbroken / file, broken)
    assert "Resuming" in finish(start([f"--resume={broken}"]))
    return unbroken, broken


def checkpoint(run_dir, kimg=1):
    """{name: array} and progress of a run's checkpoint."""
    with np.load(run_dir / f"checkpoint-{kimg:06d}.npz") as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays.pop("__progress__")))


def test_checkpoints_are_equal(runs):
    (unbroken, progress), (broken, _) = map(checkpoint, runs)
    stopped, stopped_progress = checkpoint(runs[1], 0)
    assert (progress["steps"], stopped_progress["steps"]) == (130, 65)
    assert np.any(stopped["ada|sums"] != 0)
    assert unbroken.keys() == broken.keys() >= {"ada|p", "ada|sums"}
    for name in unbroken:
        np.testing.assert_array_equal(unbroken[name], broken[name], err_msg=name)


def test_probability_moved_and_was_told(runs):
    for run_dir in runs:
        events = read_events(run_dir)
        p = {step: value for (tag, step), value in events.items() if tag == "ada/p"}
        assert p.keys() == ({520, 1040} if run_dir == runs[0] else {1040})
        # Every move is 32 images of 4,000.
        assert all(value / 0.008 == pytest.approx(round(value / 0.008), abs=1e-4) for value in p.values())
        assert max(p.values()) > 0
        assert all(-1 <= events[tag, 1040] <= 1 for tag in ("signs/real", "signs/R1"))
        (line,) = (line for line in (run_dir / "log.txt").read_text().splitlines() if line.startswith("tick 2 "))
        assert f"  p {p[1040]:.4f} signs {events['signs/real', 1040]:.2f}" in line


def test_only_the_first_images_are_used(runs):
    assert "40 images of tiny." in (runs[0] / "log.txt").read_text()
