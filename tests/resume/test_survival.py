"""Runs that survive: after whatever has ended one, the same command leads to the weights of an unbroken run."""

import json
import pathlib
import resource
import signal
import time

import numpy as np
import pytest
from processes import finish
from tiny_training import arguments, create_dataset, start

# 3,200 images in minibatches of 8; a tick, with a checkpoint, every 200 of them, and a snapshot every 800.
SETTINGS = ("deterministic=true", "schedule.tick_kimg_base=0.2", "checkpoint_hours=0")
OPTIONS = ("--auto-resume", "--total-kimg=3.2", "--snapshot-ticks=4", "--keep-checkpoints=2", "--keep-snapshots=1")


def wait_for(condition, process):
    """Waits until a condition holds, while the process is at work; returns what the condition gave."""
    deadline = time.monotonic() + 200
    while not (value := condition()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    return value


def stopped_in_mid_save(process, run_dir, name):
    """Whether the process is stopped (SIGSTOP) while it writes such a file; it goes on if that came too late."""
    if not partial(run_dir, name):
        return False
    process.send_signal(signal.SIGSTOP)
    stat = pathlib.Path(f"/proc/{process.pid}/stat")
    wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", process)
    if partial(run_dir, name):
        return True
    process.send_signal(signal.SIGCONT)
    return False


def partial(run_dir, name):
    """What is there of the files that are being written, or that a killed process was writing."""
    return list(run_dir.glob(f".{name}.partial*"))


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
    wait_for(lambda: stopped_in_mid_save(process, run_dir, "checkpoint-000002*"), process)
    kill(process)
    assert partial(run_dir, "checkpoint-000002*")

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
    assert [path.name for path in run_dir.glob("network-snapshot-*")] == ["network-snapshot-000003"]
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


def read_until(process, words):
    """Reads what the process prints up to a line with `words`; returns that line."""
    for line in process.stdout:
        if words in line:
            return line
    raise AssertionError(f"It ended without {words!r}: {process.stderr.read()}")


def checkpoint_names(run_dir):
    return {path.name for path in run_dir.glob("checkpoint-*.npz")}


def saved(run_dir):
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in run_dir.glob("checkpoint-*.npz")}


def test_full_disk(folder):
    """It is reported, the run goes on and saves as soon as there is room; and SIGTERM leaves it ready to be resumed."""
    run_dir = folder / "full" / "00000-tiny-f-cpu"
    options = [f"--outdir={run_dir.parent}", *OPTIONS, "--total-kimg=1000", "--snapshot-ticks=1"]
    process = start(arguments(folder, *options, settings=SETTINGS))
    try:
        wait_for((run_dir / "checkpoint-000001.npz").exists, process)
        # For every file, the log and TensorBoard's among them; then for the largest alone, which are the checkpoints.
        unlimited = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        for size in (1, (run_dir / "checkpoint-000000.npz").stat().st_size - 1):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, unlimited[1]))
            line = read_until(process, "failed: ")
            assert line.startswith("Saving at ") and "File too large. Older checkpoints are intact; make room" in line
            before = saved(run_dir)
            read_until(process, "tick ")
            assert read_until(process, "failed: ") != line
            assert saved(run_dir) == before
            assert len(before) == 2
            for name in before:
                arrays, _ = checkpoint(run_dir / name)
                assert arrays["G_optimizer|updates"] > 0
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
            # By their names alone: the run removes old ones meanwhile.
            wait_for(lambda before=before: checkpoint_names(run_dir) - before.keys(), process)
        process.send_signal(signal.SIGTERM)
        *_, stopped, resuming = process.stdout.read().splitlines()
        assert process.wait(timeout=60) == 0, process.stderr.read()
    finally:
        process.kill()
        process.communicate()
    newest = max(run_dir.glob("checkpoint-*.npz"))
    assert stopped.startswith("Stopped by SIGTERM at ") and stopped.endswith(f"wrote {newest}.")
    assert resuming == f"Resume with: python run_training.py --resume={run_dir}"
    # What the log could not take when it was printed, it has now.
    assert line in log(run_dir)
    assert log(run_dir).count("failed: ") >= 4
    assert not list(run_dir.glob(".*"))
