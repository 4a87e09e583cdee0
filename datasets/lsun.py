"""Sources: the LMDB databases of LSUN, whose values are images in WebP or JPEG: squares, or wide with bars (LSUN Cars).

Images are read from the database one by one, as they are needed. This needs the package lmdb.

Reference:
    Yu et al., 2015, "LSUN: Construction of a Large-scale Image Dataset using Deep Learning with Humans in the Loop";
    https://www.yf.io/p/lsun.
"""

import functools
import itertools
import pathlib

import numpy as np

from datasets.errors import DatasetError
from datasets.pictures import crop_center, read_picture, resize
from datasets.pyramid import check_image_shape
from datasets.source import Source
from dnnlib.optional import import_optional

_PAGE = "https://www.yf.io/p/lsun"
# Part of a file that may be missing at its end. LSUN's were only ever appended to; ours.
_FREE_PAGES = 0.01


def lsun(path, resolution=256, max_images=None):
    """Returns the Source of a database as squares: the central square of each image, resized by Lanczos.

    LSUN's images have a smaller side of 256; smaller ones are enlarged. The keys are kept in memory: 0.25 GB for the
    three million of bedrooms.

    Args:
        path: Folder of `data.mdb`, for example `bedroom_train_lmdb`.
        resolution: Side of the images, a power of two.
        max_images: Take the first images in the order of their keys only; None for all.

    Raises:
        DatasetError: The database is missing or damaged, `resolution` does not fit, or lmdb is not installed.
    """
    check_image_shape((resolution, resolution, 3))
    return _source(path, functools.partial(_decode_square, resolution), max_images)


def lsun_wide(path, width=512, height=384, max_images=None):
    """Returns the Source of a database as wide images between black bars: [width, width, 3].

    The largest central part of the aspect width:height is resized by Lanczos, and black rows are added above and below,
    equally many. Smaller images are enlarged. For memory see `lsun`.

    Args:
        path: Folder of `data.mdb`.
        width: Side of the images, a power of two.
        height: Height of the part that is not black, even and at most `width`.
        max_images: Take the first images in the order of their keys only; None for all.

    Raises:
        DatasetError: The database is missing or damaged, the size does not fit, or lmdb is not installed.
    """
    check_image_shape((width, width, 3))
    if not 0 < height <= width or height % 2:
        raise DatasetError(
            f"The height must be even, and at most the width, {width}; received {height}. Give another one."
        )
    return _source(path, functools.partial(_decode_wide, width, height), max_images)


def _source(path, decode, max_images):
    lmdb = import_optional("lmdb", "Reading LSUN's databases", "data")
    path = pathlib.Path(path)
    if not (path / "data.mdb").is_file():
        raise DatasetError(
            f"{path} has no file data.mdb. Download a category from {_PAGE}, unpack it, and give its folder."
        )
    try:
        # Without its lock file, so that the folder may be read-only; reading ahead does not pay for a random order.
        database = lmdb.open(str(path), readonly=True, lock=False, readahead=False)
        _check_size(path / "data.mdb", (database.info()["last_pgno"] + 1) * database.stat()["psize"])
        transaction = database.begin()
        keys = list(itertools.islice(transaction.cursor().iternext(values=False), max_images))
    except lmdb.Error as error:
        raise DatasetError(
            f"{path} cannot be read as an LMDB database ({error}). Download it again from {_PAGE}."
        ) from error

    def fetch(index):
        """Returns the bytes of an image, or the error for `_read` to raise, where images that fail are handled."""
        try:
            return transaction.get(keys[index])
        except lmdb.Error as error:
            return DatasetError(f"it cannot be read ({error}). Download the database again from {_PAGE}.")

    return Source(
        num_images=len(keys),
        name=lambda index: f"{path}, key {keys[index].decode('ascii', 'backslashreplace')}",
        fetch=fetch,
        decode=decode,
        left_out={"beyond --max-images": database.stat()["entries"] - len(keys)},
    )


def _check_size(path, expected):
    """Raises DatasetError if a file is cut: LMDB maps it into memory, and to read behind its end kills the process.

    A whole file may be a little smaller than it says, if its last pages were free before they were written.
    """
    size = path.stat().st_size
    if size < (1 - _FREE_PAGES) * expected:
        raise DatasetError(f"{path} is cut: it holds {size:,} bytes of {expected:,}. Download it again from {_PAGE}.")


def _read(fetched):
    if isinstance(fetched, DatasetError):
        raise fetched
    return read_picture(fetched, channels=3)


def _decode_square(resolution, fetched):
    image = _read(fetched)
    side = min(image.shape[:2])
    return resize(crop_center(image, side, side), resolution, resolution, "lanczos")


def _decode_wide(width, height, fetched):
    image = _read(fetched)
    image_height, image_width = image.shape[:2]
    part_width = min(image_width, max(1, round(image_height * width / height)))
    part_height = min(image_height, max(1, round(image_width * height / width)))
    canvas = np.zeros((width, width, 3), np.uint8)
    top = (width - height) // 2
    canvas[top : top + height] = resize(crop_center(image, part_width, part_height), width, height, "lanczos")
    return canvas
