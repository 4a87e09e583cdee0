"""Source: a folder of image files."""

import pathlib

import numpy as np
from PIL import Image
from tqdm import tqdm

from datasets.tfrecords import DatasetError, MultiResolutionWriter, check_image_shape, describe_shape, shuffled_order

_EXTENSIONS = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}
_CHANNELS = {"L": 1, "RGB": 3}


def create_from_images(out, source_folder, shuffle=True):
    """Creates a data set without labels from all images in a folder and the folders in it, sorted by path.

    Every file's header is read before anything is written, so that a misfit is found in the first minute.

    Args:
        out: Folder of the data set to create.
        source_folder: Folder of PNG, JPEG, BMP, WebP or TIFF files, all greyscale or all RGB, of one size: square, the
            side a power of two. Files of other types and hidden files are ignored.
        shuffle: Store them in the reference's shuffled order instead of the sorted one.

    Raises:
        DatasetError: `out` exists, there are no images, or one cannot be read or does not fit.
    """
    paths = _find_images(pathlib.Path(source_folder))
    with MultiResolutionWriter(out) as writer:
        _check_headers(paths)
        order = shuffled_order(len(paths)) if shuffle else range(len(paths))
        for index in tqdm(order, desc=f"Writing {out}", unit="img", disable=None):
            writer.add_image(_load(paths[index]))


def _find_images(folder):
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder. Give a folder of images.")
    paths = [path for path in folder.rglob("*") if path.suffix.lower() in _EXTENSIONS and not path.name.startswith(".")]
    if not paths:
        raise DatasetError(f"{folder} holds no images ({', '.join(sorted(_EXTENSIONS))}). Give another folder.")
    return sorted(paths)


def _check_headers(paths):
    """Raises DatasetError, naming the file, unless all images fit the format and each other."""
    first = None
    for path in tqdm(paths, desc="Checking", unit="img", disable=None):
        with _open(path) as image:
            if image.mode not in _CHANNELS:
                raise DatasetError(
                    f"{path} has mode {image.mode}; images must be 8-bit greyscale (L) or RGB. "
                    "Convert it, e.g. with Pillow: Image.open(path).convert('RGB')."
                )
            shape = (image.height, image.width, _CHANNELS[image.mode])
        try:
            check_image_shape(shape)
        except DatasetError as error:
            raise DatasetError(f"{path}: {error}") from None
        first = first or shape
        if shape != first:
            raise DatasetError(
                f"{path} is {describe_shape(shape)}, but {paths[0]} is {describe_shape(first)}. "
                "Convert all images to one size and to greyscale or RGB, or remove this one."
            )


def _open(path):
    try:
        return Image.open(path)
    except (OSError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path} cannot be read as an image. Repair or remove it.") from error


def _load(path):
    """Returns an image, uint8 [H, W, C]."""
    with _open(path) as image:
        try:
            pixels = np.asarray(image)
        except (OSError, SyntaxError, ValueError) as error:  # all three are Pillow's, SyntaxError for PNG chunks
            raise DatasetError(f"{path} is damaged ({error}). Repair or remove it.") from error
    return pixels.reshape(*pixels.shape[:2], -1)
