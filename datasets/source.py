"""Where images come from, and what a worker process does with them; sources import this file, and no TensorFlow."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from datasets.errors import DatasetError
from datasets.pyramid import check_image_shape, describe_shape, encode, pyramid


@dataclass(frozen=True)
class Source:
    """Images on their way into a data set.

    Attributes:
        num_images: Number of images.
        name: name(index) is what messages call an image: a path, or `train-images.gz, image 7`.
        fetch: fetch(index) returns what `decode` needs, in the main process: a path, the bytes of a file, an array; or,
            where reading one image fails, the DatasetError that `decode` raises.
        decode: decode(fetched) returns the image, uint8 [H, W, C], in a worker process; it is a function of a module or
            a functools.partial of one. Raises DatasetError, without the image's name, if the image cannot be used.
        labels: Numbers [num_images, label_size], or None.
        label_names: What the columns of the labels mean, or None.
        origin: Where the labels are from, such as "from NAME.npy"; without labels, why there are none, if that is to be
            said.
        notes: Lines about what the source made of what it found.
        left_out: {what: count} of what it found and does not take.
        num_unusable: Images of which it is known already that `decode` will fail.
        files: {suffix: text} of files NAME-SUFFIX that the data set gets besides.
    """

    num_images: int
    name: Callable[[int], str]
    fetch: Callable[[int], object]
    decode: Callable[[object], np.ndarray]
    labels: np.ndarray | None = None
    label_names: list | None = None
    origin: str = ""
    notes: tuple = ()
    left_out: dict = field(default_factory=dict)
    num_unusable: int = 0
    files: dict = field(default_factory=dict)


def encode_images(decode, shape, encoding, quality, fetched):
    """The work of one task.

    Args:
        decode: `Source.decode`.
        shape: Shape that all images must have, (H, W, C).
        encoding: "raw", "png" or "jpeg".
        quality: Quality of JPEGs.
        fetched: What `Source.fetch` returned for each image.

    Returns:
        For each image a list of the bytes of its levels, from 4x4 up, or the DatasetError that it met.
    """
    return [_encode_image(decode, shape, encoding, quality, item) for item in fetched]


def _encode_image(decode, shape, encoding, quality, item):
    try:
        image = decode(item)
        check_image_shape(image.shape)
    except DatasetError as error:
        return error
    if image.shape != shape:
        return DatasetError(
            f"it is {describe_shape(image.shape)}, but the first is {describe_shape(shape)}. "
            "Convert all to one size and number of channels, remove this one, or use --on-error=skip."
        )
    return [encode(level, encoding, quality) for level in pyramid(image)]
