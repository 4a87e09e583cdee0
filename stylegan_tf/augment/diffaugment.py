"""DiffAugment: colours, translation and cutout of every image (Zhao et al., 2020)."""

import numpy as np
from keras import ops

from stylegan_tf.augment.geometry import read_pixels
from stylegan_tf.augment.pipelines import POLICIES


def augment(images, draws, policy=POLICIES):
    """Augments images as D may see them; gradients of all orders flow through.

    Args:
        images: [N, H, W, C] in [-1, 1], N known.
        draws: {name: [N]} for the `draw_ranges` of these images.
        policy: Some of `POLICIES`, in the order in which they are applied.

    Returns:
        [N, H, W, C].
    """
    for name in policy:
        images = APPLIED[name](images, draws)
    return images


def draw_ranges(policy, height, width):
    """{name: (least, number of values)} of the integers that are drawn uniformly; None for numbers in [0, 1)."""
    ranges = {}
    for name in policy:
        if name == "color":
            ranges |= dict.fromkeys(("brightness", "saturation", "contrast"))
            continue
        for axis, size in (("row", height), ("col", width)):
            if name == "translation":
                most = share(size, 8)
                ranges[f"translation_{axis}"] = -most, 2 * most + 1
            else:
                ranges[f"cutout_{axis}"] = 0, size + 1 - share(size, 2) % 2
    return ranges


def share(size, parts):
    """A part of a side, rounded to the next pixel."""
    return int(size / parts + 0.5)


def change_colors(images, draws):
    brightness, saturation, contrast = (
        ops.reshape(draws[name], (-1, 1, 1, 1)) for name in ("brightness", "saturation", "contrast")
    )
    images = images + (brightness - 0.5)
    grey = ops.mean(images, axis=3, keepdims=True)
    images = (images - grey) * (2 * saturation) + grey
    middle = ops.mean(images, axis=(1, 2, 3), keepdims=True)
    return (images - middle) * (contrast + 0.5) + middle


def translate(images, draws):
    """Moves the picture up and to the left by the draws; zeros come in."""
    count, height, width, _ = images.shape
    rows = np.arange(height)[None, :, None] + ops.reshape(draws["translation_row"], (-1, 1, 1))
    columns = np.arange(width)[None, None, :] + ops.reshape(draws["translation_col"], (-1, 1, 1))
    return read_pixels(images, *(ops.broadcast_to(places, (count, height, width)) for places in (rows, columns)))


def cut_out(images, draws):
    """Zeros in a box of half the sides, which may reach over the edges."""

    def inside(size, offset):
        box = share(size, 2)
        places = np.arange(size)[None, :] - ops.expand_dims(offset, 1) + box // 2
        return (places >= 0) & (places < box)

    rows, columns = inside(images.shape[1], draws["cutout_row"]), inside(images.shape[2], draws["cutout_col"])
    box = ops.expand_dims(rows, 2) & ops.expand_dims(columns, 1)
    return ops.where(ops.expand_dims(box, 3), 0, images)


APPLIED = {"color": change_colors, "translation": translate, "cutout": cut_out}
