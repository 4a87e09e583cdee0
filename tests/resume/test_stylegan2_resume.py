"""StyleGAN2's runs, grown or with ADA: with lazy regularization too, a resumed run is the one that never stopped."""

import json
import shutil

import numpy as np
import pytest
from processes import finish
from tiny_training import arguments, create_dataset, read_events, start

# 1,184 images in minibatches of 16. The checkpoint after 37 steps is between two looks at the schedule, and R1 and the
# path length are not due in the next step.
STEPS, STOP, MINIBATCH = 74, 37, 16
SETTINGS = (
    *("deterministic=true", "loss.r1_interval=4", "loss.path_length_interval=2"),
    "schedule.tick_kimg_base=0.59",
)
ADA = ("augment=ada", "max_images=40", "ada.pipeline=bgc", "ada.kimg=4", "ada.target=-0.95")
OWN_SETTINGS = {
    # 8 x 8 fades in from the first look after 300 images to the end.
    "sg2-d": ("schedule.lod_training_kimg=0.3", "schedule.lod_transition_kimg=2"),
    # p moves after steps 4, 8, ..., the last time before the checkpoint after step 36.
    "sg2-e": ("schedule.lod_initial_resolution=8", *ADA),
}


@pytest.fixture(scope="module")
def all_runs(tmp_path_factory):
    """{configuration: folders of an unbroken run, and of one that was resumed from the first one's checkpoint}."""
    return {config: train(config, tmp_path_factory.mktemp(config)) for config in OWN_SETTINGS}


@pytest.fixture(params=OWN_SETTINGS)
def runs(request, all_runs):
    return all_runs[request.param]


def train(config, folder):
    """The folders of both runs of a configuration."""
    create_dataset(folder / "data")
    name = f"00000-tiny-{config}-cpu"
    options = [f"--config={config}", "--total-kimg=1.18", f"--minibatch={MINIBATCH}"]
    settings = (*SETTINGS, *OWN_SETTINGS[config])
    # Deterministic operations are a state of the whole process, hence others.
    finish(start(arguments(folder, *options, settings=settings)))
    unbroken, broken = folder / "results" / name, folder / "broken" / name
    broken.mkdir(parents=True)
    for file in ("config.json", "checkpoint-000000.npz"):
        shutil.copy(unbroken / file, broken)
    assert "Resuming" in finish(start([f"--resume={broken}"]))
    return unbroken, broken


def checkpoint(run_dir, kimg):
    """{name: array} and progress of a run's checkpoint."""
    with np.load(run_dir / f"checkpoint-{kimg:06d}.npz") as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays.pop("__progress__")))


def test_checkpoints_are_equal(runs):
    (unbroken, progress), (broken, _) = (checkpoint(run_dir, 1) for run_dir in runs)
    _, stopped = checkpoint(runs[1], 0)
    assert (progress["steps"], stopped["steps"]) == (STEPS, STOP)
    assert unbroken.keys() == broken.keys()
    for name in unbroken:
        np.testing.assert_array_equal(unbroken[name], broken[name], err_msg=name)


def test_the_runs_trained(runs):
    arrays, progress = checkpoint(runs[0], 1)
    assert arrays["path_length"] > 0
    assert all(np.isfinite(array).all() for array in arrays.values())
    grown = "sg2-d" in runs[0].name
    # Optimizers are reset as 8 x 8 begins to fade in, at the first look after 300 images: after step 20.
    first = 20 if grown else 0
    assert (progress["lod"] > 0) == grown
    updates = {"G": 2, "D": 4}  # network: interval of its regularizer
    for network, interval in updates.items():
        due = sum(step % interval == 0 for step in range(first, STEPS))
        assert arrays[f"{network}_optimizer|updates"] == STEPS - first + due


def test_probability_is_resumed(all_runs):
    unbroken, _ = all_runs["sg2-e"]
    stopped, _ = checkpoint(unbroken, 0)
    assert np.any(stopped["ada|sums"] != 0)
    assert checkpoint(unbroken, 1)[0].keys() >= {"ada|p", "ada|sums"}


def test_probability_moved_and_was_told(all_runs):
    unbroken, broken = all_runs["sg2-e"]
    for run_dir, steps in ((unbroken, {592, 1184}), (broken, {1184})):
        events = read_events(run_dir)
        p = {step: value for (tag, step), value in events.items() if tag == "ada/p"}
        assert p.keys() == steps
        # Every move is 64 images of 4,000.
        assert all(value / 0.016 == pytest.approx(round(value / 0.016), abs=1e-4) for value in p.values())
        assert max(p.values()) > 0
        assert all(-1 <= events[tag, 1184] <= 1 for tag in ("signs/real", "signs/R1"))
        (line,) = (line for line in (run_dir / "log.txt").read_text().splitlines() if line.startswith("tick 2 "))
        assert f"  p {p[1184]:.4f} signs {events['signs/real', 1184]:.2f}" in line


def test_only_the_first_images_are_used(all_runs):
    assert "40 images of tiny." in (all_runs["sg2-e"][0] / "log.txt").read_text()
