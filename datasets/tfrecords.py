"""The multi-resolution TFRecord format: one file a level, from 4x4 up to the full resolution, and one for labels.

    data/<name>/<name>-r02.tfrecords ... <name>-rNN.tfrecords      NN = log2 of the side
    data/<name>/<name>-rxx.labels                                  float32 .npy, [number of images, label_size]

That is the original's format. What this project adds is optional, and recognised by the reader:

    <name>-rNN-00001-of-00004.tfrecords    a level in several files; image i is record i // 4 of file i % 4
    <name>-rNN.index                       where the records of PNG or JPEG files begin, int64 .npy, [records + 1]
    <name>-labels.txt                      names of the label columns, one a line
    <name>-aspect.txt                      W:H of the pictures, where they are squeezed to squares
    <name>-manifest.json                   what was written, with the size and SHA-256 of each file
"""

import os
import threading

import numpy as np
import tensorflow as tf

from datasets.errors import DatasetError
from datasets.levels import find_levels, open_level
from datasets.pictures import find_aspect
from datasets.reading import read_level
from datasets.records import load_array
from datasets.writer import MultiResolutionWriter, shuffled_order

__all__ = ["MultiResolutionDataset", "MultiResolutionWriter", "shuffled_order"]

_READ_BYTES = 2**22


