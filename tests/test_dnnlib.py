"""Helpers of dnnlib: files and folders that are whole or not there, numbered run folders."""

import importlib
import os
import pathlib
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dnnlib.files import atomic_file, atomic_folder, remove_partial
from dnnlib.json_lines import read_records
from dnnlib.run_dir import create_run_dir, find_run_dir, run_dirs

ROOT = pathlib.Path(__file__).parents[1]


def contents(folder):
    """{relative path: text, None for folders}, of everything below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_text() if path.is_file() else None for path in folder.rglob("*")
    }


@pytest.mark.parametrize("kind", [str, pathlib.Path])
def test_atomic_file(tmp_path, kind):
    path = tmp_path / "config.json"
    for text in ("first", "second"):
        with atomic_file(kind(path)) as temporary:
            temporary.write_text(text)
            # Same folder, as a file cannot be moved between disks at once; same suffix, as NumPy appends its own.
            assert (temporary.parent, temporary.suffix) == (tmp_path, ".json")
            assert path.exists() == (text == "second")
        assert contents(tmp_path) == {"config.json": text}


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_atomic_file_keeps_the_old_one(tmp_path, error):
    path = tmp_path / "config.json"
    path.write_text("old")
    with pytest.raises(error), atomic_file(path) as temporary:
        temporary.write_text("half of")
        raise error
    assert contents(tmp_path) == {"config.json": "old"}


def test_atomic_file_that_is_not_written(tmp_path):
    path = tmp_path / "config.json"
    with pytest.raises(ValueError, match="before the first byte"), atomic_file(path):
        raise ValueError("before the first byte")
    assert contents(tmp_path) == {}
    with pytest.raises(FileNotFoundError), atomic_file(path):
        pass
    assert contents(tmp_path) == {}


def test_atomic_folder(tmp_path):
    path = tmp_path / "deeper" / "snapshot"
    for name in ("first", "second"):
        with atomic_folder(path) as temporary:
            assert temporary.parent == path.parent
            assert not list(temporary.iterdir())
            (temporary / name).write_text(name)
            (temporary / "below").mkdir()
            assert path.exists() == (name == "second")
        assert contents(path) == {name: name, "below": None}
        assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_atomic_folder_keeps_the_old_one(tmp_path, error):
    path = tmp_path / "snapshot"
    path.mkdir()
    (path / "G.keras").write_text("old")
    with pytest.raises(error), atomic_folder(path) as temporary:
        (temporary / "G.keras").write_text("half of")
        raise error
    assert contents(tmp_path) == {"snapshot": None, "snapshot/G.keras": "old"}


def test_writers_of_one_file_do_not_mix(tmp_path):
    path = tmp_path / "features.npz"
    with atomic_file(path) as first, first.open("wb") as first_file:
        first_file.write(b"first, ")
        with atomic_file(path) as second, second.open("wb") as second_file:
            second_file.write(b"second")
        assert path.read_bytes() == b"second"
        first_file.write(b"to its end")
        first_file.flush()
    assert path.read_bytes() == b"first, to its end"
    assert list(tmp_path.iterdir()) == [path]


def test_writers_of_one_folder_do_not_mix(tmp_path):
    path = tmp_path / "best"
    path.mkdir()
    with atomic_folder(path) as first:
        (first / "first").write_text("1")
        with atomic_folder(path) as second:
            (second / "second").write_text("2")
        assert contents(path) == {"second": "2"}
    assert contents(tmp_path) == {"best": None, "best/first": "1"}


def test_a_folder_that_comes_between_the_renames(tmp_path, monkeypatch):
    """What another writer has just put there is replaced as well."""
    path, rename = tmp_path / "best", pathlib.Path.rename

    def with_a_neighbour(source, target):
        if target == path and not path.exists():
            monkeypatch.undo()
            (path / "below").mkdir(parents=True)
        return rename(source, target)

    monkeypatch.setattr(pathlib.Path, "rename", with_a_neighbour)
    with atomic_folder(path) as folder:
        (folder / "ours").write_text("1")
    assert contents(tmp_path) == {"best": None, "best/ours": "1"}


def run_python(code, *arguments):
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT).returncode


KILLED = """
import os, signal, sys
from dnnlib import files
with files.{writer}(sys.argv[1]) as temporary:
    {write}
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("writer", "write"),
    [("atomic_file", "temporary.write_text('half of')"), ("atomic_folder", "(temporary / 'D').write_text('half of')")],
)
def test_what_a_killed_process_leaves(tmp_path, writer, write):
    """It is hidden, in nobody's way, and removed by the first process that writes there a day later."""
    assert run_python(KILLED.format(writer=writer, write=write), tmp_path / "fid.npz") == -signal.SIGKILL
    (left_over,) = tmp_path.iterdir()
    assert left_over.name.startswith(".fid.")
    foreign = tmp_path / ".notes.partial.txt"
    foreign.write_text("the user's own")
    write_another = "import sys; from dnnlib import files\nwith files.atomic_file(sys.argv[1]) as t: t.touch()"
    assert run_python(write_another, tmp_path / "other") == 0
    assert left_over.exists()
    for path in (left_over, foreign):
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    assert run_python(write_another, tmp_path / "other") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [".notes.partial.txt", "other"]


