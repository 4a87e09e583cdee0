"""The training stream: a pure function of (data set, seed), whatever the resolution, the minibatch and the start."""

import itertools
import pathlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from datasets import pipeline
from datasets.errors import DatasetError
from datasets.pipeline import dataset_error, epoch_order, indices_of_items, training_pipeline
from datasets.tfrecords import MultiResolutionDataset, MultiResolutionWriter

NUM_IMAGES = 50


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return create(tmp_path_factory.mktemp("data") / "numbers")


def create(folder, **options):
    """Every image is of one colour, its number, and so is its label: each item tells who it is at any resolution."""
    with MultiResolutionWriter(folder, **options) as writer:
        for number in range(NUM_IMAGES):
            writer.add_image(np.full((16, 16, 3), number, np.uint8))
        writer.set_labels(np.arange(NUM_IMAGES)[:, np.newaxis])
    return MultiResolutionDataset(folder, max_label_size="full")


def numbers(dataset, count, resolution=8, minibatch=7, seed=3, **options):
    """The numbers of the first `count` items, after comparing each image with its label."""
    batches = []
    stream = training_pipeline(dataset, resolution, minibatch, seed, **options)
    for images, labels in itertools.islice(stream.as_numpy_iterator(), -(-count // minibatch)):
        assert images.shape == (minibatch, resolution, resolution, 3)
        assert images.dtype == np.uint8 and labels.dtype == np.float32
        np.testing.assert_array_equal(images, np.broadcast_to(labels[:, :, np.newaxis, np.newaxis], images.shape))
        batches.append(labels[:, 0].astype(int))
    return np.concatenate(batches)[:count]


# A tenth of the data set's size in megabytes is a shuffle window of five images.
SMALL_WINDOW = 0.1 * NUM_IMAGES * (16 * 16 * 3 + 60) / 2**20


@pytest.mark.parametrize("options", [{}, {"shuffle_megabytes": SMALL_WINDOW}], ids=["full-shuffle", "small-window"])
@pytest.mark.parametrize("start", [1, 21, NUM_IMAGES - 1, NUM_IMAGES, 2 * NUM_IMAGES + 20])
def test_start_continues_the_stream(dataset, start, options):
    whole = numbers(dataset, 3 * NUM_IMAGES, **options)
    rest = numbers(dataset, 3 * NUM_IMAGES - start, start=start, **options)
    np.testing.assert_array_equal(rest, whole[start:])


@pytest.mark.parametrize("options", [{}, {"shuffle_megabytes": SMALL_WINDOW}], ids=["full-shuffle", "small-window"])
def test_same_items_at_every_resolution_and_minibatch(dataset, options):
    expected = numbers(dataset, 120, **options)
    np.testing.assert_array_equal(numbers(dataset, 120, resolution=16, **options), expected)
    np.testing.assert_array_equal(numbers(dataset, 120, resolution=4, minibatch=16, **options), expected)
    np.testing.assert_array_equal(numbers(dataset, 120, minibatch=2 * NUM_IMAGES + 1, **options), expected)


def test_every_image_once_an_epoch(dataset):
    epochs = numbers(dataset, 4 * NUM_IMAGES).reshape(4, NUM_IMAGES)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(NUM_IMAGES))
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_seed_decides(dataset):
    np.testing.assert_array_equal(numbers(dataset, 100), numbers(dataset, 100))
    assert not np.array_equal(numbers(dataset, 100), numbers(dataset, 100, seed=4))


@pytest.mark.parametrize("megabytes", [0, 1])
def test_cache_changes_nothing(dataset, megabytes):
    whole = numbers(dataset, 120, cache_megabytes=0.9 * NUM_IMAGES * 8 * 8 * 3 / 2**20)
    np.testing.assert_array_equal(numbers(dataset, 120, cache_megabytes=megabytes), whole)


def test_cached_level_is_read_once(tmp_path, monkeypatch):
    dataset = create(tmp_path / "numbers")
    read, lock = [], threading.Lock()

    def read_images(resolution, indices, original=dataset.read_images):
        with lock:
            read.extend(indices)
        return original(resolution, indices)

    monkeypatch.setattr(dataset, "read_images", read_images)
    numbers(dataset, 5 * NUM_IMAGES)
    np.testing.assert_array_equal(read, np.arange(NUM_IMAGES))
    read.clear()
    numbers(dataset, 5 * NUM_IMAGES, start=17)
    assert not read
    # Of three levels, the two that were asked for last are kept.
    numbers(dataset, 1, resolution=4)
    numbers(dataset, 1, resolution=16)
    read.clear()
    numbers(dataset, 1, resolution=4)
    assert not read
    numbers(dataset, 1)
    np.testing.assert_array_equal(read, np.arange(NUM_IMAGES))
    read.clear()
    numbers(dataset, 2 * NUM_IMAGES, cache_megabytes=0)
    assert len(read) >= 2 * NUM_IMAGES


@pytest.mark.parametrize("options", [{"shards": 3}, {"encoding": "png"}, {"encoding": "png", "shards": 4}])
@pytest.mark.parametrize("cache_megabytes", [0, 1])
def test_same_items_from_any_files(dataset, tmp_path, options, cache_megabytes):
    other = create(tmp_path / "numbers", **options)
    expected = numbers(dataset, 120)
    np.testing.assert_array_equal(numbers(other, 120, cache_megabytes=cache_megabytes), expected)


@pytest.mark.parametrize("start", [0, 24])
def test_workers_share_every_minibatch(dataset, start):
    whole = numbers(dataset, 120, minibatch=12, start=start).reshape(-1, 3, 4)
    for worker in range(3):
        stream = training_pipeline(dataset, 8, 12, seed=3, start=start, worker=worker, num_workers=3)
        labels = [batch[1][:, 0] for batch in itertools.islice(stream.as_numpy_iterator(), 10)]
        np.testing.assert_array_equal(labels, whole[:, worker])


@pytest.mark.parametrize("side, minibatch", [(16, 2), (4, 64)])
def test_batches_read_together_or_alone(dataset, monkeypatch, side, minibatch):
    expected = numbers(dataset, 300, resolution=side, minibatch=minibatch)
    monkeypatch.setattr(pipeline, "_READ_BYTES", 1)
    np.testing.assert_array_equal(numbers(dataset, 300, resolution=side, minibatch=minibatch), expected)


def test_reading_starts_with_the_iterator(dataset, monkeypatch):
    started = threading.Event()

    def read_images(resolution, indices, original=dataset.read_images):
        started.set()
        return original(resolution, indices)

    monkeypatch.setattr(dataset, "read_images", read_images)
    stream = training_pipeline(dataset, 8, 4, seed=0)
    assert not started.wait(0.2)
    iterator = iter(stream)
    assert started.wait(20)
    next(iterator)


def what_ends(stream):
    """What is said of the error that ends a stream within five minibatches; None if there is none.

    Not by `pytest.raises`, which keeps the error with its traceback, and so the iterator, until garbage is collected: a
    thread of the iterator that happens to do it waits for itself, and nobody collects garbage any more.
    """
    try:
        list(itertools.islice(stream.as_numpy_iterator(), 5))
    except tf.errors.OpError as error:
        return str(dataset_error(error))


@pytest.mark.parametrize("cache_megabytes", [0, 1])
def test_damaged_record_is_named(tmp_path, cache_megabytes):
    create(tmp_path / "numbers", shards=2)
    path = tmp_path / "numbers" / "numbers-r03-00001-of-00002.tfrecords"
    data = bytearray(path.read_bytes())
    data[len(data) // 25 * 7 + 100] ^= 1
    path.write_bytes(data)
    stream = training_pipeline(
        MultiResolutionDataset(tmp_path / "numbers"), 8, 10, seed=0, cache_megabytes=cache_megabytes
    )
    message = what_ends(stream)
    assert message.startswith(f"{path} is damaged at record 7: its checksum is wrong")
    assert message.endswith("Create or copy the file again.")
    assert dataset_error(tf.errors.InternalError(None, None, "something else")) is None


def test_files_on_a_file_system_of_tensorflow(dataset):
    url = "ram://pipeline/numbers"
    tf.io.gfile.makedirs(url)
    for path in pathlib.Path(dataset.folder).iterdir():
        tf.io.gfile.copy(str(path), f"{url}/{path.name}", overwrite=True)
    there = MultiResolutionDataset(url, max_label_size="full")
    expected = numbers(dataset, 60)
    for megabytes in (0, 1):
        np.testing.assert_array_equal(numbers(there, 60, cache_megabytes=megabytes), expected)


def test_static_shapes(dataset):
    images, labels = training_pipeline(dataset, 8, 7, seed=0).element_spec
    assert images.shape == (7, 8, 8, 3) and labels.shape == (7, 1)


def test_data_set_without_labels(dataset):
    unlabelled = MultiResolutionDataset(dataset.folder)
    _, labels = next(training_pipeline(unlabelled, 4, 5, seed=0).as_numpy_iterator())
    assert labels.shape == (5, 0)


@pytest.mark.parametrize("window", [1, 2, 5, 49, 50, 1000])
def test_order_is_a_permutation(window):
    np.testing.assert_array_equal(np.sort(epoch_order(50, window, seed=1, epoch=2)), np.arange(50))


def test_order_stays_within_the_window():
    # An image cannot come before it has entered the buffer.
    order = epoch_order(1000, 10, seed=0, epoch=0)
    assert np.all(order <= np.arange(1000) + 9)
    assert np.abs(order - np.arange(1000)).mean() < 20


@pytest.mark.parametrize("window", [1, 7, 999])
def test_order_is_that_of_a_shuffle_buffer(window):
    """What one image after the other would give, with the same draws."""
    random = np.random.RandomState(np.random.MT19937(np.random.SeedSequence([3, 1])))
    buffer, expected = list(range(window)), []
    for incoming, slot in enumerate(random.randint(window, size=1000 - window), start=window):
        expected.append(buffer[slot])
        buffer[slot] = incoming
    random.shuffle(buffer)
    order = epoch_order(1000, window, seed=3, epoch=1)
    assert order.dtype == np.int64
    assert order.tolist() == expected + buffer


def test_an_order_is_computed_by_one_thread(dataset, monkeypatch):
    """Those that come to the same epoch meanwhile wait for it."""
    computed = []

    def slowly(num_images, window, seed, epoch):
        computed.append(epoch)
        time.sleep(0.2)
        return epoch_order(num_images, window, seed, epoch)

    monkeypatch.setattr("datasets.pipeline.epoch_order", slowly)
    indices_of = indices_of_items(dataset, seed=0, shuffle_megabytes=1)
    items = np.arange(NUM_IMAGES)
    with ThreadPoolExecutor(4) as threads:
        orders = list(threads.map(lambda _: indices_of(items).tolist(), range(4)))
    assert computed == [0]
    assert all(sorted(order) == items.tolist() and order == orders[0] for order in orders)


def test_order_never_changes():
    # Written down once: a run must be resumable with another version of this code, and of NumPy.
    assert epoch_order(8, 8, seed=1, epoch=2).tolist() == [4, 6, 7, 3, 5, 0, 2, 1]
    assert epoch_order(8, 3, seed=1, epoch=2).tolist() == [1, 2, 0, 3, 5, 7, 4, 6]


@pytest.mark.parametrize(
    "options, words",
    [
        ({"minibatch": 0}, "minibatch must be at least 1; received 0"),
        ({"seed": -1}, "seed must be at least 0; received -1"),
        ({"start": -5}, "start must be at least 0; received -5"),
        ({"shuffle_megabytes": 0}, "shuffle_megabytes must hold an image"),
        ({"num_workers": 3}, "worker 0 of 3 has no equal share of minibatches of 4"),
        ({"worker": 2, "num_workers": 2}, "worker 2 of 2"),
    ],
)
def test_arguments_out_of_range(dataset, options, words):
    with pytest.raises(ValueError, match=words):
        training_pipeline(dataset, 8, **{"minibatch": 4, "seed": 0, **options})


def test_missing_resolution(dataset):
    with pytest.raises(DatasetError, match="32x32"):
        training_pipeline(dataset, 32, 4, seed=0)
