"""The TFRecord format: what is written is read, and what is damaged is told in one line."""

import hashlib
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.datasets import load_sample_images

from datasets.errors import DatasetError
from datasets.fingerprint import fingerprint
from datasets.tfrecords import MultiResolutionDataset, MultiResolutionWriter, shuffled_order


def random_images(count, side, channels, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, channels), np.uint8)


def write(folder, images, labels=None, **options):
    with MultiResolutionWriter(folder, **options) as writer:
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


@settings(max_examples=15)
@given(
    data=st.data(),
    side=st.sampled_from([4, 8, 16]),
    channels=st.sampled_from([1, 3]),
    count=st.integers(3, 7),
    encoding=st.sampled_from(["raw", "png"]),
    shards=st.integers(1, 3),
)
def test_round_trip(tmp_path_factory, data, side, channels, count, encoding, shards):
    images = data.draw(arrays(np.uint8, (count, side, side, channels)))
    labels = data.draw(
        arrays(np.float32, (count, 2), elements=st.floats(width=32, allow_nan=False, allow_infinity=False))
    )
    folder = write(tmp_path_factory.mktemp("round") / "trip", images, labels, encoding=encoding, shards=shards)
    dataset = MultiResolutionDataset(folder, max_label_size="full")
    np.testing.assert_array_equal(dataset.labels, labels)
    np.testing.assert_array_equal(read(dataset, side), images)
    order = data.draw(st.lists(st.integers(0, count - 1), max_size=10))
    np.testing.assert_array_equal(dataset.read_images(side, order), images[order])
    sums = images.astype(np.float64)
    while side > 4:
        side //= 2
        sums = sums.reshape(count, side, 2, side, 2, channels).mean((2, 4))
        np.testing.assert_array_equal(read(dataset, side), np.rint(sums))


def test_attributes(folder):
    dataset = MultiResolutionDataset(folder)
    assert (dataset.name, dataset.folder) == ("tiny", str(folder))
    assert (dataset.resolution, dataset.resolutions) == (16, (4, 8, 16))
    assert (dataset.num_images, dataset.num_channels) == (5, 3)
    assert [file.path for file in dataset.level(8).files] == [str(folder / "tiny-r03.tfrecords")]


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


def test_first_images_alone(folder):
    whole, part = MultiResolutionDataset(folder, max_label_size="full"), MultiResolutionDataset(folder, None, "full", 2)
    assert part.num_images == 2 < whole.num_images
    np.testing.assert_array_equal(part.labels, whole.labels[:2])
    np.testing.assert_array_equal(read(part, 4), read(whole, 4)[:2])
    np.testing.assert_array_equal(part.keep_level(4), read(whole, 4)[:2])
    assert fingerprint(part) != fingerprint(whole)
    rejects(
        folder,
        f"holds {whole.num_images} images",
        f"max_images={whole.num_images + 1}",
        max_images=whole.num_images + 1,
    )


def test_data_set_without_labels(tmp_path):
    dataset = MultiResolutionDataset(write(tmp_path / "plain", random_images(3, 4, 1)), max_label_size="full")
    assert dataset.labels.shape == (3, 0)


def test_smaller_resolution_ignores_larger_files(folder):
    (folder / "tiny-r04.tfrecords").write_bytes(b"half a download")
    dataset = MultiResolutionDataset(folder, resolution=8)
    assert (dataset.resolution, dataset.resolutions) == (8, (4, 8))
    with pytest.raises(DatasetError, match="16x16"):
        dataset.level(16)


def test_renamed_folder_keeps_its_data_sets_name(folder):
    dataset = MultiResolutionDataset(folder.rename(folder.with_name("moved")), max_label_size="full")
    assert (dataset.name, dataset.label_size) == ("tiny", 3)


def test_same_images_give_the_same_files(tmp_path, folder):
    again = write(tmp_path / "again" / "tiny", random_images(5, 16, 3), np.arange(15).reshape(5, 3))
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


