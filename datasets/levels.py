"""The files of a data set's levels: their names, what they hold, and where each record stands."""

import os
import re
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from datasets.errors import DatasetError
from datasets.pyramid import CHANNELS
from datasets.records import (
    FRAME_BYTES,
    HEADER_BYTES,
    find_records,
    header,
    load_array,
    open_file,
    parse,
    read_record,
)


def level_file(name, side, shard=0, shards=1):
    """Returns the name of a level's file."""
    part = f"-{shard:05d}-of-{shards:05d}" if shards > 1 else ""
    return f"{name}-r{side.bit_length() - 1:02d}{part}.tfrecords"


class RecordFile(NamedTuple):
    """A file of a level: record i is from offsets[i] to offsets[i + 1] (None: all have `record_bytes`)."""

    path: str
    num_records: int
    num_bytes: int
    record_bytes: int | None
    offsets: np.ndarray | None

    def place(self, number):
        """Returns (offset, size) of a record, frame included."""
        if self.offsets is None:
            return number * self.record_bytes, self.record_bytes
        return int(self.offsets[number]), int(self.offsets[number + 1] - self.offsets[number])


class Level(NamedTuple):
    """One resolution of a data set; image i is record i // len(files) of file i % len(files).

    Attributes:
        files: RecordFiles.
        num_images: Records of all files.
        shape: Shape of the images, [H, W, C].
        encoding: "raw", "png" or "jpeg".
        around: Raw records: the bytes before and after the pixels, the same in every record of one writer.
    """

    files: tuple
    num_images: int
    shape: list
    encoding: str
    around: tuple

    @property
    def num_bytes(self):
        """Size of all files."""
        return sum(file.num_bytes for file in self.files)


def find_levels(folder):
    """Returns the data set's name and {side: paths}."""
    if not tf.io.gfile.isdir(folder):
        raise DatasetError(f"{folder} is not a folder. Give the folder that holds the data set's .tfrecords files.")
    pattern = re.compile(r"(?P<name>.+?)-r(?P<level>\d\d)(-(?P<shard>\d{5})-of-(?P<shards>\d{5}))?\.tfrecords")
    # Of a bucket, folders are listed with a slash.
    matches = [pattern.fullmatch(name.rstrip("/")) for name in sorted(tf.io.gfile.listdir(folder))]
    matches = [match for match in matches if match and int(match["level"]) >= 2]
    if not matches:
        raise DatasetError(
            f"{folder} holds no NAME-rNN.tfrecords files. Give a data set's folder, or create the data set first."
        )
    names = sorted({match["name"] for match in matches})
    if len(names) > 1:
        raise DatasetError(
            f"{folder} holds the files of several data sets, {', '.join(names)}. Give each a folder of its own."
        )
    levels = {}
    for match in matches:
        levels.setdefault(2 ** int(match["level"]), []).append(match)
    for side, parts in levels.items():
        shards = int(parts[0]["shards"] or 1)
        expected = [level_file(names[0], side, shard, shards) for shard in range(shards)]
        if [part[0] for part in parts] != expected:
            missing = [name for name in expected if name not in {part[0] for part in parts}]
            what = f"lacks {missing[0]}" if missing else f"holds {side}x{side} images both in one file and in several"
            raise DatasetError(f"{folder} {what}. Copy the data set again.")
    return names[0], {side: [os.path.join(folder, part[0]) for part in parts] for side, parts in levels.items()}


def open_level(paths, side):
    """Returns the Level of some files, told from their sizes and their first and last records."""
    opened = [_open_records(path, side) for path in paths]
    files, (shape, encoding, around) = tuple(file for file, _ in opened), opened[0][1]
    num_images = sum(file.num_records for file in files)
    for shard, (file, facts) in enumerate(opened):
        expected = len(range(shard, num_images, len(files)))
        if file.num_records != expected or facts[:2] != (shape, encoding) or file.record_bytes != files[0].record_bytes:
            raise DatasetError(
                f"{file.path} holds {file.num_records} images, {facts[1]}, where {expected}, {encoding}, would fit the "
                "other files of its level: one is truncated or foreign. Create or copy them again."
            )
    return Level(files, num_images, shape, encoding, around)


def _open_records(path, side):
    """Returns (RecordFile, (shape, encoding, around)) of one file."""
    file_bytes = tf.io.gfile.stat(path).length
    with open_file(path) as file:
        start = file.read(HEADER_BYTES)
        if not start:
            raise DatasetError(f"{path} is truncated: it is empty. Create or copy it again.")
        first_bytes = int.from_bytes(start[:8], "little") + FRAME_BYTES
        # A foreign file's first bytes can be any number.
        record = read_record(file, 0, first_bytes) if first_bytes <= file_bytes else None
        example = parse(record) if record else None
        if example is None or example[0][:2] != [side, side] or example[0][2] not in CHANNELS:
            raise DatasetError(
                f"{path} holds no {side}x{side} images in the multi-resolution format (examples with 'shape' and "
                "'data'), or is damaged at its beginning. Remove it, or create the data set again."
            )
        shape, data, encoding = example
        if encoding != "raw":
            offsets = _load_index(path, file, file_bytes)
            return RecordFile(path, len(offsets) - 1, file_bytes, None, offsets), (shape, encoding, (b"", b""))
        if file_bytes % first_bytes:
            raise DatasetError(
                f"{path} is truncated: its {file_bytes} bytes are no whole number of records of {first_bytes}. "
                "Create or copy it again."
            )
        file.seek(file_bytes - first_bytes)
        if file.read(HEADER_BYTES) != header(first_bytes - FRAME_BYTES):
            raise DatasetError(f"{path} is damaged: its records are not equally long. Create or copy it again.")
    place = record.index(data)
    around = record[:place], record[place + len(data) :]
    return RecordFile(path, file_bytes // first_bytes, file_bytes, first_bytes, None), (shape, encoding, around)


def _load_index(path, file, file_bytes):
    """Returns where the records of a file begin and the last one ends, int64 [N + 1], stored beside it or searched."""
    index = f"{os.path.splitext(path)[0]}.index"
    if tf.io.gfile.exists(index):
        offsets = load_array(index)
        whole = offsets.ndim == 1 and offsets.dtype == np.int64 and len(offsets) > 1 and offsets[0] == 0
        if not whole or offsets[-1] != file_bytes or (np.diff(offsets) <= FRAME_BYTES).any():
            raise DatasetError(f"{index} does not belong to {path}, or one of them is truncated. Copy both again.")
        return offsets
    offsets = find_records(file, file_bytes)
    if offsets is None:
        raise DatasetError(f"{path} is truncated or damaged: its records cannot be found. Create or copy it again.")
    return offsets
