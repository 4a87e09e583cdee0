"""Rows on disk: an interrupted table goes on where it was, and ends as an undisturbed one."""

import json
import threading
import time

import numpy as np
import pytest

from metrics import rows
from metrics.rows import Rows, fill_rows, open_cache, remove_rows


def compute(indices):
    """Rows that tell their index."""
    return np.stack([indices, indices**2], axis=1)


def expected(count):
    return compute(np.arange(count)).astype(np.float32)


class Recorder:
    """`compute`, which remembers what was asked for, and can be stopped."""

    def __init__(self, stop=None):
        self.batches, self.stop = [], stop

    def __call__(self, indices):
        if len(self.batches) == self.stop:
            raise KeyboardInterrupt
        self.batches.append(indices.tolist())
        return compute(indices)


@pytest.mark.parametrize("batch", [1, 3, 7, 100])
def test_rows_do_not_depend_on_the_batch(tmp_path, batch):
    table = fill_rows(tmp_path / "folder" / "x.f32", 10, 2, compute, batch, "x")
    assert table.shape == (10, 2) and len(table) == 10
    np.testing.assert_array_equal(table[:], expected(10))
    np.testing.assert_array_equal(table[3:5], expected(10)[3:5])
    np.testing.assert_array_equal(table[8:100], expected(10)[8:])
    assert table[10:].shape == (0, 2) and table[:].dtype == np.float32


def test_batches_are_whole(tmp_path):
    recorder = Recorder()
    fill_rows(tmp_path / "x.f32", 5, 2, recorder, 4, "x")
    assert recorder.batches == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert (tmp_path / "x.f32").stat().st_size == 5 * 8


def test_what_is_interrupted_goes_on(tmp_path):
    path = tmp_path / "x.f32"
    with pytest.raises(KeyboardInterrupt):
        fill_rows(path, 10, 2, Recorder(stop=2), 3, "x")
    with path.open("ab") as file:
        file.write(b"torn by kill -9")
    recorder = Recorder()
    np.testing.assert_array_equal(fill_rows(path, 10, 2, recorder, 3, "x")[:], expected(10))
    assert recorder.batches == [[6, 7, 8], [9, 10, 11]]


def test_a_longer_table_takes_what_a_shorter_one_has(tmp_path):
    path = tmp_path / "x.f32"
    fill_rows(path, 5, 2, compute, 4, "x")
    recorder = Recorder()
    np.testing.assert_array_equal(fill_rows(path, 9, 2, recorder, 4, "x")[:], expected(9))
    assert recorder.batches[0] == [4, 5, 6, 7]
    recorder = Recorder()
    np.testing.assert_array_equal(fill_rows(path, 6, 2, recorder, 4, "x")[:], expected(6))
    assert not recorder.batches


class Writer(threading.Thread):
    """Fills 4 rows at `path`: up to the only batch when this is made, the rest in `finish`."""

    def __init__(self, path):
        super().__init__()
        self.path, self.table = path, None
        self.started, self.go_on = threading.Event(), threading.Event()
        self.start()
        assert self.started.wait(60)

    def run(self):
        def slow(indices):
            self.started.set()
            self.go_on.wait(60)
            return compute(indices)

        self.table = fill_rows(self.path, 4, 2, slow, 4, "x")

    def finish(self):
        self.go_on.set()
        self.join(60)
        np.testing.assert_array_equal(self.table[:], expected(4))


def test_another_process_waits(tmp_path, capsys):
    path = tmp_path / "x.f32"
    first = Writer(path)
    recorder, tables = Recorder(), []
    second = threading.Thread(target=lambda: tables.append(fill_rows(path, 4, 2, recorder, 4, "x")))
    second.start()
    said, deadline = "", time.monotonic() + 60
    while not said.endswith("\n"):
        assert time.monotonic() < deadline
        said += capsys.readouterr().err
        time.sleep(0.01)
    assert said == f"Waiting for another process, which is writing {path}.\n"
    first.finish()
    second.join(60)
    assert not recorder.batches
    np.testing.assert_array_equal(tables[0][:], expected(4))


def test_rows_are_removed_by_the_last(tmp_path):
    path = tmp_path / "x.f32"
    writer = Writer(path)
    remove_rows(path)
    assert path.exists()
    writer.finish()
    assert path.stat().st_size == 4 * 8
    remove_rows(path)
    assert not list(tmp_path.iterdir())
    remove_rows(path)


def test_a_table_that_is_deleted_can_still_be_read(tmp_path):
    path = tmp_path / "x.f32"
    table = fill_rows(path, 4, 2, compute, 4, "x")
    path.unlink()
    np.testing.assert_array_equal(table[:], expected(4))


def test_rows_are_read_in_order(tmp_path):
    fill_rows(tmp_path / "x.f32", 4, 2, compute, 4, "x")
    with pytest.raises(ValueError, match="step of 2"):
        Rows(tmp_path / "x.f32", 4, 2)[::2]


def test_lines_of_progress_without_a_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(rows, "_LINE_SECONDS", 0)
    fill_rows(tmp_path / "x.f32", 2000, 2, compute, 1000, "features")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("features: 1,000 of 2,000 images, ") and lines[0].endswith(" min left")


def test_a_cache_of_this_version_is_taken(tmp_path):
    assert open_cache(tmp_path / "new" / "cache") == tmp_path / "new" / "cache"
    assert open_cache(tmp_path / "new" / "cache").is_dir()


@pytest.mark.parametrize("content", [json.dumps({"version": 0}), "{}", "[]", "torn {"])
def test_a_cache_of_another_version_is_refused(tmp_path, content):
    (tmp_path / "cache.json").write_text(content)
    with pytest.raises(ValueError, match="another version") as error:
        open_cache(tmp_path)
    assert "--cache-dir" in str(error.value) and "\n" not in str(error.value)
    assert (tmp_path / "cache.json").read_text() == content
