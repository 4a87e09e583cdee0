"""What happens to images at the edges of the networks: ranges, mirroring, fading."""

import numpy as np
from keras import ops

from stylegan_tf.layers.resample import downsample, upsample


def from_uint8(images):
    """Maps uint8 images, 0 to 255, to float32 in [-1, 1]."""
    return ops.cast(images, "float32") / 127.5 - 1.0


def to_uint8(images, drange=(-1, 1), shrink=1):
    """Maps float images to uint8 as the metrics see them: rounded half up, saturated.

    Args:
        images: Float [N, H, W, C].
        drange: The values that become 0 and 255.
        shrink: Side of the box that is averaged to one pixel beforehand; divides H and W.

    Returns:
        uint8 [N, H / shrink, W / shrink, C].
    """
    if shrink > 1:
        images = downsample(images, shrink)
    low, high = drange
    scale = 255.0 / (high - low)
    images = images * scale + (0.5 - low * scale)
    return ops.cast(ops.clip(images, 0.0, 255.0), "uint8")


def to_uint8_rounded(images):
    """Maps float images in [-1, 1] to uint8 as they are saved: rounded to nearest, half to even, saturated.

    Networks make RGBA with colours multiplied by alpha; in files, and here, they are not: see `straight`.
    """
    images = ops.clip(ops.round(images * 127.5 + 127.5), 0.0, 255.0)
    return ops.cast(straight(images) if images.shape[-1] == 4 else images, "uint8")


def straight(images):
    """Divides the colours of RGBA, float [N, H, W, 4] of whole numbers from 0 to 255, by alpha; black where that is 0.

    Rounded to nearest, as `dnnlib.image_files.straight`.
    """
    colours, alpha = ops.cast(images[..., :3], "int32"), ops.cast(images[..., 3:], "int32")
    divided = (255 * colours + alpha // 2) // ops.maximum(alpha, 1)
    return ops.concatenate([ops.where(alpha > 0, ops.minimum(divided, 255), 0), alpha], axis=-1)


def picture_size(side, aspect):
    """(width, height) of the pictures that square images stand for: the longer side stays, the shorter one is even.

    Args:
        side: Side of the images.
        aspect: (width, height); None for squares.
    """
    if aspect is None:
        return side, side
    width, height = aspect
    shorter = max(2, 2 * round(side * min(aspect) / max(aspect) / 2))  # videos want it even
    return (side, shorter) if width > height else (shorter, side)


def unsqueeze(images, side, aspect):
    """Gives pictures that have been squeezed to squares their aspect back: exact means of areas, rounded half up.

    Args:
        images: uint8 [..., H, W, C]: square images, or what is laid out of them.
        side: Side of the squares.
        aspect: (width, height); None leaves the images as they are.

    Returns:
        uint8 [..., H', W', C], one of the sides shorter. Of RGBA, not multiplied by alpha, what is transparent has no
        weight in the mean of colours.
    """
    if aspect is None:
        return images
    size = picture_size(side, aspect)
    axis = -3 if size[1] < size[0] else -2
    length = images.shape[axis]
    shorter = max(1, round(length * min(size) / side))
    images = ops.cast(images, "float64")  # in which all of this is exact
    if images.shape[-1] != 4:
        sums = area_sums(images, shorter, axis)
        return ops.cast(ops.floor((2 * sums + length) / (2 * length)), "uint8")
    alpha = images[..., 3:]
    sums = area_sums(ops.concatenate([images[..., :3] * alpha, alpha], axis=-1), shorter, axis)
    colours, weight = sums[..., :3], sums[..., 3:]
    colours = ops.floor((2 * colours + weight) / ops.maximum(2 * weight, 1))
    return ops.cast(ops.concatenate([colours, ops.floor((2 * weight + length) / (2 * length))], axis=-1), "uint8")


def area_sums(values, shorter, axis):
    """Sums over equal parts of an axis, `shorter` of them, whole numbers: pixels count by how much of them is in it."""
    length = values.shape[axis]
    whole, part = np.divmod(np.arange(shorter + 1) * length, shorter)
    edge = ops.zeros_like(ops.take(values, [0], axis=axis))
    before = ops.concatenate([edge, ops.cumsum(values, axis=axis)], axis=axis)
    part = ops.reshape(ops.cast(part, values.dtype), [-1] + [1] * (-axis - 1))
    at = shorter * ops.take(before, whole, axis=axis)
    at = at + part * ops.take(ops.concatenate([values, edge], axis=axis), whole, axis=axis)
    return ops.take(at, range(1, shorter + 1), axis=axis) - ops.take(at, range(shorter), axis=axis)


def reduce(images, size):
    """Shrinks square images, [N, H, H, C], to at most `size` by averaging boxes; H / `size` an integer if more."""
    return downsample(images, images.shape[1] // size) if images.shape[1] > size else images


def mirror_images(images, mirror):
    """Flips the chosen images from left to right.

    Args:
        images: [N, H, W, C].
        mirror: Which to flip, [N], boolean or 0 and 1.
    """
    mirror = ops.reshape(ops.cast(mirror, "bool"), (-1, 1, 1, 1))
    return ops.where(mirror, ops.flip(images, axis=2), images)


def fade_images(images, fade):
    """Blends images with their half-resolution version, as the newest level fades in.

    Args:
        images: [N, H, W, C], H and W even.
        fade: Weight of the full-resolution image, scalar in [0, 1].
    """
    coarse = upsample(downsample(images))
    return coarse + fade * (images - coarse)
