"""The TFRecord format: what is written is read, and what is damaged is told in one line."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from datasets.tfrecords import DatasetError, MultiResolutionDataset, MultiResolutionWriter, shuffled_order


def random_images(count, side, channels, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, channels), np.uint8)


def write(folder, images, labels=None):
    with MultiResolutionWriter(folder) as writer:
        for image in images:
            writer.add_image(image)
        if labels is not None:
            writer.set_labels(labels)
    return pathlib.Path(folder)


def read(dataset, resolution):
    return np.stack(list(dataset.read(resolution)))


@pytest.fixture
def folder(tmp_path):
    """A data set of five 16x16 RGB images with three label columns."""
    labels = np.arange(15, dtype=np.float32).reshape(5, 3)
    return write(tmp_path / "tiny", random_images(5, 16, 3), labels)


def rejects(folder, *words, **options):
    """Opening must fail with a message of one line that contains `words`."""
    with pytest.raises(DatasetError) as error:
        MultiResolutionDataset(folder, **options)
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message


@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data(), side=st.sampled_from([4, 8, 16]), channels=st.sampled_from([1, 3]), count=st.integers(1, 4))
def test_round_trip(tmp_path_factory, data, side, channels, count):
    images = data.draw(arrays(np.uint8, (count, side, side, channels)))
    dataset = MultiResolutionDataset(write(tmp_path_factory.mktemp("round") / "trip", images))
    np.testing.assert_array_equal(read(dataset, side), images)
    records = dataset.read_records(side, range(count))
    np.testing.assert_array_equal(dataset.parse(tf.constant(records), side), images)
    sums = images.astype(np.float64)
    while side > 4:
        side //= 2
        sums = sums.reshape(count, side, 2, side, 2, channels).mean((2, 4))
        np.testing.assert_array_equal(read(dataset, side), np.rint(sums))


def test_attributes(folder):
    dataset = MultiResolutionDataset(folder)
    assert (dataset.name, dataset.folder) == ("tiny", folder)
    assert (dataset.resolution, dataset.resolutions) == (16, (4, 8, 16))
    assert (dataset.num_images, dataset.num_channels) == (5, 3)
    assert dataset.path(8) == folder / "tiny-r03.tfrecords"


@pytest.mark.parametrize("max_label_size, columns", [(0, 0), (2, 2), (3, 3), (7, 3), ("full", 3)])
def test_label_columns(folder, max_label_size, columns):
    dataset = MultiResolutionDataset(folder, max_label_size=max_label_size)
    assert dataset.label_size == columns
    assert dataset.labels.dtype == np.float32
    np.testing.assert_array_equal(dataset.labels, np.arange(15).reshape(5, 3)[:, :columns])


@pytest.mark.parametrize("max_label_size", [-1, "all", None, 1.5])
def test_label_columns_out_of_range(folder, max_label_size):
    with pytest.raises(ValueError, match="max_label_size must be"):
        MultiResolutionDataset(folder, max_label_size=max_label_size)


def test_data_set_without_labels(tmp_path):
    dataset = MultiResolutionDataset(write(tmp_path / "plain", random_images(3, 4, 1)), max_label_size="full")
    assert dataset.labels.shape == (3, 0)


def test_smaller_resolution_ignores_larger_files(folder):
    (folder / "tiny-r04.tfrecords").write_bytes(b"half a download")
    dataset = MultiResolutionDataset(folder, resolution=8)
    assert (dataset.resolution, dataset.resolutions) == (8, (4, 8))
    with pytest.raises(DatasetError, match="16x16"):
        dataset.path(16)


def test_renamed_folder_keeps_its_data_sets_name(folder):
    dataset = MultiResolutionDataset(folder.rename(folder.with_name("moved")), max_label_size="full")
    assert (dataset.name, dataset.label_size) == ("tiny", 3)


def test_same_images_give_the_same_files(tmp_path, folder):
    again = write(tmp_path / "again" / "tiny", random_images(5, 16, 3))
    for path in sorted(again.iterdir()):
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_shuffled_order_is_a_permutation():
    np.testing.assert_array_equal(np.sort(shuffled_order(50)), np.arange(50))


def test_missing_resolution(folder):
    rejects(folder, "32x32", "4x4, 8x8, 16x16", resolution=32)


def test_missing_folder(tmp_path):
    rejects(tmp_path / "none", tmp_path / "none", "is not a folder")


def test_folder_without_records(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing here")
    rejects(tmp_path, tmp_path, "no NAME-rNN.tfrecords")


def test_two_data_sets_in_a_folder(folder):
    (folder / "other-r02.tfrecords").write_bytes((folder / "tiny-r02.tfrecords").read_bytes())
    rejects(folder, "other, tiny")


@pytest.mark.parametrize("kept", [0, 5, 11, 100, -1, -900])
def test_truncated_file(folder, kept):
    path = folder / "tiny-r04.tfrecords"
    path.write_bytes(path.read_bytes()[:kept])
    rejects(folder, path)


def test_file_truncated_between_records(folder):
    path = folder / "tiny-r03.tfrecords"
    record_bytes = path.stat().st_size // 5
    path.write_bytes(path.read_bytes()[: 4 * record_bytes])
    rejects(folder, path, folder / "tiny-r04.tfrecords", "4 images", "5 of")


def test_level_of_another_side(folder):
    path = folder / "tiny-r03.tfrecords"
    path.write_bytes((folder / "tiny-r02.tfrecords").read_bytes())
    rejects(folder, path, "no 8x8 images")


def test_file_that_is_no_tfrecord(folder):
    path = folder / "tiny-r02.tfrecords"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    rejects(folder, path, "'shape' and 'data'")


@pytest.mark.parametrize(
    "features",
    [
        {"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[bytes(192)]))},
        {"data": tf.train.Feature(bytes_list=tf.train.BytesList(value=[bytes(192)]))},
    ],
)
def test_foreign_features(folder, features):
    path = folder / "tiny-r03.tfrecords"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    rejects(folder, path, "'shape' and 'data'")


def test_records_that_are_no_examples(folder):
    path = folder / "tiny-r03.tfrecords"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"\xff" * 230)
    rejects(folder, path, "'shape' and 'data'")


def test_zeros_at_the_end(folder):
    # A copy that was interrupted after the file had been given its full length.
    path = folder / "tiny-r04.tfrecords"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    rejects(folder, path, "damaged")


def test_damage_in_the_middle_is_found_when_read(folder):
    path = folder / "tiny-r04.tfrecords"
    record_bytes = path.stat().st_size // 5
    data = bytearray(path.read_bytes())
    data[2 * record_bytes : 3 * record_bytes] = bytes(record_bytes)
    path.write_bytes(data)
    dataset = MultiResolutionDataset(folder)
    with pytest.raises(DatasetError, match=r"tiny-r04.tfrecords is damaged at image 2"):
        dataset.read_records(16, [0, 2])


@pytest.mark.parametrize("count", [0, 4, 6])
def test_labels_of_another_length(folder, count):
    path = folder / "tiny-rxx.labels"
    with open(path, "wb") as file:
        np.save(file, np.zeros((count, 3), np.float32))
    rejects(folder, path, f"{count} images", "5")


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00"])
def test_labels_that_are_no_array(folder, content):
    path = folder / "tiny-rxx.labels"
    path.write_bytes(content)
    rejects(folder, path, "no .npy file")


def test_truncated_labels(folder):
    path = folder / "tiny-rxx.labels"
    path.write_bytes(path.read_bytes()[:-4])
    rejects(folder, path, "truncated")


@pytest.mark.parametrize("labels", [np.zeros(5, np.float32), np.zeros((5, 3), "U1")])
def test_labels_of_another_kind(folder, labels):
    path = folder / "tiny-rxx.labels"
    with open(path, "wb") as file:
        np.save(file, labels)
    rejects(folder, path, "[5, label_size]")


@pytest.mark.parametrize(
    "shape, words",
    [
        ((8, 16, 3), "square"),
        ((12, 12, 3), "power of two"),
        ((2, 2, 3), "at least 4"),
        ((8, 8, 4), "1 or 3 channels"),
        ((8, 8), "1 or 3 channels"),
    ],
)
def test_writer_rejects_shapes(tmp_path, shape, words):
    with pytest.raises(DatasetError, match=words), MultiResolutionWriter(tmp_path / "out") as writer:
        writer.add_image(np.zeros(shape, np.uint8))
    assert not list(tmp_path.iterdir())


def test_writer_rejects_floats(tmp_path):
    with (
        pytest.raises(DatasetError, match="uint8; received float64"),
        MultiResolutionWriter(tmp_path / "out") as writer,
    ):
        writer.add_image(np.zeros((4, 4, 1)))


@pytest.mark.parametrize("second", [(16, 16, 3), (8, 8, 1)])
def test_writer_rejects_unequal_images(tmp_path, second):
    with pytest.raises(DatasetError, match="must be alike"), MultiResolutionWriter(tmp_path / "out") as writer:
        writer.add_image(np.zeros((8, 8, 3), np.uint8))
        writer.add_image(np.zeros(second, np.uint8))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(4, 2), (6, 2), (5,)])
def test_writer_rejects_labels(tmp_path, shape):
    with pytest.raises(DatasetError, match=r"\[5, label_size\]"):
        write(tmp_path / "out", random_images(5, 4, 1), np.zeros(shape))
    assert not list(tmp_path.iterdir())


def test_writer_needs_images(tmp_path):
    with pytest.raises(DatasetError, match="no images"):
        write(tmp_path / "out", [])
    assert not list(tmp_path.iterdir())


def test_writer_refuses_an_existing_folder(folder):
    with pytest.raises(DatasetError, match="already exists"):
        MultiResolutionWriter(folder)
    assert MultiResolutionDataset(folder).num_images == 5


def test_writer_shows_nothing_until_it_is_done(tmp_path):
    out = tmp_path / "out"
    with MultiResolutionWriter(out) as writer:
        writer.add_image(np.zeros((4, 4, 1), np.uint8))
        assert not out.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_writer_cleans_up_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), MultiResolutionWriter(tmp_path / "out") as writer:
        writer.add_image(np.zeros((4, 4, 1), np.uint8))
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_leftovers_of_a_killed_writer(tmp_path):
    leftover = tmp_path / "out.partial"
    leftover.mkdir()
    (leftover / "out-r02.tfrecords").write_bytes(b"precious?")
    with pytest.raises(DatasetError, match=r"out.partial is left over from a writer that was killed"):
        write(tmp_path / "out", random_images(1, 4, 1))
    assert (leftover / "out-r02.tfrecords").exists()