@pytest.mark.parametrize("place", [0, 8, 11, 40, -1])
@pytest.mark.parametrize("encoding", ["raw", "png", "jpeg"])
def test_damage_in_the_middle_is_found_when_read(tmp_path, encoding, place):
    folder = write(tmp_path / "tiny", random_images(9, 16, 3), encoding=encoding, shards=2)
    dataset = MultiResolutionDataset(folder)
    path = folder / "tiny-r04-00001-of-00002.tfrecords"
    offset, size = dataset.level(16).files[1].place(2)
    data = bytearray(path.read_bytes())
    data[offset + place % size] ^= 1
    path.write_bytes(data)
    dataset = MultiResolutionDataset(folder)
    undamaged = dataset.read_images(16, [0, 1, 2, 3, 4, 6, 7, 8])
    assert len(undamaged) == 8
    # Image 5 is record 2 of the second file.
    with pytest.raises(DatasetError, match=r"tiny-r04-00001-of-00002.tfrecords is damaged at record 2: its checksum"):
        dataset.read_images(16, [0, 5])


def test_record_of_another_image_format(folder):
    """Whole and with right checksums, but not what its level holds."""
    path = folder / "tiny-r04.tfrecords"
    records = [bytearray(record) for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()]
    place = records[3].index(b"shape")
    records[3][place : place + 5] = b"sharp"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(bytes(record))
    with pytest.raises(DatasetError, match="damaged at record 3: it holds no image of this level"):
        list(MultiResolutionDataset(folder).read(16))


def test_records_written_in_another_order_of_fields(folder):
    path = folder / "tiny-r02.tfrecords"
    expected = read(MultiResolutionDataset(folder), 4)
    records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number, record in enumerate(records):
            features = tf.train.Example.FromString(record).features
            names = ("data", "shape") if number % 2 else ("shape", "data")
            parts = [tf.train.Features(feature={name: features.feature[name]}).SerializeToString() for name in names]
            # On the wire an Example is a tag, a length (of one byte if it is short), and the entries of its Features.
            body = b"".join(parts)
            assert len(body) < 128 and len(body) + 2 == len(record)
            writer.write(bytes([record[0], len(body)]) + body)
    np.testing.assert_array_equal(read(MultiResolutionDataset(folder), 4), expected)


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_url(folder, tmp_path, encoding):
    folder = write(tmp_path / "here", random_images(9, 16, 3), np.eye(9), encoding=encoding, shards=2)
    url = f"ram://{encoding}/there"
    for path in folder.iterdir():
        tf.io.gfile.makedirs(url)
        tf.io.gfile.copy(str(path), f"{url}/{path.name}")
    here, there = (MultiResolutionDataset(place, max_label_size="full") for place in (folder, url))
    assert (there.folder, there.name) == (url, "here")
    np.testing.assert_array_equal(there.labels, here.labels)
    for side in here.resolutions:
        np.testing.assert_array_equal(there.read_images(side, [8, 0, 3]), here.read_images(side, [8, 0, 3]))


def test_photographs_as_jpeg_are_near(tmp_path):
    image = load_sample_images().images[0][:256, :256]
    dataset = MultiResolutionDataset(write(tmp_path / "photo", [image], encoding="jpeg", quality=95))
    assert dataset.level(256).encoding == "jpeg"
    assert 0 < np.abs(read(dataset, 256)[0].astype(int) - image).mean() < 2


def test_records_are_found_without_their_index(tmp_path):
    folder = write(tmp_path / "tiny", random_images(5, 8, 3), encoding="png", shards=2)
    expected = read(MultiResolutionDataset(folder), 8)
    for path in folder.glob("*.index"):
        path.unlink()
    np.testing.assert_array_equal(read(MultiResolutionDataset(folder), 8), expected)
    path = folder / "tiny-r03-00001-of-00002.tfrecords"
    path.write_bytes(path.read_bytes()[:-1])
    rejects(folder, path, "truncated")


