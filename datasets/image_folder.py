"""Source: any picture files, in a folder, a .zip or a list."""

import collections
import functools
import json
import re

import numpy as np
from tqdm import tqdm

from datasets import pictures
from datasets.errors import DatasetError
from datasets.listing import describe_file, list_pictures, open_file
from datasets.source import Source

# Folders of five digits only divide many files, 00000/00000.png, and say nothing about them.
_NO_CLASS = re.compile(r"\d{5}")
_MAX_CLASSES = 2**16
_MAX_NUMBER = float(np.finfo(np.float32).max)


def from_images(
    source,
    *,
    resolution=None,
    crop="none",
    resize="lanczos",
    background=None,
    labels="auto",
    max_images=None,
    on_error="stop",
):
    """Returns the Source of picture files: PNG, JPEG, BMP, WebP or TIFF, sorted by path.

    Every file's header is read, so that a misfit is found in the first minute. The images are greyscale if all files
    are, otherwise RGB.

    Args:
        source: A folder, a .zip or a text file that lists files; see `datasets.listing.list_pictures`.
        resolution: Side to reduce the images to, a power of two from 4. Without it they must be of one such side.
        crop: "center" cuts out the largest square in the middle; with "none" the images must be square.
        resize: "lanczos" or "box", the filter that reduces.
        background: Colour to lay under transparent pixels; without it they are refused.
        labels: "auto" takes the labels of a dataset.json at the root ({"labels": [[file, class], ...]}, classes as
            numbers or as lists of numbers, with their names, if any, as "label_names"), or else the folders at the root
            as classes, if all files are in one of at least two; folders named by five digits are none. "none" takes no
            labels.
        max_images: How many of the first images will be wanted, so that no other headers are read; None for all.
        on_error: "stop" at the first header that cannot be used, or "skip" it: the conversion meets it again.

    Raises:
        DatasetError: An image, or a labels file, cannot be used; or there are no images.
    """
    if resolution is not None and (resolution < 4 or resolution & (resolution - 1)):
        raise DatasetError(f"--resolution must be a power of two, at least 4; received {resolution}.")
    pictures.check_background(background)
    listing = list_pictures(source)
    values, label_names = _labels(listing) if labels == "auto" else (None, None)
    side, channels = _check_headers(listing, max_images, resolution, crop, on_error)
    return Source(
        num_images=len(listing),
        name=listing.name,
        fetch=listing.fetch,
        decode=functools.partial(_decode, side, channels, resolution, crop, resize, background),
        labels=values,
        label_names=label_names,
    )


def read_file(fetched, channels=None, background=None):
    """Returns a listed picture file as `pictures.read_picture` does: uint8 [H, W, C]."""
    with open_file(fetched) as file:
        data = file.read()
    return pictures.read_picture(data, channels, background)


def _decode(side, channels, resolution, crop, filter, background, fetched):
    """`Source.decode`; the header check has found what side and channels most images have."""
    image = read_file(fetched, channels, background)
    height, width, _ = image.shape
    found = _final_side(width, height, resolution, crop)
    if found != side:
        raise _other_side(found, side)
    square = pictures.crop_center(image, min(width, height), min(width, height))
    return square if len(square) == side else pictures.resize(square, side, side, filter)


def _check_headers(listing, max_images, resolution, crop, on_error):
    """Returns the side and the number of channels that most images will have."""
    kinds = collections.Counter()
    firsts, error = {}, None
    count = min(len(listing), max_images or len(listing))
    for index in tqdm(range(count), desc="Checking", unit="img", disable=None):
        try:
            with open_file(listing.fetch(index)) as file:
                width, height, channels = pictures.read_size(file)
            side = _final_side(width, height, resolution, crop)
        except DatasetError as reason:
            error = error or DatasetError(f"{listing.name(index)}: {reason}")
            if on_error == "stop":
                raise error from reason
            continue
        kinds[side, channels] += 1
        firsts.setdefault(side, index)
    if not kinds:
        raise error
    expected = max(firsts, key=lambda side: kinds[side, 1] + kinds[side, 3])
    others = [side for side in firsts if side != expected]
    if others and on_error == "stop":
        raise DatasetError(f"{listing.name(firsts[others[0]])}: {_other_side(others[0], expected)}")
    return expected, 3 if kinds[expected, 3] else 1


