"""From sources to data sets: order, labels, what is skipped, the disk, and processes that die."""

import contextlib
import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple

import numpy as np
import pytest

from datasets import convert
from datasets.convert import create_dataset, plan_dataset
from datasets.errors import DatasetError
from datasets.pool import process_map
from datasets.source import Source
from datasets.tfrecords import MultiResolutionDataset, shuffled_order

ROOT = pathlib.Path(__file__).parents[2]


def decode(fetched):
    """Numbers below zero are damaged images; all others give an image of this number."""
    number, side = fetched
    if number < 0:
        raise DatasetError(f"damaged by {-number}")
    return np.full((side, side, 3), number, np.uint8)


def numbers(values, side=8, labels=False):
    """A Source of one image for each number."""
    return Source(
        num_images=len(values),
        name=lambda index: f"number {values[index]}",
        fetch=lambda index: (values[index], side),
        decode=decode,
        labels=np.array(values)[:, np.newaxis] if labels else None,
        label_names=["number"] if labels else None,
    )


def photographs(count):
    """A Source of smooth images of 64x64, which compress to less than half."""
    slopes = np.random.default_rng(0).uniform(0.5, 1.5, (count, 3))
    ramp = np.add.outer(np.arange(64), np.arange(64))[..., np.newaxis]
    pictures = [(ramp * slope).astype(np.uint8) for slope in slopes]
    return Source(count, str, pictures.__getitem__, np.asarray)


def read(folder, resolution):
    return np.stack(list(MultiResolutionDataset(folder).read(resolution)))


@pytest.mark.parametrize("shuffle", [True, False])
def test_order_and_labels(tmp_path, shuffle):
    created = create_dataset(tmp_path / "out", numbers(range(20), labels=True), shuffle=shuffle, workers=1)
    assert created[:2] == (20, [])
    order = shuffled_order(20) if shuffle else np.arange(20)
    np.testing.assert_array_equal(read(tmp_path / "out", 4)[:, 0, 0, 0], order)
    dataset = MultiResolutionDataset(tmp_path / "out", max_label_size="full")
    np.testing.assert_array_equal(dataset.labels[:, 0], order)
    assert dataset.label_names == ["number"]


def test_max_images_takes_the_first(tmp_path):
    create_dataset(tmp_path / "out", numbers(range(20), labels=True), max_images=5, workers=1)
    dataset = MultiResolutionDataset(tmp_path / "out", max_label_size="full")
    np.testing.assert_array_equal(dataset.labels[:, 0], shuffled_order(5))


@pytest.mark.parametrize("options", [{}, {"encoding": "png", "shards": 2}])
def test_any_number_of_processes_gives_the_same_files(tmp_path, monkeypatch, options):
    monkeypatch.setattr(convert, "_MAX_TASK_IMAGES", 3)
    for workers in (1, 2):
        create_dataset(tmp_path / str(workers) / "out", photographs(20), workers=workers, **options)
    ones = sorted((tmp_path / "1" / "out").iterdir())
    assert len(ones) == (21 if options else 6)
    for path in ones:
        assert path.read_bytes() == (tmp_path / "2" / "out" / path.name).read_bytes()


@pytest.mark.parametrize("workers", [1, 2])
def test_stops_at_an_image_that_cannot_be_used(tmp_path, workers):
    with pytest.raises(DatasetError, match=r"^number -7: damaged by 7$"):
        create_dataset(tmp_path / "out", numbers([1, 2, -7, 3]), workers=workers)
    assert not list(tmp_path.iterdir())


def test_skips_images_that_cannot_be_used(tmp_path):
    values = [-1, 5, 6, -2, 7, 8, -3]
    created = create_dataset(
        tmp_path / "out", numbers(values, labels=True), shuffle=False, workers=1, on_error="skip", encoding="png"
    )
    assert created[:2] == (4, [(f"number {-n}", f"damaged by {n}") for n in (1, 2, 3)])
    dataset = MultiResolutionDataset(tmp_path / "out", max_label_size="full")
    np.testing.assert_array_equal(dataset.labels[:, 0], [5, 6, 7, 8])
    np.testing.assert_array_equal(read(tmp_path / "out", 8)[:, 0, 0, 0], [5, 6, 7, 8])
    lines = (tmp_path / "out" / "out-skipped.txt").read_text().splitlines()
    assert lines == [f"number {-n}\tdamaged by {n}" for n in (1, 2, 3)]


def test_nothing_left_to_keep(tmp_path):
    with pytest.raises(DatasetError, match="number -2: damaged by 2"):
        create_dataset(tmp_path / "out", numbers([-1, -2]), shuffle=False, on_error="skip", workers=1)
    assert not list(tmp_path.iterdir())


def test_image_unlike_the_first(tmp_path):
    source = Source(2, ["a.png", "b.png"].__getitem__, [(1, 8), (1, 16)].__getitem__, decode)
    with pytest.raises(
        DatasetError, match=r"b.png: it is 16x16 with 3 channels, but the first is 8x8.*--on-error=skip"
    ):
        create_dataset(tmp_path / "out", source, shuffle=False, workers=1)
    assert not list(tmp_path.iterdir())


