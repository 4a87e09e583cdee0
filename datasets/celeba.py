"""Sources: CelebA, 202,599 aligned faces, and CelebA-HQ, 30,000 of them at 1024x1024 with 40 attributes."""

import functools
import re
from pathlib import Path, PurePosixPath

import numpy as np

from datasets.errors import DatasetError
from datasets.image_folder import read_file
from datasets.listing import list_pictures, numbered
from datasets.source import Source

_ALIGNED = re.compile(r"(\d{6})\.jpg")
_HQ = re.compile(r"(\d+)\.(?:jpg|png)")
# The crop of Progressive GAN (Karras et al., 2017) from CelebA's 178x218: 128x128 around this point.
_WIDTH, _HEIGHT = 178, 218
_CENTER_X, _CENTER_Y = 89, 121
_HALF = 64


def celeba(source):
    """Returns the Source of CelebA, RGB, the faces cut out as 128x128.

    Args:
        source: The folder img_align_celeba with 000001.jpg to 202599.jpg, one with it in it, or a .zip of either.

    Raises:
        DatasetError: There are no such images.
    """
    listing = _ordered(list_pictures(source).within("img_align_celeba"), _ALIGNED, "000001.jpg")
    return Source(len(listing), listing.name, listing.fetch, _decode_aligned, left_out=listing.left_out)


def celebahq(source, *, attributes=None):
    """Returns the Source of CelebA-HQ, RGB, in the order of the images' numbers.

    Args:
        source: A folder or a .zip with 0.jpg to 29999.jpg, or .png, in any folders.
        attributes: Published list of attributes: a line with the number of images, one with the names of the
            attributes, and for each image one as `0.jpg -1 1 ...`. 1 becomes a label of 1, -1 one of 0.

    Raises:
        DatasetError: There are no such images, or the list of attributes does not fit.
    """
    listing = _ordered(list_pictures(source).within("CelebA-HQ-img"), _HQ, "0.jpg")
    labels, names = (None, None) if attributes is None else _attributes(Path(attributes).expanduser(), listing)
    decode = functools.partial(read_file, channels=3)
    origin = f"from {attributes}" if attributes else "no --attributes were given"
    return Source(len(listing), listing.name, listing.fetch, decode, labels, names, origin, left_out=listing.left_out)


def _ordered(listing, pattern, example):
    indices = numbered(listing, pattern, example)
    return listing.subset((indices[number] for number in sorted(indices)), f"not called as {example}")


def _decode_aligned(fetched):
    image = read_file(fetched, channels=3)
    height, width, _ = image.shape
    if (width, height) != (_WIDTH, _HEIGHT):
        raise DatasetError(f"it is {width}x{height}, not {_WIDTH}x{_HEIGHT} as CelebA's aligned images. Remove it.")
    return image[_CENTER_Y - _HALF : _CENTER_Y + _HALF, _CENTER_X - _HALF : _CENTER_X + _HALF]


def _attributes(path, listing):
    """Returns labels, float32 [N, number of attributes], and the names of the attributes."""
    names, table = _read_attributes(path)
    stems = [PurePosixPath(name).stem for name in listing.names]
    missing = [name for name, stem in zip(listing.names, stems, strict=True) if stem not in table]
    if missing:
        raise DatasetError(
            f"{path} has no line for {len(missing):,} images, the first is {missing[0]}. Give the list of these images."
        )
    return np.stack([table[stem] for stem in stems]), names


def _read_attributes(path):
    """Returns the names of the attributes and {name of the image without its type: float32 [number of attributes]}."""
    try:
        lines = path.read_text(encoding="utf-8").strip().splitlines()
        count, names, rows = int(lines[0]), lines[1].split(), lines[2:]
    except (ValueError, IndexError) as error:
        raise DatasetError(
            f"{path} is no list of attributes: a line with the number of images, one with the names of the attributes, "
            "and one for each image. Give the published file."
        ) from error
    if len(rows) != count:
        raise DatasetError(f"{path} says {count:,} images and has lines for {len(rows):,}. Give the published file.")
    table = {}
    for number, row in enumerate(rows, start=3):
        image, *values = row.split() or [""]
        if len(values) != len(names) or not set(values) <= {"1", "-1"}:
            raise DatasetError(
                f"{path}, line {number}: there must be an image and {len(names)} values of 1 or -1. Correct it."
            )
        table[PurePosixPath(image).stem] = np.array([value == "1" for value in values], np.float32)
    if len(table) != count:
        raise DatasetError(f"{path} lists an image twice. Give the published file.")
    return names, table
