"""The multi-resolution TFRecord format: one file a level, from 4x4 up to the full resolution, and one for labels.

    data/<name>/<name>-r02.tfrecords ... <name>-rNN.tfrecords      NN = log2 of the side
    data/<name>/<name>-rxx.labels                                  float32 .npy, [number of images, label_size]

A record is a tf.train.Example with `shape`, int64 [C, H, W], and `data`, the C * H * W raw bytes. Files are NCHW,
everything else is NHWC; the conversion happens in this file only.
"""

import pathlib
import re
import shutil
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

# Framing of a TFRecord file: length of the record (uint64), checksum of the length, record, checksum of the record.
_HEADER_BYTES = 12
_FRAME_BYTES = 16
# What an Example adds to its pixels: names, shape, lengths. It is 36 to 50 bytes; other writers may pack differently.
_MAX_EXAMPLE_OVERHEAD = 128
_READ_BATCH = 16


class DatasetError(ValueError):
    """A data set that cannot be used as it is; the message is one line: which file, what is wrong, what to do."""


class Level(NamedTuple):
    """One resolution of a data set: a file of `num_images` records of `record_bytes` (frame included) each."""

    path: pathlib.Path
    num_images: int
    num_channels: int
    record_bytes: int
    header: bytes


def shuffled_order(num_images):
    """Returns the order in which the reference stores images, int64 [num_images]; labels follow the same order."""
    order = np.arange(num_images)
    np.random.RandomState(123).shuffle(order)
    return order


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

    Raises:
        DatasetError: OUT exists, or an OUT.partial is left from a writer that was killed.
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        if self.folder.exists():
            raise DatasetError(f"{self.folder} already exists. Delete it or choose another name.")
        self._partial = self.folder.with_name(f"{self.folder.name}.partial")
        self._shape = None
        self._writers = []
        self._labels = None
        self.num_images = 0

    def __enter__(self):
        try:
            self._partial.mkdir(parents=True)
        except FileExistsError:
            raise DatasetError(
                f"{self._partial} is left over from a writer that was killed, or belongs to one still at work. "
                "Make sure that none is running, delete it and start again."
            ) from None
        return self

    def __exit__(self, error_type, error, traceback):
        try:
            for writer in self._writers:
                writer.close()
            if error_type is None:
                self._write_labels()
                self._partial.rename(self.folder)
        finally:
            # Gone after the renaming; what is still there is incomplete.
            shutil.rmtree(self._partial, ignore_errors=True)

    def add_image(self, image):
        """Appends an image to every level.

        Args:
            image: uint8 [H, W, C]: square, the side a power of two from 4, 1 or 3 channels, all images alike.

        Raises:
            DatasetError: The image is none of this, or unlike the first.
        """
        image = np.asarray(image)
        check_image_shape(image.shape)
        if image.dtype != np.uint8:
            raise DatasetError(
                f"Images must be uint8; received {image.dtype}. Scale them to 0..255 and convert them first."
            )
        if self._shape is None:
            self._shape = image.shape
            for level in range(2, image.shape[0].bit_length()):
                path = self._partial / f"{self.folder.name}-r{level:02d}.tfrecords"
                self._writers.append(tf.io.TFRecordWriter(str(path)))
        if image.shape != self._shape:
            raise DatasetError(
                f"All images must be alike; received {describe_shape(image.shape)} after {describe_shape(self._shape)}."
                " Convert them to one size and one number of channels."
            )
        # float32 is exact here: eight bits and two more for each of the eight halvings of 1024 fit its 24.
        pixels = image.astype(np.float32)
        for writer in reversed(self._writers):
            writer.write(_serialize(np.rint(pixels).astype(np.uint8)))
            pixels = (pixels[0::2, 0::2] + pixels[0::2, 1::2] + pixels[1::2, 0::2] + pixels[1::2, 1::2]) * 0.25
        self.num_images += 1

    def set_labels(self, labels):
        """Sets the labels of all images, in the order in which the images are added.

        Args:
            labels: Numbers [number of images, label_size], stored as float32.
        """
        self._labels = np.asarray(labels, np.float32)

    def _write_labels(self):
        if not self.num_images:
            raise DatasetError(f"{self.folder} was given no images, so it was not created. Add at least one.")
        if self._labels is None:
            return
        if self._labels.ndim != 2 or len(self._labels) != self.num_images:
            raise DatasetError(
                f"{self.folder} was given labels of shape {list(self._labels.shape)}, so it was not created. "
                f"Labels must be [{self.num_images}, label_size], as there are {self.num_images} images."
            )
        with open(self._partial / f"{self.folder.name}-rxx.labels", "wb") as file:
            np.save(file, self._labels)


