"""Writes data sets in the format that `tfrecords.py` describes."""

import contextlib
import hashlib
import json
import pathlib

import numpy as np

from datasets.errors import DatasetError
from datasets.levels import level_file
from datasets.naming import readable
from datasets.pyramid import check_image_shape, describe_shape, encode, num_levels, pyramid
from datasets.records import frame, serialize
from dnnlib.files import new_folder


def shuffled_order(num_images):
    """Returns the order in which the reference stores images, int64 [num_images]; labels follow the same order."""
    order = np.arange(num_images)
    np.random.RandomState(123).shuffle(order)
    return order


def check_shards(shards, num_images):
    """Raises DatasetError if there are more shards than images, unless there are no images at all."""
    if shards > num_images > 0:
        raise DatasetError(f"{num_images} images cannot be spread over {shards} shards. Choose fewer with --shards.")


class MultiResolutionWriter:
    """Writes a data set, all levels at once; nothing appears under its name before it is complete.

    The files are written to `OUT.partial`, which is renamed to OUT when the `with` block ends, removed when it raises.

    Example:

        with MultiResolutionWriter("data/faces") as writer:
            for image in images:
                writer.add_image(image)
            writer.set_labels(labels)

    Args:
        folder: OUT, the folder to create; its name is the name of the data set.
        encoding: "raw" for the original's format, or "png" or "jpeg" for files in the records.
        quality: Quality of JPEGs, 1 to 100.
        shards: Files that each level is spread over.

    Attributes:
        partial: The folder that is being written.
        num_images: Images so far.

    Raises:
        FileExistsError: OUT exists, or an OUT.partial is left from a writer that was killed.
    """

    def __init__(self, folder, encoding="raw", quality=95, shards=1):
        self.folder = pathlib.Path(folder)
        self.encoding, self.quality, self.shards = encoding, quality, shards
        self.num_images = 0
        self._shape = None
        self._files = {}
        self._labels = None
        self._label_names = None

    def __enter__(self):
        self._exit = contextlib.ExitStack()
        self.partial = self._exit.enter_context(new_folder(self.folder))
        return self

    def __exit__(self, error_type, error, traceback):
        # Pushed last, hence called first: the folder is not renamed if finishing fails.
        self._exit.push(self._finish)
        return self._exit.__exit__(error_type, error, traceback)

    def add_image(self, image):
        """Appends an image to every level.

        Args:
            image: uint8 [H, W, C]: square, the side a power of two from 4, 1, 3 or 4 channels, all images alike.

        Raises:
            DatasetError: The image is none of this, or unlike the first.
        """
        image = np.asarray(image)
        check_image_shape(image.shape)
        if image.dtype != np.uint8:
            raise DatasetError(
                f"Images must be uint8; received {image.dtype}. Scale them to 0..255 and convert them first."
            )
        self.add_levels(image.shape, [encode(level, self.encoding, self.quality) for level in pyramid(image)])

    def add_levels(self, shape, levels):
        """Appends an image that is encoded already.

        Args:
            shape: Its shape, (H, W, C).
            levels: The bytes of each level, from 4x4 up, in the data set's encoding.

        Raises:
            DatasetError: It is unlike the first.
        """
        if self._shape is None:
            self._shape = shape
            for side in self._sides():
                for shard in range(self.shards):
                    path = self.partial / level_file(self.folder.name, side, shard, self.shards)
                    self._files[side, shard] = _LevelWriter(path)
        if shape != self._shape:
            raise DatasetError(
                f"All images must be alike; received {describe_shape(shape)} after {describe_shape(self._shape)}."
                " Convert them to one size and one number of channels."
            )
        for side, data in zip(self._sides(), levels, strict=True):
            record = serialize((side, side, shape[2]), data, self.encoding)
            self._files[side, self.num_images % self.shards].write(record)
        self.num_images += 1

    def set_labels(self, labels, names=None):
        """Sets the labels of all images, in the order in which the images are added.

        Args:
            labels: Numbers [number of images, label_size], stored as float32.
            names: What the columns mean, or None.
        """
        self._labels = np.asarray(labels, np.float32)
        # One a line, so that a name must be one.
        self._label_names = None if names is None else [readable(name) for name in names]

    def add_file(self, suffix, text):
        """Adds the text file NAME-SUFFIX."""
        (self.partial / f"{self.folder.name}-{suffix}").write_text(text, encoding="utf-8", newline="\n")

    def _sides(self):
        return [4 << level for level in range(num_levels(self._shape[0]))]

    def _finish(self, error_type, error, traceback):
        for file in self._files.values():
            file.close()
        if error_type is not None:
            return
        if not self.num_images:
            raise DatasetError(f"{self.folder} was given no images, so it was not created. Add at least one.")
        check_shards(self.shards, self.num_images)
        files = {file.path.name: file.facts() for file in self._files.values()}
        if self.encoding != "raw":
            for file in self._files.values():
                _save_array(file.path.with_suffix(".index"), np.array(file.offsets))
        self._write_labels()
        for path in sorted(self.partial.iterdir()):
            if path.name not in files:
                data = path.read_bytes()
                files[path.name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        manifest = {
            "num_images": self.num_images,
            "resolution": self._shape[0],
            "num_channels": self._shape[2],
            "label_size": 0 if self._labels is None else self._labels.shape[1],
            "encoding": self.encoding,
            **({"quality": self.quality} if self.encoding == "jpeg" else {}),
            "shards": self.shards,
            "files": files,
        }
        self.add_file("manifest.json", json.dumps(manifest, indent=2) + "\n")

    def _write_labels(self):
        if self._labels is None:
            return
        if self._labels.ndim != 2 or len(self._labels) != self.num_images:
            raise DatasetError(
                f"{self.folder} was given labels of shape {list(self._labels.shape)}, so it was not created. "
                f"Labels must be [{self.num_images}, label_size], as there are {self.num_images} images."
            )
        _save_array(self.partial / f"{self.folder.name}-rxx.labels", self._labels)
        if self._label_names is not None:
            self.add_file("labels.txt", "".join(f"{name}\n" for name in self._label_names))


class _LevelWriter:
    """One file of records, hashed as it is written."""

    def __init__(self, path):
        self.path = path
        self.offsets = [0]
        self._file = open(path, "wb")  # noqa: SIM115 (closed after the last image)
        self._hash = hashlib.sha256()
        self.close = self._file.close

    def write(self, record):
        framed = frame(record)
        self._file.write(framed)
        self._hash.update(framed)
        self.offsets.append(self.offsets[-1] + len(framed))

    def facts(self):
        return {"bytes": self.offsets[-1], "sha256": self._hash.hexdigest()}


def _save_array(path, array):
    with open(path, "wb") as file:
        np.save(file, array)
