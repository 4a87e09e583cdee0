"""Sources: MNIST, 60,000 handwritten digits, and MNIST-RGB, random triples of them as the channels of one image.

Both read the two training files in the IDX format as they are published: a big-endian header (a magic number and the
size of each dimension), then bytes. They are kept in memory once, 47 MB.

Reference:
    LeCun et al., 1998, "Gradient-based learning applied to document recognition"; http://yann.lecun.com/exdb/mnist/.
"""

import gzip
import pathlib
import struct
import zlib

import numpy as np

from datasets.errors import DatasetError
from datasets.source import Source

_PAGE = "http://yann.lecun.com/exdb/mnist/"
_IMAGES = "train-images-idx3-ubyte"
_LABELS = "train-labels-idx1-ubyte"
# 28x28 becomes 32x32.
_SIDE = 28
_BORDER = 2


def mnist(folder):
    """Returns the Source of MNIST's training images: 32x32x1, with one-hot labels, float32 [N, 10].

    Args:
        folder: Folder of `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, each as it is or with `.gz`.

    Raises:
        DatasetError: A file is missing, damaged or something else, or the two do not match.
    """
    path, images = _read_images(folder)
    labels = _read_labels(folder, path, len(images))
    return Source(
        num_images=len(images),
        name=lambda index: f"{path}, image {index}",
        fetch=lambda index: images[index : index + 1],
        decode=_decode,
        labels=np.eye(10, dtype=np.float32)[labels],
        label_names=[str(digit) for digit in range(10)],
        origin=f"from {_LABELS}",
    )


def mnistrgb(folder, num_images=1_000_000, seed=123):
    """Returns the Source of MNIST-RGB: each image, 32x32x3, has three random digits as its channels; no labels.

    Args:
        folder: Folder of `train-images-idx3-ubyte`, as it is or with `.gz`.
        num_images: Number of images to draw; the drawn numbers take 24 bytes an image.
        seed: Seed of the draw.

    Raises:
        DatasetError: The file is missing, damaged or something else, or `num_images` is not positive.
    """
    if num_images < 1:
        raise DatasetError(
            f"The number of MNIST-RGB images must be at least 1; received {num_images}. Give another one."
        )
    path, images = _read_images(folder)
    triples = np.random.RandomState(seed).randint(len(images), size=(num_images, 3))
    return Source(
        num_images=num_images,
        name=lambda index: "{}, images {}, {} and {}".format(path, *triples[index]),
        fetch=lambda index: images[triples[index]],
        decode=_decode,
    )


def _decode(digits):
    """Returns digits, uint8 [C, 28, 28], as the channels of one image with a black border, [32, 32, C]."""
    return np.pad(digits.transpose(1, 2, 0), ((_BORDER, _BORDER), (_BORDER, _BORDER), (0, 0)))


def _read_images(folder):
    """Returns the path of the file of images, and its contents, uint8 [N, 28, 28]."""
    path = _find(folder, _IMAGES)
    images = _read_idx(path, 3)
    if images.shape[1:] != (_SIDE, _SIDE) or not len(images):
        count, height, width = images.shape
        raise DatasetError(
            f"{path} holds {count} images of {width}x{height} pixels; MNIST has 60,000 of 28x28. "
            f"Download it again from {_PAGE}."
        )
    return path, images


def _read_labels(folder, images_path, count):
    path = _find(folder, _LABELS)
    labels = _read_idx(path, 1)
    if len(labels) != count:
        raise DatasetError(
            f"{path} holds {len(labels)} labels, but {images_path} {count} images. Download both again from {_PAGE}."
        )
    if labels.max() > 9:
        raise DatasetError(
            f"{path} holds the label {labels.max()}; MNIST's are 0 to 9. Download it again from {_PAGE}."
        )
    return labels


def _find(folder, name):
    folder = pathlib.Path(folder)
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise DatasetError(f"{folder} has neither {name}.gz nor {name}. Download it from {_PAGE} into this folder.")


def _read_idx(path, num_dims):
    """Returns the contents of an IDX file of bytes, compressed or not: uint8 with `num_dims` dimensions."""
    data = path.read_bytes()
    try:
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise DatasetError(f"{path} is cut or damaged ({error}). Download it again from {_PAGE}.") from error
    # Two zeros, 8 for unsigned bytes, and the number of dimensions: 2051 for images, 2049 for labels.
    expected = 0x0800 + num_dims
    header_size = 4 + 4 * num_dims
    magic = int.from_bytes(data[:4], "big")
    if magic != expected:
        raise DatasetError(
            f"{path} is no IDX file of {num_dims} dimension{'s' if num_dims > 1 else ''}: it begins with the number "
            f"{magic} instead of {expected}. Download it again from {_PAGE}."
        )
    if len(data) < header_size:
        raise DatasetError(f"{path} is cut: it ends in its header. Download it again from {_PAGE}.")
    shape = struct.unpack(f">{num_dims}I", data[4:header_size])
    # Not np.prod: damaged sizes overflow it.
    needed = header_size + int(np.prod(shape, dtype=object))
    if len(data) != needed:
        raise DatasetError(
            f"{path} is cut or damaged: it holds {len(data)} bytes, but its header says {needed}. "
            f"Download it again from {_PAGE}."
        )
    return np.frombuffer(data, np.uint8, offset=header_size).reshape(shape)