def test_index_of_another_file(tmp_path):
    folder = write(tmp_path / "tiny", random_images(5, 8, 3), encoding="png")
    (folder / "tiny-r03.index").write_bytes((folder / "tiny-r02.index").read_bytes())
    rejects(folder, folder / "tiny-r03.index", "does not belong to")


def test_missing_shard(tmp_path):
    folder = write(tmp_path / "tiny", random_images(5, 8, 3), shards=3)
    (folder / "tiny-r03-00001-of-00003.tfrecords").unlink()
    rejects(folder, "lacks tiny-r03-00001-of-00003.tfrecords")


def test_level_twice(tmp_path):
    folder = write(tmp_path / "tiny", random_images(5, 8, 3), shards=2)
    (folder / "tiny-r03.tfrecords").write_bytes((folder / "tiny-r03-00001-of-00002.tfrecords").read_bytes())
    rejects(folder, "8x8", "in one file and in several")


def test_shards_in_the_wrong_order(tmp_path):
    folder = write(tmp_path / "tiny", random_images(5, 8, 3), shards=2)
    first, second = (folder / f"tiny-r03-0000{shard}-of-00002.tfrecords" for shard in (0, 1))
    first.rename(folder / "other"), second.rename(first), (folder / "other").rename(second)
    rejects(folder, first, "holds 2 images", "3")


def test_manifest_holds_sizes_and_checksums(tmp_path):
    folder = write(tmp_path / "tiny", random_images(5, 8, 3), np.eye(5), encoding="jpeg", quality=80, shards=2)
    manifest = json.loads((folder / "tiny-manifest.json").read_text())
    files = manifest.pop("files")
    assert files == {
        path.name: {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in folder.iterdir()
        if path.name != "tiny-manifest.json"
    }
    assert manifest == {
        "num_images": 5,
        "resolution": 8,
        "num_channels": 3,
        "label_size": 5,
        "encoding": "jpeg",
        "quality": 80,
        "shards": 2,
    }


def test_names_of_labels(tmp_path):
    with MultiResolutionWriter(tmp_path / "named") as writer:
        writer.add_image(np.zeros((4, 4, 1), np.uint8))
        writer.set_labels([[1, 0, 0]], ["Bärte", "Hüte", "Smiling"])
    assert MultiResolutionDataset(tmp_path / "named", max_label_size=2).label_names == ["Bärte", "Hüte"]


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
        ((8, 8, 2), "1, 3 or 4 channels"),
        ((8, 8, 5), "1, 3 or 4 channels"),
        ((8, 8), "1, 3 or 4 channels"),
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
    with pytest.raises(FileExistsError, match="already exists"), MultiResolutionWriter(folder):
        pass
    assert MultiResolutionDataset(folder).num_images == 5


def test_writer_shows_nothing_until_it_is_done(tmp_path):
    out = tmp_path / "out"
    with MultiResolutionWriter(out) as writer:
        writer.add_image(np.zeros((4, 4, 1), np.uint8))
        assert not out.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_fewer_images_than_shards(tmp_path):
    with pytest.raises(DatasetError, match="2 images cannot be spread over 3 shards"):
        write(tmp_path / "out", random_images(2, 4, 1), shards=3)
    assert not list(tmp_path.iterdir())


def test_writer_cleans_up_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), MultiResolutionWriter(tmp_path / "out") as writer:
        writer.add_image(np.zeros((4, 4, 1), np.uint8))
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_leftovers_of_a_killed_writer(tmp_path):
    leftover = tmp_path / "out.partial"
    leftover.mkdir()
    (leftover / "out-r02.tfrecords").write_bytes(b"precious?")
    with pytest.raises(FileExistsError, match=r"out.partial is left over from a command that was killed"):
        write(tmp_path / "out", random_images(1, 4, 1))
    assert (leftover / "out-r02.tfrecords").exists()