class MultiResolutionDataset:
    """A data set on disk, checked as far as file sizes and each level's first and last record tell.

    Args:
        folder: The folder of the files.
        resolution: Side of the largest level to use; the default is the largest there is. Larger files are ignored.
        max_label_size: 0 for no labels, "full" for all, n for the first n columns at most.

    Attributes:
        name: What the file names begin with.
        folder: pathlib.Path.
        resolution: Side of the largest level in use.
        resolutions: The sides of all levels in use, a tuple, ascending.
        num_channels: 1 or 3.
        num_images: The number of images.
        label_size: The number of label columns in use, 0 without labels.
        labels: float32 [num_images, label_size].

    Raises:
        DatasetError: The folder holds no such data set, or a file is foreign, truncated or does not match the others.
        ValueError: `max_label_size` is neither "full" nor a count.
    """

    def __init__(self, folder, resolution=None, max_label_size=0):
        if max_label_size != "full" and not (isinstance(max_label_size, int) and max_label_size >= 0):
            raise ValueError(f'max_label_size must be 0, "full" or a number of columns; received {max_label_size!r}.')
        self.folder = pathlib.Path(folder)
        self.name, paths = _find_levels(self.folder)
        if resolution is None:
            resolution = max(paths)
        if resolution not in paths:
            raise self._missing_level(resolution, paths)
        self.resolution = resolution
        self.resolutions = tuple(sorted(side for side in paths if side <= resolution))
        self._levels = {side: _open_level(paths[side], side) for side in self.resolutions}
        largest = self._levels[resolution]
        for level in self._levels.values():
            if (level.num_images, level.num_channels) != (largest.num_images, largest.num_channels):
                raise DatasetError(
                    f"{level.path} holds {level.num_images} images of {level.num_channels} channels, but "
                    f"{largest.path} {largest.num_images} of {largest.num_channels}: one is truncated or foreign. "
                    "Create or copy both again."
                )
        self.num_images = largest.num_images
        self.num_channels = largest.num_channels
        self.labels = _load_labels(self.folder / f"{self.name}-rxx.labels", self.num_images, max_label_size)
        self.label_size = self.labels.shape[1]

    def level(self, resolution):
        """Returns the Level of a resolution; DatasetError if the data set has none."""
        if resolution not in self._levels:
            raise self._missing_level(resolution, self._levels)
        return self._levels[resolution]

    def _missing_level(self, resolution, sides):
        existing = ", ".join(f"{side}x{side}" for side in sorted(sides))
        return DatasetError(f"{self.folder} has no level of {resolution}x{resolution}; choose one of {existing}.")

    def path(self, resolution):
        """Returns the path of a level's file."""
        return self.level(resolution).path

    def read(self, resolution):
        """Yields all images of a level in file order, uint8 [R, R, C], verifying the checksums."""
        records = tf.data.TFRecordDataset(str(self.path(resolution))).batch(_READ_BATCH)
        for images in records.map(lambda batch: self.parse(batch, resolution)).as_numpy_iterator():
            yield from images

    def read_records(self, resolution, indices):
        """Reads single records at random: all records of a level are equally long, so each one's place is known.

        Pixels are not checked against their checksums, which `read` does; a record that is not in its place is found.

        Args:
            resolution: Side of the level.
            indices: Positions in the file, integers [N].

        Returns:
            A list of N serialized examples, bytes.
        """
        level = self.level(resolution)
        records = []
        with open(level.path, "rb") as file:
            for index in indices:
                file.seek(int(index) * level.record_bytes)
                record = file.read(level.record_bytes)
                if len(record) != level.record_bytes or not record.startswith(level.header):
                    raise DatasetError(f"{level.path} is damaged at image {index}. Create or copy it again.")
                records.append(record[_HEADER_BYTES:-4])
        return records

    def parse(self, records, resolution):
        """Decodes serialized examples; usable inside tf.data.

        Args:
            records: string [N].
            resolution: Side of the level they come from.

        Returns:
            uint8 [N, R, R, C].
        """
        data = tf.io.parse_example(records, {"data": tf.io.FixedLenFeature([], tf.string)})["data"]
        images = tf.reshape(tf.io.decode_raw(data, tf.uint8), (-1, self.num_channels, resolution, resolution))
        return tf.transpose(images, (0, 2, 3, 1))