def test_remove_partial(tmp_path):
    for name in ("checkpoint-000001.npz", "checkpoint-000002.npz", "config.json"):
        (tmp_path / name).touch()
        with atomic_file(tmp_path / name) as temporary:
            left_over = temporary
            temporary.touch()
        left_over.touch()
    remove_partial(tmp_path, "checkpoint-*")
    kept = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert len(kept) == 1 and kept[0].startswith(".config.")


def test_records_of_several_processes(tmp_path):
    """None is lost, although each of them puts away a torn line before it writes."""
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"torn": ')
    code = """
import pathlib, sys
from dnnlib.json_lines import append_record
for number in range(200):
    append_record(pathlib.Path(sys.argv[1]), {"key": f"{sys.argv[2]}-{number}", "long": "x" * 5000})
"""
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda writer: run_python(code, path, writer), range(4))) == [0] * 4
    assert len(path.read_text().splitlines()) == 800
    found = {record["key"] for record in read_records(path, {"key", "long"})}
    assert found == {f"{writer}-{number}" for writer in range(4) for number in range(200)}


def test_run_dirs_are_numbered(tmp_path):
    outdir = tmp_path / "new" / "results"
    assert create_run_dir(outdir, "ffhq-f-8gpu") == outdir / "00000-ffhq-f-8gpu"
    assert create_run_dir(str(outdir), "digits-cpu") == outdir / "00001-digits-cpu"
    (outdir / "00007-ffhq-f-1gpu").mkdir()
    (outdir / "notes").mkdir()
    (outdir / "123456-no-run").mkdir()
    (outdir / "00009-file").write_text("no folder")
    # After the highest number, even where lower ones have been deleted.
    (outdir / "00000-ffhq-f-8gpu").rmdir()
    assert create_run_dir(outdir, "digits-cpu").name == "00008-digits-cpu"
    assert [(number, path.name) for number, path in run_dirs(outdir)] == [
        (1, "00001-digits-cpu"),
        (7, "00007-ffhq-f-1gpu"),
        (8, "00008-digits-cpu"),
    ]


def test_run_started_at_the_same_moment(tmp_path, monkeypatch):
    other = create_run_dir(tmp_path, "digits")
    listings = [[], [(0, other)]]  # the first is from before the other run
    monkeypatch.setattr("dnnlib.run_dir.run_dirs", lambda outdir: listings.pop(0))
    assert create_run_dir(tmp_path, "digits").name == "00001-digits"
    assert contents(tmp_path) == {"00000-digits": None, "00001-digits": None}


@pytest.mark.parametrize("below", ["", "deeper"])
def test_run_dir_below_a_file(tmp_path, below):
    (tmp_path / "results").write_text("no folder")
    with pytest.raises(OSError, match="results"):
        create_run_dir(tmp_path / "results" / below, "digits")
    assert contents(tmp_path) == {"results": "no folder"}


@pytest.fixture
def outdir(tmp_path):
    for name in ("00000-ffhq-f-8gpu", "00003-digits-cpu", "00012-digits-cpu", "notes"):
        (tmp_path / "results" / name).mkdir(parents=True)
    return tmp_path / "results"


@pytest.mark.parametrize(
    "run, name",
    [
        ("latest", "00012-digits-cpu"),
        ("3", "00003-digits-cpu"),
        ("00003", "00003-digits-cpu"),
        ("0", "00000-ffhq-f-8gpu"),
    ],
)
def test_find_run_dir(outdir, run, name):
    assert find_run_dir(outdir, run) == outdir / name


def test_find_run_dir_by_path(outdir, monkeypatch):
    assert find_run_dir("elsewhere", outdir / "notes") == outdir / "notes"
    monkeypatch.chdir(outdir)
    assert find_run_dir("elsewhere", "00003-digits-cpu") == pathlib.Path("00003-digits-cpu")


@pytest.mark.parametrize("run", ["1", "12x", "-1", "00003", "digits", "latest/", ""])
def test_find_run_dir_that_is_not_there(outdir, run, tmp_path, monkeypatch):
    for path in outdir.glob("00003*"):
        path.rmdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=rf"no run '{run}'.* 2 numbered runs"):
        find_run_dir(outdir, run)


@pytest.mark.parametrize("run", ["latest", "0"])
def test_find_run_dir_without_runs(tmp_path, run):
    with pytest.raises(FileNotFoundError, match="holds 0 numbered runs"):
        find_run_dir(tmp_path / "results", run)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(("given", "taken"), [(None, "1"), ("0", "0")])
def test_tensorflow_computes_with_onednn_unless_told(monkeypatch, given, taken):
    variable = "TF_ENABLE_ONEDNN_OPTS"
    monkeypatch.setenv(variable, given or "")
    if given is None:
        monkeypatch.delenv(variable)
    importlib.reload(importlib.import_module("dnnlib.quiet_tensorflow"))
    assert os.environ[variable] == taken
