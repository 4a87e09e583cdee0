"""Files in the formats that data sets are published in become the right pixels, labels and names, or clear errors."""

import gc
import gzip
import io
import os
import pickle
import struct
import sys

import h5py
import lmdb
import numpy as np
import pytest
import scipy.io
from PIL import Image

from datasets.cifar import cifar10, cifar100
from datasets.errors import DatasetError
from datasets.hdf5 import from_hdf5
from datasets.lsun import lsun, lsun_wide
from datasets.mnist import mnist, mnistrgb
from datasets.svhn import svhn


def random_bytes(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def images_of(source):
    """All images, decoded from what a worker process would receive; the last is fetched first."""
    decode = pickle.loads(pickle.dumps(source.decode))
    fetched = {index: pickle.dumps(source.fetch(index)) for index in reversed(range(source.num_images))}
    images = [decode(pickle.loads(fetched[index])) for index in range(source.num_images)]
    assert {image.dtype for image in images} == {np.dtype(np.uint8)}
    return np.stack(images)


def assert_labels(source, classes, num_classes):
    assert source.labels.dtype == np.float32
    np.testing.assert_array_equal(source.labels, np.eye(num_classes)[classes])


def rejects(make, *words):
    """Calls `make`, which must raise a DatasetError of one line with these words."""
    with pytest.raises(DatasetError) as error:
        make()
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message


def damage(path, keep=None, byte=None):
    """Cuts a file after `keep` bytes, or flips the bits of one."""
    data = bytearray(path.read_bytes())
    if byte is not None:
        data[byte] ^= 0xFF
    path.write_bytes(data[:keep])


# MNIST


def write_idx(path, array, magic=None):
    magic = magic or 0x0800 + array.ndim
    data = struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def digits(tmp_path):
    return random_bytes(7, 28, 28)


MNIST_CLASSES = np.array([5, 0, 9, 1, 1, 0, 3], np.uint8)


@pytest.fixture(params=["", ".gz"])
def mnist_files(tmp_path, digits, request):
    images = tmp_path / f"train-images-idx3-ubyte{request.param}"
    labels = tmp_path / f"train-labels-idx1-ubyte{request.param}"
    write_idx(images, digits)
    write_idx(labels, MNIST_CLASSES)
    return images, labels


def test_mnist(tmp_path, digits, mnist_files):
    source = mnist(tmp_path)
    images = images_of(source)
    assert images.shape == (7, 32, 32, 1)
    np.testing.assert_array_equal(images[:, 2:30, 2:30, 0], digits)
    assert images.sum() == digits.sum()
    assert_labels(source, MNIST_CLASSES, 10)
    assert source.label_names == list("0123456789")
    assert source.name(3) == f"{mnist_files[0]}, image 3"


def test_mnistrgb(tmp_path, digits, mnist_files):
    source = mnistrgb(str(tmp_path), num_images=20, seed=5)
    images = images_of(source)
    triples = np.random.RandomState(5).randint(7, size=(20, 3))
    np.testing.assert_array_equal(images[:, 2:30, 2:30], digits[triples].transpose(0, 2, 3, 1))
    assert images.shape == (20, 32, 32, 3)
    assert images.sum() == digits[triples].sum()
    assert (source.labels, source.label_names) == (None, None)
    assert source.name(4) == "{}, images {}, {} and {}".format(mnist_files[0], *triples[4])


def test_mnistrgb_is_the_same_for_a_seed_however_many_are_drawn(tmp_path, mnist_files):
    images = images_of(mnistrgb(tmp_path, num_images=10))
    np.testing.assert_array_equal(images_of(mnistrgb(tmp_path, num_images=5)), images[:5])
    assert not np.array_equal(images_of(mnistrgb(tmp_path, num_images=10, seed=124)), images)


def test_mnistrgb_of_no_images(tmp_path, mnist_files):
    rejects(lambda: mnistrgb(tmp_path, num_images=0), "at least 1", "received 0")


@pytest.mark.parametrize("which", [0, 1])
def test_mnist_missing_file(tmp_path, mnist_files, which):
    mnist_files[which].unlink()
    rejects(lambda: mnist(tmp_path), tmp_path, mnist_files[which].name, "yann.lecun.com")


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("keep", [-1, 9, 3, 0])
def test_mnist_cut_file(tmp_path, mnist_files, which, keep):
    if which == 1 and keep == 9 and mnist_files[1].suffix != ".gz":
        keep = 7  # inside the header
    damage(mnist_files[which], keep)
    rejects(lambda: mnist(tmp_path), mnist_files[which], "Download it again")


@pytest.mark.parametrize("mnist_files", [".gz"], indirect=True)
@pytest.mark.parametrize("byte", [2, 10, 1000])
def test_mnist_damaged_gzip(tmp_path, mnist_files, byte):
    """In its header, the header of a compressed block, and the data."""
    damage(mnist_files[0], byte=byte)
    rejects(lambda: mnist(tmp_path), mnist_files[0], "cut or damaged")


def test_mnist_swapped_files(tmp_path, mnist_files):
    images, labels = (path.read_bytes() for path in mnist_files)
    mnist_files[0].write_bytes(labels)
    mnist_files[1].write_bytes(images)
    rejects(lambda: mnist(tmp_path), mnist_files[0], "2049 instead of 2051")


def test_mnist_header_of_more_images_than_the_file_holds(tmp_path, mnist_files, digits):
    data = struct.pack(">4I", 2051, 2**32 - 1, 2**32 - 1, 2**32 - 1) + digits.tobytes()
    mnist_files[0].write_bytes(data)
    rejects(lambda: mnist(tmp_path), mnist_files[0], "its header says")


def test_mnist_of_another_size(tmp_path, mnist_files):
    write_idx(mnist_files[0], random_bytes(7, 28, 30))
    rejects(lambda: mnist(tmp_path), mnist_files[0], "30x28")


def test_mnist_counts_that_differ(tmp_path, mnist_files):
    write_idx(mnist_files[1], MNIST_CLASSES[:6])
    rejects(lambda: mnist(tmp_path), *mnist_files, "6 labels", "7 images")


def test_mnist_label_out_of_range(tmp_path, mnist_files):
    write_idx(mnist_files[1], MNIST_CLASSES + 1)
    rejects(lambda: mnist(tmp_path), mnist_files[1], "label 10")


# CIFAR


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2 and its NumPy wrote, as in the published files: bytes as strings, and old module names."""

    dispatch = dict(pickle._Pickler.dispatch)

    def __init__(self, file):
        super().__init__(file, protocol=2)

    def save_bytes(self, value):
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    def save_global(self, value, name=None):
        if getattr(value, "__name__", None) == "_reconstruct":
            self.write(pickle.GLOBAL + b"numpy.core.multiarray\n_reconstruct\n")
            self.memoize(value)
        else:
            super().save_global(value, name)

    dispatch[bytes] = save_bytes


def python2_pickle(value):
    buffer = io.BytesIO()
    Python2Pickler(buffer).dump(value)
    return buffer.getvalue()


def python3_pickle(value):
    return pickle.dumps(value, protocol=2)


NAMES = [b"airplane", b"automobile", b"bird", b"cat", b"deer", b"dog", b"frog", b"horse", b"ship", b"truck"]


def write_cifar10(folder, dumps=python2_pickle):
    """Returns the images, [15, 32, 32, 3], and classes; each of the five batches holds three."""
    folder.mkdir()
    images, classes = random_bytes(15, 32, 32, 3), [3, 9, 0, 1, 2] * 3
    for batch in range(5):
        part = slice(3 * batch, 3 * batch + 3)
        data = np.ascontiguousarray(images[part].transpose(0, 3, 1, 2).reshape(3, 3072))
        contents = {b"batch_label": b"training batch", b"labels": classes[part], b"data": data}
        (folder / f"data_batch_{batch + 1}").write_bytes(dumps(contents))
    meta = {b"num_cases_per_batch": 3, b"label_names": NAMES, b"num_vis": 3072}
    (folder / "batches.meta").write_bytes(dumps(meta))
    return images, classes


@pytest.fixture
def cifar_folder(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    write_cifar10(folder)
    return folder


def change_batch(folder, **changes):
    contents = {
        b"data": random_bytes(3, 3072),
        b"labels": [1, 2, 3],
        **{key.encode(): value for key, value in changes.items()},
    }
    (folder / "data_batch_4").write_bytes(python2_pickle(contents))


@pytest.mark.parametrize("dumps", [python2_pickle, python3_pickle, pickle.dumps])
def test_cifar10(tmp_path, dumps):
    folder = tmp_path / "cifar-10-batches-py"
    images, classes = write_cifar10(folder, dumps)
    for given in (folder, tmp_path):
        source = cifar10(given)
        np.testing.assert_array_equal(images_of(source), images)
        assert_labels(source, classes, 10)
        assert source.label_names == [name.decode() for name in NAMES]
        assert source.name(7) == f"{folder / 'data_batch_3'}, image 1"


def test_python2_pickles_are_as_published(cifar_folder):
    """As in the files from Toronto: no trace of Python 3."""
    data = (cifar_folder / "data_batch_1").read_bytes()
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in data
    assert b"_codecs" not in data and b"numpy._core" not in data


def test_cifar10_without_names(cifar_folder):
    (cifar_folder / "batches.meta").unlink()
    assert cifar10(cifar_folder).label_names is None


def test_cifar10_wrong_number_of_names(cifar_folder):
    (cifar_folder / "batches.meta").write_bytes(python2_pickle({b"label_names": NAMES[:9]}))
    rejects(lambda: cifar10(cifar_folder), cifar_folder / "batches.meta", "no 10 names")


@pytest.mark.parametrize("inside", [False, True])
def test_cifar100(tmp_path, inside):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    images = random_bytes(4, 32, 32, 3)
    data = np.ascontiguousarray(images.transpose(0, 3, 1, 2).reshape(4, 3072))
    contents = {b"data": data, b"coarse_labels": [1, 2, 3, 4], b"fine_labels": [99, 0, 50, 7]}
    contents[b"filenames"] = [b"%d.png" % number for number in range(50_000)]  # as long a list as published
    (folder / "train").write_bytes(python2_pickle(contents))
    names = [f"class {number}" for number in range(100)]
    (folder / "meta").write_bytes(python2_pickle({b"fine_label_names": [name.encode() for name in names]}))
    source = cifar100(folder if inside else tmp_path)
    np.testing.assert_array_equal(images_of(source), images)
    assert_labels(source, [99, 0, 50, 7], 100)
    assert source.label_names == names
    assert source.name(2) == f"{folder / 'train'}, image 2"


def test_cifar_missing_file(tmp_path, cifar_folder):
    (cifar_folder / "data_batch_5").unlink()
    rejects(lambda: cifar10(tmp_path), cifar_folder, "data_batch_5", "www.cs.toronto.edu")
    rejects(lambda: cifar100(tmp_path), tmp_path, "train", "www.cs.toronto.edu", "cifar-100-python")


class Attack:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "function, arguments",
    [
        (os.system, ("touch {}",)),
        (eval, ("open({!r}, 'w').close()",)),
        (np.save, ("{}", [1])),
        (np.load, ("{}",)),
    ],
)
@pytest.mark.parametrize("name", ["data_batch_2", "batches.meta"])
def test_cifar_attack_is_refused(tmp_path, cifar_folder, function, arguments, name):
    marker = tmp_path / "attacked"
    arguments = [part.format(str(marker)) if isinstance(part, str) else part for part in arguments]
    path = cifar_folder / name
    path.write_bytes(python3_pickle({b"data": Attack(function, *arguments), b"labels": []}))
    rejects(lambda: cifar10(tmp_path), path, "not data", function.__name__)
    assert not list(tmp_path.glob("attacked*"))
    # The attack is a real one.
    if function is os.system:
        pickle.loads(path.read_bytes())
        assert marker.exists()


def test_cifar_attack_through_codecs_is_refused(cifar_folder):
    path = cifar_folder / "data_batch_1"
    path.write_bytes(b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.")
    rejects(lambda: cifar10(cifar_folder), path, "another encoding than latin1")


@pytest.mark.parametrize("keep", [0, 1, 100, 5000, -1])
def test_cifar_cut_file(cifar_folder, keep):
    path = cifar_folder / "data_batch_3"
    damage(path, keep)
    rejects(lambda: cifar10(cifar_folder), path, "is damaged", "download it again", "www.cs.toronto.edu")


def test_cifar_file_that_is_no_pickle(cifar_folder):
    path = cifar_folder / "data_batch_3"
    path.write_bytes(b"<html>\nNot found\n</html>")
    rejects(lambda: cifar10(cifar_folder), path, "is damaged")


def test_cifar_pickle_that_is_no_dictionary(cifar_folder):
    (cifar_folder / "data_batch_3").write_bytes(python2_pickle([1, 2]))
    rejects(lambda: cifar10(cifar_folder), cifar_folder / "data_batch_3", "no dictionary")


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"data": random_bytes(3, 3000)}, "no images"),
        ({"data": random_bytes(3, 3072).astype(np.int32)}, "no images"),
        ({"data": [1, 2, 3]}, "no images"),
        ({"labels": [1, 2]}, "3 images"),
        ({"labels": None}, "3 images"),
        ({"labels": [1, 2, 10]}, "from 0 to 9"),
        ({"labels": [1, -1, 3]}, "from 0 to 9"),
        ({"labels": [1, [2], 3]}, "from 0 to 9"),
        ({"labels": [1, 2.5, 3]}, "from 0 to 9"),
    ],
)
def test_cifar_wrong_contents(cifar_folder, changes, word):
    change_batch(cifar_folder, **changes)
    rejects(lambda: cifar10(cifar_folder), cifar_folder / "data_batch_4", word)


# SVHN


def write_svhn(path, classes=(1, 10, 9, 3), count=4, **changes):
    """Returns the images, [count, 32, 32, 3]."""
    images = random_bytes(count, 32, 32, 3)
    contents = {"X": images.transpose(1, 2, 3, 0), "y": np.array(classes, np.uint8)[:, None], **changes}
    scipy.io.savemat(path, contents, do_compression=True)
    return images


@pytest.mark.parametrize("name", ["", "train_32x32.mat", "extra_32x32.mat"])
def test_svhn(tmp_path, name):
    path = tmp_path / (name or "train_32x32.mat")
    images = write_svhn(path)
    source = svhn(tmp_path / name)
    np.testing.assert_array_equal(images_of(source), images)
    assert_labels(source, [1, 0, 9, 3], 10)
    assert source.label_names == list("0123456789")
    assert source.name(2) == f"{path}, image 2"


def test_svhn_missing_file(tmp_path):
    rejects(lambda: svhn(tmp_path), tmp_path / "train_32x32.mat", "ufldl.stanford.edu")


@pytest.mark.parametrize("keep", [0, 60, 150, 4000, -1])
def test_svhn_cut_file(tmp_path, keep):
    path = tmp_path / "train_32x32.mat"
    write_svhn(path)
    damage(path, keep)
    rejects(lambda: svhn(tmp_path), path, "Download it")


def test_svhn_damaged_file(tmp_path):
    path = tmp_path / "train_32x32.mat"
    write_svhn(path)
    damage(path, byte=3000)
    rejects(lambda: svhn(tmp_path), path, "cannot be read")


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"X": random_bytes(32, 32, 3)}, "no images 'X'"),
        ({"X": random_bytes(32, 32, 3, 4).astype(float)}, "no images 'X'"),
        ({"classes": (1, 2, 3)}, "4 images 'X', but 3 labels"),
        ({"classes": (1, 2, 3, 11)}, "1 to 10"),
        ({"classes": (1, 2, 3, 0)}, "1 to 10"),
    ],
)
def test_svhn_wrong_contents(tmp_path, changes, word):
    path = tmp_path / "train_32x32.mat"
    write_svhn(path, **changes)
    rejects(lambda: svhn(path), path, word)


# HDF5


def write_hdf5(path, sides=(4, 8, 16, 2), channels=3, **options):
    """Returns the images of each level, {side: [5, side, side, channels]}."""
    levels = {side: random_bytes(5, side, side, channels, seed=side) for side in sides}
    with h5py.File(path, "w") as file:
        for side, images in levels.items():
            file.create_dataset(f"data{side}x{side}", data=images.transpose(0, 3, 1, 2), **options)
        file.create_dataset("other", data=np.zeros((5, 3, 32, 32), np.uint8))
    return levels


@pytest.mark.parametrize("channels", [1, 3])
def test_hdf5_takes_the_largest(tmp_path, channels):
    path = tmp_path / "celeba.h5"
    levels = write_hdf5(path, channels=channels)
    source = from_hdf5(path)
    gc.collect()
    np.testing.assert_array_equal(images_of(source), levels[16])
    assert (source.labels, source.label_names) == (None, None)
    assert source.name(1) == f"{path}, data16x16, image 1"


@pytest.mark.parametrize("word", ["labels", "Labels"])
def test_hdf5_labels(tmp_path, word):
    write_hdf5(tmp_path / "celeba.h5")
    labels = np.random.default_rng(0).random((5, 3), np.float32)
    np.save(tmp_path / f"celeba-{word}.npy", labels)
    np.save(tmp_path / "other-labels.npy", labels[:2])
    np.testing.assert_array_equal(from_hdf5(str(tmp_path / "celeba.h5")).labels, labels)


@pytest.mark.parametrize(
    "labels, word",
    [
        (np.zeros((4, 2)), "labels of 4 images"),
        (np.zeros(5), "[N, label_size]"),
        (np.full((5, 1), "a"), "[N, label_size]"),
        (np.full((5, 1), None), "cannot be read"),
    ],
)
def test_hdf5_wrong_labels(tmp_path, labels, word):
    write_hdf5(tmp_path / "celeba.h5")
    np.save(tmp_path / "celeba-labels.npy", labels)
    rejects(lambda: from_hdf5(tmp_path / "celeba.h5"), tmp_path / "celeba-labels.npy", word)


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_hdf5_cut_file(tmp_path, keep):
    path = tmp_path / "celeba.h5"
    write_hdf5(path)
    damage(path, keep)
    rejects(lambda: from_hdf5(path), path, "cannot be read as HDF5")


def test_hdf5_damaged_image(tmp_path):
    """Only the image that is damaged fails, and it fails in the worker, where it can be skipped."""
    path = tmp_path / "celeba.h5"
    images = write_hdf5(path, sides=[16], chunks=(1, 3, 16, 16), compression="gzip")[16]
    with h5py.File(path) as file:
        chunk = file["data16x16"].id.get_chunk_info_by_coord((2, 0, 0, 0))
    damage(path, byte=chunk.byte_offset + 20)
    source = from_hdf5(path)
    np.testing.assert_array_equal(source.decode(source.fetch(1)), images[1])
    fetched = pickle.loads(pickle.dumps(source.fetch(2)))
    rejects(lambda: source.decode(fetched), "it cannot be read")


def test_hdf5_missing_file(tmp_path):
    rejects(lambda: from_hdf5(tmp_path / "celeba.h5"), tmp_path / "celeba.h5", "is not a file")


def test_hdf5_without_images(tmp_path):
    path = tmp_path / "celeba.h5"
    write_hdf5(path, sides=[])
    rejects(lambda: from_hdf5(path), path, "no datasets data4x4")


@pytest.mark.parametrize("data", [np.zeros((5, 3, 8, 8)), np.zeros((5, 8, 8), np.uint8), np.uint8(1)])
def test_hdf5_wrong_contents(tmp_path, data):
    path = tmp_path / "celeba.h5"
    with h5py.File(path, "w") as file:
        file["data8x8"] = data
    rejects(lambda: from_hdf5(path), path, "data8x8", "uint8 [N, C, H, W]")


# LSUN


def encoded(image, format, **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format, **options)
    return buffer.getvalue()


def write_lmdb(folder, values):
    with lmdb.open(str(folder), map_size=2**24) as database, database.begin(write=True) as transaction:
        for key, value in values.items():
            transaction.put(key, value)


def stripes(height, width):
    """Columns and rows of their own colours: [height, width, 3]."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns * 255 // width, rows * 255 // height, (rows + columns) % 7 * 36], axis=-1).astype(np.uint8)


def lanczos(image, width, height):
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


WEBP = {"format": "webp", "lossless": True}


def test_lsun(tmp_path):
    """The central square, reduced or enlarged; sorted by key; WebP exactly and JPEG nearly."""
    wide, tall, small = stripes(64, 90), stripes(100, 64), stripes(20, 16)
    values = {b"c": encoded(small, **WEBP), b"a": encoded(wide, **WEBP), b"b": encoded(tall, **WEBP)}
    write_lmdb(tmp_path / "db", values | {b"d": encoded(wide, "jpeg", quality=95, subsampling=0)})
    source = lsun(tmp_path / "db", resolution=32)
    images = images_of(source).astype(int)
    np.testing.assert_array_equal(images[0], lanczos(wide[:, 13:77], 32, 32))
    np.testing.assert_array_equal(images[1], lanczos(tall[18:82], 32, 32))
    np.testing.assert_array_equal(images[2], lanczos(small[2:18], 32, 32))
    assert 0 < np.abs(images[3] - images[0]).mean() < 5
    assert (source.labels, source.num_images) == (None, 4)
    assert source.name(1) == f"{tmp_path / 'db'}, key b"


def test_lsun_is_256_by_default(tmp_path):
    image = random_bytes(256, 300, 3)
    write_lmdb(tmp_path / "db", {b"a": encoded(image, **WEBP)})
    np.testing.assert_array_equal(images_of(lsun(str(tmp_path / "db")))[0], image[:, 22:278])


def test_lsun_greyscale_becomes_colour(tmp_path):
    image = stripes(8, 8)[:, :, 0]
    write_lmdb(tmp_path / "db", {b"a": encoded(image, "jpeg")})
    (image,) = images_of(lsun(tmp_path / "db", resolution=8))
    assert image.shape == (8, 8, 3)
    assert np.ptp(image, axis=2).max() == 0 and image.std() > 10


def test_lsun_wide(tmp_path):
    """The part of 4:3 in the middle, between bars of the same height."""
    wide, tall, small = stripes(48, 100), stripes(90, 64), stripes(12, 16)
    images = {b"a": wide, b"b": tall, b"c": small}
    write_lmdb(tmp_path / "db", {key: encoded(image, **WEBP) for key, image in images.items()})
    images = images_of(lsun_wide(tmp_path / "db", width=32, height=24))
    assert images.shape == (3, 32, 32, 3)
    np.testing.assert_array_equal(images[0, 4:28], lanczos(wide[:, 18:82], 32, 24))
    np.testing.assert_array_equal(images[1, 4:28], lanczos(tall[21:69], 32, 24))
    np.testing.assert_array_equal(images[2, 4:28], lanczos(small, 32, 24))
    assert not images[:, :4].any() and not images[:, 28:].any()


def test_lsun_wide_is_512x384_by_default(tmp_path):
    image = random_bytes(384, 512, 3)
    write_lmdb(tmp_path / "db", {b"a": encoded(image, **WEBP)})
    (wide,) = images_of(lsun_wide(tmp_path / "db"))
    assert wide.shape == (512, 512, 3)
    np.testing.assert_array_equal(wide[64:448], image)
    assert not wide[:64].any() and not wide[448:].any()


@pytest.mark.parametrize("make", [lsun, lsun_wide])
def test_lsun_max_images(tmp_path, make):
    write_lmdb(tmp_path / "db", {b"%03d" % number: b"" for number in range(10)})
    assert make(tmp_path / "db", max_images=3).num_images == 3
    assert make(tmp_path / "db", max_images=30).num_images == 10
    assert make(tmp_path / "db", max_images=3).name(2).endswith("key 002")


@pytest.mark.parametrize("make", [lsun, lsun_wide])
def test_lsun_damaged_image(tmp_path, make):
    """It fails in the worker, where it can be skipped."""
    good = encoded(stripes(64, 64), **WEBP)
    write_lmdb(tmp_path / "db", {b"a": good, b"b": good[:-200], b"c": b"no image"})
    source = make(tmp_path / "db")
    assert source.decode(source.fetch(0)).any()
    for index in (1, 2):
        fetched = source.fetch(index)
        rejects(lambda fetched=fetched: source.decode(fetched), "Repair or remove it")


def test_lsun_leaves_the_folder_as_it_is(tmp_path):
    write_lmdb(tmp_path / "db", {b"a": b""})
    (tmp_path / "db" / "lock.mdb").unlink()
    before = (tmp_path / "db" / "data.mdb").read_bytes()
    lsun(tmp_path / "db").fetch(0)
    assert [path.name for path in (tmp_path / "db").iterdir()] == ["data.mdb"]
    assert (tmp_path / "db" / "data.mdb").read_bytes() == before


def test_lsun_missing_database(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        rejects(lambda path=path: lsun(path), path, "no file data.mdb", "yf.io/p/lsun")


@pytest.mark.parametrize("part", [0.98, 0.5, 0.1])
def test_lsun_cut_database(tmp_path, part):
    """To read it would not raise an error, but kill the process."""
    write_lmdb(tmp_path / "db", {b"%d" % number: bytes(200_000) for number in range(10)})
    path = tmp_path / "db" / "data.mdb"
    damage(path, int(part * path.stat().st_size))
    rejects(lambda: lsun(tmp_path / "db"), path, "is cut", "Download it again")


@pytest.mark.parametrize("data", [b"", b"no database" * 1000])
def test_lsun_file_that_is_no_database(tmp_path, data):
    (tmp_path / "data.mdb").write_bytes(data)
    rejects(lambda: lsun(tmp_path), tmp_path, "cannot be read as an LMDB database")


@pytest.mark.parametrize(
    "make, word",
    [
        (lambda path: lsun(path, resolution=100), "power of two"),
        (lambda path: lsun_wide(path, width=100, height=50), "power of two"),
        (lambda path: lsun_wide(path, width=64, height=65), "received 65"),
        (lambda path: lsun_wide(path, width=64, height=31), "received 31"),
        (lambda path: lsun_wide(path, width=64, height=0), "received 0"),
    ],
)
def test_lsun_sizes_that_do_not_fit(tmp_path, make, word):
    write_lmdb(tmp_path / "db", {b"a": b""})
    rejects(lambda: make(tmp_path / "db"), word)


# Packages


@pytest.mark.parametrize(
    "module, package, make", [("scipy.io", "scipy", svhn), ("h5py", "h5py", from_hdf5), ("lmdb", "lmdb", lsun)]
)
def test_missing_package(tmp_path, monkeypatch, module, package, make):
    path = tmp_path / "train_32x32.mat"
    write_svhn(path)
    monkeypatch.setitem(sys.modules, module, None)
    words = rf"^.+ needs the package {package}, of the extra \[data\]\. Install it: pip install {package}\.$"
    with pytest.raises(ValueError, match=words):
        make(path)
