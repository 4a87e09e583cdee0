"""One process at a time writes in a run's folder."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_training import arguments, create_dataset

import run_training
from dnnlib import run_dir as run_dirs
from dnnlib.run_dir import RunLock, is_locked

OWNER = f"process {os.getpid()} on {socket.gethostname()}"


def test_the_second_is_told_who_the_first_is(tmp_path):
    with RunLock(tmp_path) as lock:
        assert lock.remark is None
        assert is_locked(tmp_path)
        with pytest.raises(BlockingIOError, match=f"{tmp_path} is being written by {OWNER}\\."):
            RunLock(tmp_path)
    assert not is_locked(tmp_path)
    with RunLock(tmp_path):
        assert is_locked(tmp_path)


def test_a_killed_process_leaves_no_lock(tmp_path):
    program = "import sys; from dnnlib.run_dir import RunLock; lock = RunLock(sys.argv[1]); print(flush=True); input()"
    command = [sys.executable, "-c", program, str(tmp_path)]
    root = Path(run_dirs.__file__).parents[1]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root) as process:
        process.stdout.readline()
        with pytest.raises(BlockingIOError, match=f"process {process.pid} on"):
            RunLock(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with RunLock(tmp_path):
            pass


def test_a_file_system_without_locks_is_told_of(tmp_path, monkeypatch):
    def refuse(file, operation):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(run_dirs.fcntl, "flock", refuse)
    with RunLock(tmp_path) as lock:
        assert "cannot be locked (Function not implemented)" in lock.remark
        assert not is_locked(tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("locked")
    create_dataset(folder / "data", resolution=4)
    result = CliRunner().invoke(run_training.main, arguments(folder, "--total-kimg=0.01"))
    assert result.exit_code == 0, result.output
    return folder


@pytest.mark.parametrize("way", ["--resume=latest", "--auto-resume", "--auto-resume before the first checkpoint"])
def test_training(folder, tmp_path, way):
    shutil.copytree(folder / "results", tmp_path / "results")
    (run_dir,) = (tmp_path / "results").iterdir()
    option, _, before = way.partition(" ")
    if before:
        for path in run_dir.glob("checkpoint-*"):
            path.unlink()
    given = [] if "=" in option else arguments(folder, "--total-kimg=0.02")
    given += [option, f"--outdir={tmp_path / 'results'}"]
    with RunLock(run_dir):
        files = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
        result = CliRunner().invoke(run_training.main, given)
        assert result.exit_code == 2, result.output
        words = f"{run_dir} is being written by {OWNER}. Wait until that has ended, or stop it first."
        assert result.stderr == f"Error: {words}\n"
        assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == files
        assert list((tmp_path / "results").iterdir()) == [run_dir]