def _final_side(width, height, resolution, crop):
    """Returns the side of the square image that a file becomes; DatasetError if it cannot become one."""
    if width != height and crop == "none":
        raise DatasetError(f"it is {width}x{height}, not square. Use --crop=center to cut out the middle.")
    side = min(width, height)
    size = f"{side}x{side}" if width == height else f"{side}x{side} once {width}x{height} is cropped"
    if side < (resolution or 4):
        least = f"--resolution={resolution}" if resolution else "4x4, the smallest size"
        remedy = "Choose a smaller resolution or remove it." if resolution else "Remove it."
        raise DatasetError(f"it is {size}, smaller than {least}. {remedy}")
    if resolution is None and side & (side - 1):
        raise DatasetError(
            f"it is {size}, and the side is no power of two. "
            f"Use --resolution={1 << side.bit_length() - 1} to reduce it."
        )
    return resolution or side


def _other_side(side, expected):
    return DatasetError(
        f"it is {side}x{side}, but most images are {expected}x{expected}. "
        f"Use --resolution={min(side, expected)} to make all equal, or remove it."
    )


def _labels(listing):
    """Returns labels, float32 [N, label_size], and their names; None for either there is none of."""
    if listing.labels is not None:
        return _listed_labels(listing)
    folders = [name.split("/")[0] if "/" in name else None for name in listing.names]
    classes = sorted(set(folders), key=str)
    if listing.is_list or None in classes or len(classes) < 2 or all(map(_NO_CLASS.fullmatch, classes)):
        return None, None
    numbers = {name: number for number, name in enumerate(classes)}
    return _one_hot([numbers[folder] for folder in folders]), classes


def _listed_labels(listing):
    path = describe_file(listing.labels)
    table, names = _read_labels(path, listing.labels)
    if table is None:
        return None, None
    missing = [name for name in listing.names if name not in table]
    if missing:
        raise DatasetError(
            f"{path} has no label for {len(missing)} images, the first is {missing[0]}. Add or remove it."
        )
    unknown = sorted(table.keys() - set(listing.names))
    if unknown:
        raise DatasetError(
            f"{path} lists {len(unknown)} images that are not there, the first is {unknown[0]}. Add or remove it."
        )
    values = [table[name] for name in listing.names]
    size = _label_size(values[0])
    for name, value in zip(listing.names, values, strict=True):
        if size is None or _label_size(value) != size:
            raise DatasetError(
                f"{path} labels {name} with {json.dumps(value)}. Labels must all be classes, numbers from 0 to "
                f"{_MAX_CLASSES - 1}, or all be lists of equally many numbers."
            )
    if size:
        labels = np.array(values, np.float32)
    else:
        labels = _one_hot(values, len(names or ()))
        names = names or [str(number) for number in range(labels.shape[1])]
    if names and len(names) != labels.shape[1]:
        raise DatasetError(
            f"{path} has {len(names)} label_names for {labels.shape[1]} columns of labels. Correct or remove them."
        )
    return labels, names


def _read_labels(path, fetched):
    """Returns {file: label} of a dataset.json, or None if it says that there are no labels, and their names or None."""
    try:
        with open_file(fetched) as file:
            content = json.loads(file.read())
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error
    except ValueError as error:
        raise DatasetError(f"{path} is no JSON file ({error}). Repair or remove it.") from error
    if not isinstance(content, dict) or not isinstance(content.get("labels", ()), list | None):
        raise DatasetError(f'{path} must hold {{"labels": [[file, class], ...]}}. Correct or remove it.')
    names = content.get("label_names")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise DatasetError(f"{path} has label_names that are no list of texts. Correct or remove them.")
    if content["labels"] is None:
        return None, None
    table = {}
    for pair in content["labels"]:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise DatasetError(f"{path} has {json.dumps(pair)} where [file, class] must be. Correct it.")
        if pair[0] in table:
            raise DatasetError(f"{path} lists {pair[0]} twice. Correct it.")
        table[pair[0]] = pair[1]
    return table, names


def _label_size(value):
    """Returns 0 for a class, the length of a list of numbers, and None for anything else."""
    if type(value) is int and 0 <= value < _MAX_CLASSES:
        return 0
    if isinstance(value, list) and value and all(map(_is_number, value)):
        return len(value)
    return None


def _is_number(value):
    return type(value) in (int, float) and abs(value) <= _MAX_NUMBER


def _one_hot(classes, least=0):
    """Returns labels with a column for each class up to the highest, and at least so many."""
    labels = np.zeros((len(classes), max(*classes, least - 1, 0) + 1), np.float32)
    labels[np.arange(len(classes)), classes] = 1
    return labels
