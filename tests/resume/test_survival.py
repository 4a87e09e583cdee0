"""Runs that survive: the same command again, after whatever has ended the last, leads to the weights of an unbroken run."""

import json
import os
import resource
import signal
import time

import numpy as np
import pytest
from tiny_training import arguments, create_dataset, finish, start

# 3,200 images in minibatches of 8; a tick, with a snapshot and a checkpoint, every 200 of them.
SETTINGS = ("deterministic=true", "schedule.tick_kimg_base=0.2", "checkpoint_hours=0")
OPTIONS = ("--auto-resume", "--total-kimg=3.2", "--snapshot-ticks=1", "--keep-checkpoints=2")


def wait_for(condition, process):
    """Waits until a condition holds, while the process is at work; returns what the condition gave."""
    deadline = time.monotonic() + 200
    while not (value := condition()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    return value


def stopped_in_mid_save(process, partial):
    """Whether the process is stopped (SIGSTOP) while its file `partial` is there; it goes on if that came too late."""
    if not partial.exists():
        return False
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    if partial.exists():
        return True
    process.send_signal(signal.SIGCONT)
    return False


def kill(process):
    process.kill()
    process.communicate()


def log(run_dir):
    return (run_dir / "log.txt").read_text()


def checkpoint(path):
    """{name: array} and progress, but for times, of a checkpoint."""
    with np.load(path) as file:
        arrays = dict(file)
    progress = json.loads(str(arrays.pop("__progress__")))
    return arrays, {name: value for name, value in progress.items() if not name.endswith("seconds")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("survival")
    create_dataset(folder / "data", resolution=4, labels=False)
    return folder


@pytest.fixture(scope="module")
def runs(folder):
    """Folders of an unbroken run, and of one that always was started by the same command, and what that printed last.

    It was killed in mid-run after it had saved at 1 kimg; then while it saved at 2 kimg for the first time; then what
    it had saved at 1 kimg was damaged, so that only what it had saved before that was left.
    """
    unbroken = start(arguments(folder, f"--outdir={folder / 'unbroken'}", *OPTIONS, settings=SETTINGS))
    command = arguments(folder, *OPTIONS, settings=SETTINGS)
    run_dir = folder / "results" / "00000-tiny-f-cpu"

    process = start(command)
    wait_for((run_dir / "checkpoint-000001.npz").exists, process)
    kill(process)

    process = start(command)
    partial = run_dir / ".checkpoint-000002.partial.npz"
    wait_for(lambda: stopped_in_mid_save(process, partial), process)
    kill(process)
    assert partial.exists()

    newest = run_dir / "checkpoint-000001.npz"
    whole = newest.read_bytes()
    newest.write_bytes(whole[: len(whole) // 2])
    output = finish(start(command))
    finish(unbroken)
    return folder / "unbroken" / "00000-tiny-f-cpu", run_dir, output


def test_one_run_folder(runs):
    _, run_dir, _ = runs
    assert list(run_dir.parent.iterdir()) == [run_dir]
    assert not list(run_dir.glob(".*"))
    assert sorted(path.name for path in run_dir.glob("*.npz")) == ["checkpoint-000002.npz", "checkpoint-000003.npz"]


def test_a_damaged_checkpoint_is_reported(runs):
    _, run_dir, output = runs
    damaged, resuming, *_ = output.splitlines()
    assert damaged.startswith(f"{run_dir / 'checkpoint-000001.npz'} is damaged")
    assert "checkpoint-000000.npz" in damaged
    assert resuming.startswith(f"Resuming {run_dir} at ")
    assert output in log(run_dir)
    assert log(run_dir).count("Resuming") == 2


def test_the_weights_are_those_of_an_unbroken_run(runs):
    (unbroken, progress), (broken, broken_progress) = (checkpoint(path / "checkpoint-000003.npz") for path in runs[:2])
    assert progress == broken_progress
    assert progress["images_seen"] == 3200
    assert unbroken.keys() == broken.keys()
    for name in unbroken:
        np.testing.assert_array_equal(unbroken[name], broken[name], err_msg=name)
    assert unbroken["G_optimizer|updates"] == 400
    for name in ("reals.png", *(f"fakes00000{kimg}.png" for kimg in range(4))):
        assert (runs[0] / name).read_bytes() == (runs[1] / name).read_bytes()


def test_finished_run_has_nothing_to_do(runs, folder):
    _, run_dir, _ = runs
    output = finish(start(arguments(folder, *OPTIONS, settings=SETTINGS)))
    assert output.endswith(f"Nothing to do: {run_dir} has reached 3.2 kimg.\n")


def test_full_disk(folder):
    """A run reports a disk that is full and goes on, saves as soon as there is room, and SIGTERM ends it well."""
    command = arguments(folder, f"--outdir={folder / 'full'}", *OPTIONS, "--total-kimg=1000", settings=SETTINGS)
    process = start(command)
    run_dir = folder / "full" / "00000-tiny-f-cpu"
    wait_for((run_dir / "checkpoint-000001.npz").exists, process)

    unlimited = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    # No file can grow any more, neither the log nor TensorBoard's.
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, unlimited[1]))
    time.sleep(1)
