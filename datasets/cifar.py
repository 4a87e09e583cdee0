"""Sources: CIFAR-10 and CIFAR-100, 50,000 training images each, from the files of the "python version".

Those files are pickles, which can run any code when they are read. Here they cannot: they are read as data. The images
are kept in memory once, 154 MB; reading CIFAR-100's one file takes three times that.

Reference:
    Krizhevsky, 2009, "Learning Multiple Layers of Features from Tiny Images"; https://www.cs.toronto.edu/~kriz/cifar.html.
"""

import pathlib

import numpy as np

from datasets.errors import DatasetError
from datasets.source import Source
from dnnlib.pickle_reader import read_pickle

_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_SHAPE = (3, 32, 32)
# CIFAR-100's 50,000 images have two labels and a name each.
_MAX_OPERATIONS = 1_000_000


def cifar10(folder):
    """Returns the Source of CIFAR-10's training images: 32x32x3, with one-hot labels, float32 [N, 10].

    Args:
        folder: `cifar-10-batches-py`, or the folder that holds it.

    Raises:
        DatasetError: A file is missing, damaged or something else.
    """
    files = [f"data_batch_{number}" for number in range(1, 6)]
    return _source(folder, "cifar-10-batches-py", files, "labels", 10, "batches.meta", "label_names")


def cifar100(folder):
    """Returns the Source of CIFAR-100's training images: 32x32x3, with one-hot fine labels, float32 [N, 100].

    Args:
        folder: `cifar-100-python`, or the folder that holds it.

    Raises:
        DatasetError: A file is missing, damaged or something else.
    """
    return _source(folder, "cifar-100-python", ["train"], "fine_labels", 100, "meta", "fine_label_names")


def _source(folder, subfolder, files, labels_key, num_classes, meta, names_key):
    folder = pathlib.Path(folder)
    if (folder / subfolder).is_dir():
        folder = folder / subfolder
    paths = [folder / name for name in files]
    for path in paths:
        if not path.is_file():
            raise DatasetError(
                f"{folder} has no file {path.name}. Download the python version from {_PAGE}, unpack it, and give the "
                f"folder {subfolder}."
            )
    batches = [_read_batch(path, labels_key, num_classes) for path in paths]
    entries = [
        (f"{path}, image {number}", image)
        for path, (images, _) in zip(paths, batches, strict=True)
        for number, image in enumerate(images)
    ]
    return Source(
        num_images=len(entries),
        name=lambda index: entries[index][0],
        fetch=lambda index: entries[index][1],
        decode=_decode,
        labels=np.eye(num_classes, dtype=np.float32)[np.concatenate([labels for _, labels in batches])],
        label_names=_read_names(folder / meta, names_key, num_classes),
        origin=f"from the files in {folder}",
    )


def _decode(planes):
    """Returns an image, uint8 [32, 32, 3], of its planes of red, green and blue, [3072]."""
    return planes.reshape(_SHAPE).transpose(1, 2, 0)


def _read_batch(path, labels_key, num_classes):
    """Returns the images, uint8 [N, 3072], and labels, integers [N], of a file."""
    contents = _read_pickle(path)
    images, labels = contents.get("data"), contents.get(labels_key)
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != (np.prod(_SHAPE),):
        raise DatasetError(
            f"{path} holds no images, uint8 [N, 3072], under the key 'data'. Download it again from {_PAGE}."
        )
    if not isinstance(labels, list) or len(labels) != len(images):
        raise DatasetError(
            f"{path} holds {len(images)} images, but no list of as many labels under the key '{labels_key}'. "
            f"Download it again from {_PAGE}."
        )
    if not all(isinstance(label, int | np.integer) and 0 <= label < num_classes for label in labels):
        raise DatasetError(
            f"{path} holds labels that are no whole numbers from 0 to {num_classes - 1}. "
            f"Download it again from {_PAGE}."
        )
    return images, np.array(labels, int)


def _read_names(path, key, num_classes):
    """Returns the names of the classes, or None if their file is missing."""
    if not path.is_file():
        return None
    names = _read_pickle(path).get(key)
    if not isinstance(names, list) or len(names) != num_classes:
        raise DatasetError(
            f"{path} holds no {num_classes} names under the key '{key}'. Download it again from {_PAGE}, or remove it."
        )
    return [_text(name) for name in names]


def _read_pickle(path):
    """Returns the dictionary that a pickle holds, its keys as str, without running code from the pickle."""
    try:
        contents = read_pickle(path, keys=(str, bytes), operations=_MAX_OPERATIONS)
    except ValueError as error:
        raise DatasetError(f"{error} The files are at {_PAGE}.") from None
    if not isinstance(contents, dict):
        raise DatasetError(f"{path} is a pickle, but holds no dictionary. Download it again from {_PAGE}.")
    return {_text(key): value for key, value in contents.items()}


def _text(value):
    """Text that Python 3 has written as bytes."""
    return value.decode("latin1") if isinstance(value, bytes) else str(value)
