"""StyleGAN2's runs, grown or not: with lazy regularization too, a resumed run is the one that was never stopped."""

import json
import shutil

import numpy as np
import pytest
from processes import finish
from tiny_training import arguments, create_dataset, start

# 1,200 images in minibatches of 8. The checkpoint after 75 steps is between two looks at the schedule, and R1 and the
# path length are not due in the next step.
STEPS, STOP = 150, 75
SETTINGS = (
    *("deterministic=true", "loss.r1_interval=4", "loss.path_length_interval=2"),
    "schedule.tick_kimg_base=0.6",
)
SCHEDULES = {
    # 8 x 8 fades in from the first look after 300 images to the end.
    "sg2-d": ("schedule.lod_training_kimg=0.3", "schedule.lod_transition_kimg=2"),
    "sg2-e": ("schedule.lod_initial_resolution=8",),
}


@pytest.fixture(scope="module", params=SCHEDULES)
def runs(request, tmp_path_factory):
    """Folders of an unbroken run, and of one that was resumed from the checkpoint that the first wrote on its way."""
    folder = tmp_path_factory.mktemp(request.param)
    create_dataset(folder / "data")
    name = f"00000-tiny-{request.param}-cpu"
    options, settings = [f"--config={request.param}", "--total-kimg=1.2"], (*SETTINGS, *SCHEDULES[request.param])
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
    # Optimizers are reset as 8 x 8 begins to fade in, at the first look after 300 images: after step 40.
    first = 40 if grown else 0
    assert (progress["lod"] > 0) == grown
    updates = {"G": 2, "D": 4}  # network: interval of its regularizer
    for network, interval in updates.items():
        due = sum(step % interval == 0 for step in range(first, STEPS))
        assert arrays[f"{network}_optimizer|updates"] == STEPS - first + due
