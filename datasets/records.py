"""TFRecord files: the frame around a record, and the tf.train.Example inside.

A frame is the length of the record (uint64), a checksum of the length, the record, and a checksum of the record. An
Example has `shape`, int64 [C, H, W], and `data`: the C * H * W raw bytes, or a file if `encoding` names its format.
"""

import functools
import io
import math
import struct
import tokenize

import google_crc32c
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from datasets.errors import DatasetError
from datasets.pyramid import ENCODINGS

HEADER_BYTES = 12
_MASK = np.uint32(0xA282EAD8)
FRAME_BYTES = 16
# What frame and Example add to the image, at most, in the files that we write.
RECORD_OVERHEAD = 96


def frame(record):
    """Returns a record, bytes, as it stands in a file."""
    return b"".join((header(len(record)), record, _masked_crc(record)))


@functools.lru_cache
def header(length):
    """Returns the header of a record of `length` bytes."""
    packed = struct.pack("<Q", length)
    return packed + _masked_crc(packed)


def masked(crc):
    """Returns the form in which a TFRecord file holds CRC-32C checksums, uint32 [N]."""
    return (crc >> 15 | crc << 17) + _MASK


def _masked_crc(data):
    return masked(np.array([google_crc32c.value(data)], np.uint32)).astype("<u4").tobytes()


def read_record(file, offset, size):
    """Reads a record from its place, or returns None if it is not there or a checksum is wrong.

    Args:
        file: Binary file.
        offset: Where its frame begins.
        size: Bytes of its frame.
    """
    file.seek(offset)
    framed = file.read(size)
    record = framed[HEADER_BYTES:-4]
    if len(framed) != size or framed[:HEADER_BYTES] != header(len(record)) or framed[-4:] != _masked_crc(record):
        return None
    return record


def find_records(file, file_bytes):
    """Returns where the frames of a file begin, and its end, int64 [N + 1]; None if they do not end where it does."""
    offsets = [0]
    while offsets[-1] < file_bytes:
        file.seek(offsets[-1])
        start = file.read(HEADER_BYTES)
        length = int.from_bytes(start[:8], "little")
        if length > file_bytes or start != header(length):
            return None
        offsets.append(offsets[-1] + length + FRAME_BYTES)
    return np.array(offsets) if offsets[-1] == file_bytes else None


def serialize(shape, data, encoding):
    """Returns the Example of an image, bytes.

    Args:
        shape: (H, W, C).
        data: Its pixels or its file, bytes.
        encoding: "raw", "png" or "jpeg".
    """
    if encoding == "raw":
        before, after = _around(shape)
        return b"".join((before, data, after))
    return _example(shape, data, encoding)


@functools.lru_cache
def _around(shape):
    """The bytes before and after the pixels, which are the same for all images of a level."""
    pixels = bytes(math.prod(shape))
    before, after = _example(shape, pixels, "raw").split(pixels)
    return before, after


def _example(shape, data, encoding):
    height, width, channels = shape
    features = {
        "shape": tf.train.Feature(int64_list=tf.train.Int64List(value=[channels, height, width])),
        "data": tf.train.Feature(bytes_list=tf.train.BytesList(value=[data])),
    }
    if encoding != "raw":
        features["encoding"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoding.encode()]))
    # Map fields have no order of their own; the same images should give the same file.
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def parse(record):
    """Returns ([H, W, C], data, encoding) of an Example, bytes; None if it holds no image in this format."""
    try:
        features = tf.train.Example.FromString(record).features.feature
    except DecodeError:
        return None
    shape, data = list(features["shape"].int64_list.value), list(features["data"].bytes_list.value)
    encoding = list(features["encoding"].bytes_list.value) or [b"raw"]
    if len(shape) != 3 or min(shape) < 1 or len(data) != 1 or encoding[0].decode("latin-1") not in ENCODINGS:
        return None
    channels, height, width = shape
    if encoding[0] == b"raw" and len(data[0]) != channels * height * width:
        return None
    return [height, width, channels], data[0], encoding[0].decode()


def is_url(path):
    """Whether a path is one of TensorFlow's file systems, gs://bucket/faces, and not on this machine's."""
    return "://" in str(path)


def open_file(path):
    """Opens a file of this machine, or of a file system of TensorFlow's, for reading at any place."""
    # GFile reads half a megabyte ahead, which is in the way of small records in random order.
    return tf.io.gfile.GFile(str(path), "rb") if is_url(path) else open(path, "rb", buffering=0)


def load_array(path):
    """Loads a .npy file; DatasetError if it is none."""
    with tf.io.gfile.GFile(str(path), "rb") as file:
        try:
            return np.load(io.BytesIO(file.read()), allow_pickle=False)
        # The last two for a header that NumPy cannot read.
        except (ValueError, EOFError, SyntaxError, tokenize.TokenError) as error:
            raise DatasetError(f"{path} is no .npy file, or is truncated. Create or copy it again.") from error