class MultiResolutionDataset:
    """A data set on disk, checked as far as file sizes and each level's first and last record tell.

    Args:
        folder: The folder of the files, or its URL on a file system that TensorFlow has, such as gs://bucket/faces.
        resolution: Side of the largest level to use; the default is the largest there is. Larger files are ignored.
        max_label_size: 0 for no labels, "full" for all, n for the first n columns at most.
        max_images: Only the first so many images are used; None for all.

    Attributes:
        name: What the file names begin with.
        folder: Path or URL, a string.
        resolution: Side of the largest level in use.
        resolutions: The sides of all levels in use, a tuple, ascending.
        num_channels: 1 for greyscale, 3 for RGB, 4 for RGBA, whose colours are multiplied by alpha.
        num_images: The number of images in use.
        aspect: (width, height) of the pictures that have been squeezed to squares; None for squares.
        label_size: The number of label columns in use, 0 without labels.
        labels: float32 [num_images, label_size].
        label_names: Names of these columns, a list, or None.

    Raises:
        DatasetError: The folder holds no such data set, or a file is foreign, truncated or does not match the others.
        ValueError: `max_label_size` is neither "full" nor a count.
    """

    def __init__(self, folder, resolution=None, max_label_size=0, max_images=None):
        if max_label_size != "full" and not (isinstance(max_label_size, int) and max_label_size >= 0):
            raise ValueError(f'max_label_size must be 0, "full" or a number of columns; received {max_label_size!r}.')
        self.folder = os.fspath(folder)
        self.name, paths = find_levels(self.folder)
        if resolution is None:
            resolution = max(paths)
        if resolution not in paths:
            raise self._missing_level(resolution, paths)
        self.resolution = resolution
        self.resolutions = tuple(sorted(side for side in paths if side <= resolution))
        self._levels = {side: open_level(paths[side], side) for side in self.resolutions}
        largest = self._levels[resolution]
        for level in self._levels.values():
            if (level.num_images, level.shape[2]) != (largest.num_images, largest.shape[2]):
                raise DatasetError(
                    f"{level.files[0].path} holds {level.num_images} images of {level.shape[2]} channels, but "
                    f"{largest.files[0].path} {largest.num_images} of {largest.shape[2]}: one is truncated or foreign. "
                    "Create or copy both again."
                )
        if max_images is not None and max_images > largest.num_images:
            raise DatasetError(
                f"{self.folder} holds {largest.num_images} images, fewer than max_images={max_images}; ask for no more "
                "than there are."
            )
        self.num_images = largest.num_images if max_images is None else max_images
        self.num_channels = largest.shape[2]
        self.labels = _load_labels(self.file("rxx.labels"), largest.num_images, max_label_size)[: self.num_images]
        self.label_size = self.labels.shape[1]
        self._kept, self._lock = {}, threading.Lock()
        self.label_names = _load_names(self.file("labels.txt"), self.label_size)
        self.aspect = _load_aspect(self.file("aspect.txt"))

    @property
    def label_columns(self):
        """((name, number of images in which it is not 0), ...) of the label columns in use; None if there are none."""
        if not self.label_size:
            return None
        counts = np.count_nonzero(self.labels, axis=0).tolist()
        names = self.label_names or []
        numbers = map(str, range(len(names), self.label_size))
        return tuple(zip((*names, *numbers), counts, strict=True))

    def file(self, suffix):
        """Returns the path of the side file NAME-SUFFIX."""
        return os.path.join(self.folder, f"{self.name}-{suffix}")

    def level(self, resolution):
        """Returns the Level of a resolution; DatasetError if the data set has none."""
        if resolution not in self._levels:
            raise self._missing_level(resolution, self._levels)
        return self._levels[resolution]

    def _missing_level(self, resolution, sides):
        existing = ", ".join(f"{side}x{side}" for side in sorted(sides))
        return DatasetError(f"{self.folder} has no level of {resolution}x{resolution}; choose one of {existing}.")

    def read(self, resolution):
        """Yields all images of a level in file order, uint8 [R, R, C]."""
        for indices in self.batches(resolution):
            yield from self.read_images(resolution, indices)

    def batches(self, resolution):
        """Yields the indices of all images in file order, as many at a time as fill a few megabytes."""
        size = max(1, _READ_BYTES // int(np.prod(self.level(resolution).shape)))
        for start in range(0, self.num_images, size):
            yield range(start, min(start + size, self.num_images))

    def read_images(self, resolution, indices):
        """Reads images in any order; the place of each record is known, and checksums are verified.

        Args:
            resolution: Side of the level.
            indices: Numbers of images, integers [N].

        Returns:
            uint8 [N, R, R, C].

        Raises:
            DatasetError: A record is damaged; the message names its file and its index.
        """
        return read_level(self.level(resolution), indices)

    def keep_level(self, resolution):
        """Returns all images of a level, uint8 [num_images, R, R, C], which stay in memory.

        Two levels stay, the last ones that were asked for: that of the training, and the next.
        """
        with self._lock:
            images = self._kept.pop(resolution, None)
            if images is None:
                images = np.empty((self.num_images, *self.level(resolution).shape), np.uint8)
                for batch in self.batches(resolution):
                    images[batch.start : batch.stop] = self.read_images(resolution, batch)
            self._kept[resolution] = images
            for oldest in list(self._kept)[:-2]:
                del self._kept[oldest]
        return images


def _load_labels(path, num_images, max_label_size):
    """Returns float32 [num_images, label_size] from a .npy file, which is checked even if none of it is used."""
    if not tf.io.gfile.exists(path):
        return np.zeros((num_images, 0), np.float32)
    labels = load_array(path)
    if labels.ndim != 2 or labels.dtype.kind not in "fiub":
        raise DatasetError(
            f"{path} holds {labels.dtype} {list(labels.shape)}; labels must be float32 [{num_images}, label_size]. "
            "Create it again."
        )
    if len(labels) != num_images:
        raise DatasetError(
            f"{path} holds labels of {len(labels)} images, but the data set has {num_images}. "
            "Create or copy the data set again."
        )
    with np.errstate(over="ignore"):
        labels = labels.astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(labels).all(axis=1))
    if len(wrong):
        raise DatasetError(
            f"{path} holds no finite numbers for {len(wrong)} images; the first is {wrong[0]}. Create it again."
        )
    columns = labels.shape[1] if max_label_size == "full" else max_label_size
    return labels[:, :columns].copy()


def _load_aspect(path):
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path, "rb") as file:
        aspect = find_aspect(file.read().decode("utf-8", "replace").strip())
    if aspect is None:
        raise DatasetError(f"{path} holds no aspect such as 4:3. Create or copy it again, or remove it.")
    return aspect


def _load_names(path, label_size):
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path, "rb") as file:
        try:
            return file.read().decode("utf-8").splitlines()[:label_size]
        except UnicodeDecodeError as error:
            raise DatasetError(f"{path} is no text in UTF-8. Create or copy it again, or remove it.") from error
