"""The training stream: a pure function of (data set, seed), whatever the resolution, the minibatch and the start."""

import itertools

import numpy as np
import pytest

from datasets.pipeline import epoch_order, training_pipeline
from datasets.tfrecords import DatasetError, MultiResolutionDataset, MultiResolutionWriter

NUM_IMAGES = 50


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Every image is of one colour, its number, and so is its label: each item tells who it is at any resolution."""
    folder = tmp_path_factory.mktemp("data") / "numbers"
    with MultiResolutionWriter(folder) as writer:
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
    ],
)
def test_arguments_out_of_range(dataset, options, words):
    with pytest.raises(ValueError, match=words):
        training_pipeline(dataset, 8, **{"minibatch": 4, "seed": 0, **options})


def test_missing_resolution(dataset):
    with pytest.raises(DatasetError, match="32x32"):
        training_pipeline(dataset, 32, 4, seed=0)
