"""Reads images of a level in any order, verifying the checksum of each."""

import contextlib
import threading

import google_crc32c
import numpy as np

from datasets.errors import DatasetError
from datasets.pyramid import decode, describe_shape
from datasets.records import FRAME_BYTES, HEADER_BYTES, header, masked, open_file, parse, read_record

# Raw records are read and checked in groups of about this size, which stay in the processor's cache.
_GROUP_BYTES = 2**20
_local = threading.local()


def read_level(level, indices):
    """Returns images of a Level, uint8 [N, H, W, C]; the place of each record is known.

    Args:
        level: Level.
        indices: Numbers of images, integers [N].

    Raises:
        DatasetError: A record is damaged; the message names its file and its index.
    """
    images = aligned_empty((len(indices), *level.shape))
    with contextlib.ExitStack() as stack:
        files = _Files(level, stack)
        if level.encoding == "raw":
            group = max(1, _GROUP_BYTES // level.files[0].record_bytes)
            for start in range(0, len(indices), group):
                _read_group(level, files, indices[start : start + group], images[start : start + group])
        else:
            for image, index in zip(images, indices, strict=True):
                file, place = files.find(index)
                record = read_record(file, *place)
                if record is None:
                    raise _damage(level, index, "its checksum is wrong or it is cut off")
                image[:] = _parse(level, index, record)
    return images


def aligned_empty(shape):
    """Returns an uninitialised uint8 array on a 64-byte border, which TensorFlow takes over without a copy."""
    size = int(np.prod(shape))
    buffer = np.empty(size + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    return buffer[start : start + size].reshape(shape)


class _Files:
    """The files of a level, opened when they are needed."""

    def __init__(self, level, stack):
        self._level, self._stack = level, stack
        self._opened = {}

    def find(self, index):
        """Returns the open file of an image, and the (offset, size) of its record."""
        number, shard = divmod(int(index), len(self._level.files))
        if shard not in self._opened:
            self._opened[shard] = self._stack.enter_context(open_file(self._level.files[shard].path))
        return self._opened[shard], self._level.files[shard].place(number)


def _read_group(level, files, indices, images):
    """Reads raw records that are equally long into `images`, [N, H, W, C]."""
    rows = _rows(len(indices), level.files[0].record_bytes)
    for row, index in zip(rows, indices, strict=True):
        file, (offset, size) = files.find(index)
        file.seek(offset)
        if _read_into(file, row) < size:
            row[:HEADER_BYTES] = 0  # which is no header
    whole = (rows[:, :HEADER_BYTES] == np.frombuffer(header(rows.shape[1] - FRAME_BYTES), np.uint8)).all(axis=1)
    whole &= _checksums(rows[:, HEADER_BYTES:-4]) == rows[:, -4:].copy().view("<u4")[:, 0]
    if not whole.all():
        raise _damage(level, indices[int(np.argmin(whole))], "its checksum is wrong or it is cut off")
    height, width, channels = level.shape
    before, after = (np.frombuffer(part, np.uint8) for part in level.around)
    begin, end = HEADER_BYTES + len(before), rows.shape[1] - 4 - len(after)
    # Plane by plane: as many passes of NumPy are five times as fast as one transposed copy.
    planes = rows[:, begin:end].reshape(-1, channels, height, width)
    np.stack([planes[:, channel] for channel in range(channels)], axis=-1, out=images)
    usual = (rows[:, HEADER_BYTES:begin] == before).all(axis=1) & (rows[:, end:-4] == after).all(axis=1)
    for place in np.flatnonzero(~usual):
        # Another writer may put the fields of an Example in any order.
        images[place] = _parse(level, indices[place], rows[place, HEADER_BYTES:-4].tobytes())


def _rows(count, record_bytes):
    """A buffer [count, record_bytes] of this thread; fresh memory would cost more than the reading."""
    size = count * record_bytes
    if getattr(_local, "buffer", np.empty(0)).size < size:
        _local.buffer = np.empty(max(size, _GROUP_BYTES), np.uint8)
    return _local.buffer[:size].reshape(count, record_bytes)


def _read_into(file, row):
    """Fills a row from a file; returns the number of bytes."""
    if hasattr(file, "readinto"):
        return file.readinto(row)
    data = file.read(len(row))
    row[: len(data)] = np.frombuffer(data, np.uint8)
    return len(data)


def _checksums(rows):
    """The masked checksums of rows, uint32 [N]."""
    return masked(np.fromiter(map(google_crc32c.value, rows), np.uint32, len(rows)))


def _parse(level, index, record):
    """Returns the image, uint8 [H, W, C], of an Example, bytes."""
    example = parse(record)
    if example is None or example[0] != level.shape or example[2] != level.encoding:
        raise _damage(level, index, "it holds no image of this level")
    if level.encoding == "raw":
        height, width, channels = level.shape
        return np.frombuffer(example[1], np.uint8).reshape(channels, height, width).transpose(1, 2, 0)
    try:
        image = decode(example[1], level.encoding)
    except DatasetError as error:
        raise _damage(level, index, f"it {error}") from error
    if list(image.shape) != level.shape:
        raise _damage(level, index, f"it holds {describe_shape(image.shape)}")
    return image


def _damage(level, index, reason):
    number, shard = divmod(int(index), len(level.files))
    return DatasetError(
        f"{level.files[shard].path} is damaged at record {number}: {reason}. Create or copy the file again."
    )