def test_size_that_is_no_power_of_two(tmp_path):
    with pytest.raises(DatasetError, match="number 1: Images must be square with a side that is a power of two"):
        create_dataset(tmp_path / "out", numbers([1], side=12), workers=1)


def test_labels_of_another_number_of_images(tmp_path):
    source = Source(3, str, [(1, 8)] * 3, decode, labels=np.zeros((2, 4)))
    with pytest.raises(DatasetError, match=r"labels of shape \[2, 4\] for 3 images"):
        create_dataset(tmp_path / "out", source, workers=1)


def test_empty_source(tmp_path):
    with pytest.raises(DatasetError, match="no images"):
        create_dataset(tmp_path / "out", numbers([]), workers=1)


@pytest.mark.parametrize("encoding, tolerance", [("raw", 0.02), ("png", 0.3), ("jpeg", 0.3)])
def test_plan_tells_the_size(tmp_path, encoding, tolerance):
    plan = plan_dataset(tmp_path / "out", photographs(100), encoding=encoding)
    assert (plan.shape, plan.labels) == ((64, 64, 3), None)
    assert not list(tmp_path.iterdir())
    create_dataset(tmp_path / "out", photographs(100), encoding=encoding, workers=1)
    size = sum(path.stat().st_size for path in (tmp_path / "out").glob("*.tfrecords"))
    assert size <= plan.num_bytes < (1 + tolerance) * size


def test_disk_that_is_too_small(tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    needed = 100 * sum(3 * side**2 for side in (4, 8))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(needed))
    with pytest.raises(OSError, match=r"needs about 42.2 KiB, .* only 23.4 KiB .*--encoding=png"):
        create_dataset(tmp_path / "new" / "out", numbers(range(100)), workers=1)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(needed * 2))
    create_dataset(tmp_path / "new" / "out", numbers(range(100)), workers=1)


def test_existing_data_set_is_refused_before_the_source_is_read(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError, match="already exists"):
        create_dataset(tmp_path / "out", numbers([]), workers=1)


def test_few_results_wait_however_many_tasks_there_are():
    taken = itertools.count(1)
    asked = []
    results = process_map(abs, map(lambda n: asked.append(n) or -n, range(1000)), workers=2)
    for result, number in zip(results, taken, strict=False):
        assert result == number - 1
        assert len(asked) - number <= 3
        if number == 50:
            results.close()
            break
    assert len(asked) < 60


def test_worker_that_dies():
    with pytest.raises(DatasetError, match=r"lack of memory.*--workers"):
        list(process_map(os._exit, [1, 1, 1], workers=2))


def test_workers_need_no_tensorflow():
    """Every source's decode function, and what a task runs, is in a module that does without."""
    modules = (
        "alignment",
        "avatars",
        "celeba",
        "cifar",
        "digits",
        "ffhq",
        "hdf5",
        "image_folder",
        "lsun",
        "mnist",
        "source",
        "svhn",
    )
    imports = ", ".join(f"datasets.{module}" for module in modules)
    command = [sys.executable, "-c", f"import sys, {imports}; print('tensorflow' in sys.modules)"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == "False\n"


SLOW = """
import time, numpy as np
from datasets.convert import create_dataset
from datasets.source import Source

def fetch(index):
    time.sleep(0.002)
    return np.zeros((64, 64, 3), np.uint8)

create_dataset({out!r}, Source(100_000, str, fetch, np.asarray), shuffle=False, workers=2)
"""


@pytest.fixture
def slow(tmp_path):
    """(process, OUT) of a conversion that is in the middle of its work."""
    out = tmp_path / "out"
    command = [sys.executable, "-c", SLOW.format(out=str(out))]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True)
    first = tmp_path / "out.partial" / "out-r06.tfrecords"
    wait_until(lambda: process.poll() is not None or (first.exists() and first.stat().st_size), 120)
    assert process.poll() is None, process.stderr.read()
    yield process, out
    if process.poll() is None:
        process.kill()
    process.communicate()


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def members(session):
    """The processes of a session that have not ended."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.append(int(path.parent.name))
    return found


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="looks for processes in /proc")
def test_killed_in_the_middle(slow, tmp_path):
    process, out = slow
    assert len(members(process.pid)) >= 3
    process.kill()
    process.wait()
    assert not out.exists()
    with pytest.raises(FileExistsError, match=r"out.partial is left over from a command that was killed.*delete it"):
        create_dataset(out, numbers([1]), workers=1)
    wait_until(lambda: not members(process.pid), 60)
    shutil.rmtree(tmp_path / "out.partial")
    create_dataset(out, numbers([1]), workers=1)


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="looks for processes in /proc")
def test_interrupted_in_the_middle(slow, tmp_path):
    process, _ = slow
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does
    assert process.wait(60) != 0
    wait_until(lambda: not members(process.pid), 60)
    assert not list(tmp_path.iterdir())