def check_image_shape(shape):
    """Raises DatasetError unless `shape` is [H, W, C] with H = W a power of two from 4 and C of 1 or 3."""
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise DatasetError(
            f"Images must be [H, W, C] with 1 or 3 channels; received {list(shape)}. Convert them first."
        )
    height, width, _ = shape
    if height != width or height < 4 or height & (height - 1):
        raise DatasetError(
            f"Images must be square with a side that is a power of two, at least 4; received {describe_shape(shape)}. "
            "Crop or resize them first."
        )


def describe_shape(shape):
    """Returns an image shape [H, W, C] in words."""
    height, width, channels = shape
    return f"{width}x{height} with {channels} channel{'s' if channels > 1 else ''}"


def _serialize(image):
    shape = tf.train.Feature(int64_list=tf.train.Int64List(value=[image.shape[2], image.shape[0], image.shape[1]]))
    data = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image.transpose(2, 0, 1).tobytes()]))
    example = tf.train.Example(features=tf.train.Features(feature={"shape": shape, "data": data}))
    # Map fields have no order of their own; the same images should give the same file.
    return example.SerializeToString(deterministic=True)


def _find_levels(folder):
    """Returns the data set's name and {side: path}."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder. Give the folder that holds the data set's .tfrecords files.")
    matches = [re.fullmatch(r"(.+)-r(\d\d)\.tfrecords", path.name) for path in sorted(folder.iterdir())]
    matches = [match for match in matches if match and int(match[2]) >= 2]
    if not matches:
        raise DatasetError(
            f"{folder} holds no NAME-rNN.tfrecords files. Give a data set's folder, or create the data set first."
        )
    names = sorted({match[1] for match in matches})
    if len(names) > 1:
        raise DatasetError(
            f"{folder} holds the files of several data sets, {', '.join(names)}. Give each a folder of its own."
        )
    return names[0], {2 ** int(match[2]): folder / match[0] for match in matches}


def _open_level(path, side):
    """Returns the Level of a file, told from its size and its first and last record."""
    foreign = DatasetError(
        f"{path} holds no {side}x{side} images in the multi-resolution format (examples with 'shape' and 'data'). "
        "Remove it, or create the data set again."
    )
    file_bytes = path.stat().st_size
    with open(path, "rb") as file:
        header = file.read(_HEADER_BYTES)
        if not header:
            raise DatasetError(f"{path} is truncated: it is empty. Create or copy it again.")
        example_bytes = int.from_bytes(header[:8], "little")
        if not any(0 < example_bytes - channels * side**2 < _MAX_EXAMPLE_OVERHEAD for channels in (1, 3)):
            raise foreign
        record_bytes = example_bytes + _FRAME_BYTES
        if file_bytes % record_bytes:
            raise DatasetError(
                f"{path} is truncated: its {file_bytes} bytes are no whole number of records of {record_bytes}. "
                "Create or copy it again."
            )
        try:
            features = tf.train.Example.FromString(file.read(example_bytes)).features.feature
        except DecodeError:
            raise foreign from None
        shape = list(features["shape"].int64_list.value)
        sizes = [len(data) for data in features["data"].bytes_list.value]
        if shape not in ([1, side, side], [3, side, side]) or sizes != [shape[0] * side**2]:
            raise foreign
        file.seek(file_bytes - record_bytes)
        if file.read(_HEADER_BYTES) != header:
            raise DatasetError(f"{path} is damaged: its records are not equally long. Create or copy it again.")
    return Level(path, file_bytes // record_bytes, shape[0], record_bytes, header)


def _load_labels(path, num_images, max_label_size):
    """Returns float32 [num_images, label_size] from a .npy file, which is checked even if none of it is used."""
    if not path.exists():
        return np.zeros((num_images, 0), np.float32)
    try:
        # Mapped, so that unused columns cost nothing.
        labels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DatasetError(f"{path} is no .npy file of labels, or is truncated. Create or copy it again.") from error
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
    columns = labels.shape[1] if max_label_size == "full" else max_label_size
    return np.array(labels[:, :columns], np.float32)
