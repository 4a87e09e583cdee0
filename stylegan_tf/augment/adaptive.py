"""ADA's pipeline: every transform with a probability of its own, in the paper's order.

Reference:
    Karras et al., 2020a, "Training Generative Adversarial Networks with Limited Data", appendix B.
"""

import math

import numpy as np
from keras import ops

from stylegan_tf.augment.colors import MATRICES, change_colors, color_map
from stylegan_tf.augment.frequency_bands import band_gains, filter_bands
from stylegan_tf.augment.geometry import INVERSES, inverse_map, resample
from stylegan_tf.augment.pipelines import Strengths, steps_of

STRENGTHS = Strengths()


def augment(images, draws, p, multipliers, strengths=STRENGTHS):
    """Augments images as D may see them; nothing is clipped, and gradients of all orders flow through.

    Args:
        images: [N, H, W, C] in [-1, 1], N known.
        draws: {name: [N], or [N, 2] for x and y} of all `STEPS` with a multiplier and of their gates; and "noise",
            standard normal, [N, H, W, C], for the transform of that name.
        p: Probability that the multipliers are multiplied with: a scalar, at least 0.
        multipliers: {transform: number}; those that are missing or 0 are left out.
        strengths: Strengths.

    Returns:
        [N, H, W, C].

    Raises:
        ValueError: Colours are asked for of images that have neither 1 channel nor 3, or the filter of images below 22
            pixels.
    """
    found = parameters(draws, p, multipliers, strengths, images.shape[1:])
    if not INVERSES.keys().isdisjoint(found):
        images = resample(images, inverse_map(found))
    if not MATRICES.keys().isdisjoint(found):
        images = change_colors(images, color_map(found))
    if "imgfilter_band0" in found:
        images = filter_bands(images, band_gains([found[f"imgfilter_band{band}"] for band in range(4)]))
    if "noise_sigma" in found:
        images = images + ops.reshape(found["noise_sigma"], (-1, 1, 1, 1)) * draws["noise"]
    if "cutout_size" in found:
        images = cut_out(images, found["cutout_size"], found["cutout_center"])
    return images


def parameters(draws, p, multipliers, strengths, shape):
    """What enters the transforms: scaled draws where the gate is open, and what changes nothing where it is closed.

    Args:
        draws, p, multipliers, strengths: See `augment`.
        shape: [H, W, C] of the images.

    Returns:
        {name of a step: [N] or [N, 2]}, shifts in pixels and angles in radians; for the cutout, "cutout_size" and
        "cutout_center".
    """
    height, width, channels = shape
    found = {}
    for step in steps_of(multipliers, channels):
        draw = draws[step.name]
        is_open = draws[step.gate] < probability(step, p, multipliers, strengths)
        if step.transform == "cutout":
            found["cutout_size"] = ops.where(is_open, ops.full_like(draw[:, 0], strengths.cutout_size), 0)
            found["cutout_center"] = draw
            continue
        size = ops.convert_to_tensor(np.array([width, height]), draw.dtype) if step.numbers == 2 else None
        value, neutral = scaled(step.transform, draw, strengths, size)
        found[step.name] = ops.where(is_open if size is None else ops.expand_dims(is_open, 1), value, neutral)
    return found


def probability(step, p, multipliers, strengths):
    """The probability that a step's gate is open; above 1 it always is."""
    product = multipliers[step.transform] * p
    if step.transform == "rotate":
        # There are two: at least one of them with that probability.
        return 1 - ops.sqrt(ops.clip(1 - product, 0, 1))
    if step.transform == "imgfilter":
        return product * strengths.imgfilter_bands[int(step.name[-1])]
    return product


def scaled(transform, draw, strengths, size):
    """(the parameter that a draw stands for, the one that changes nothing); `size` is [W, H] for shifts."""
    s = strengths
    if transform in ("xflip", "lumaflip"):
        return ops.floor(2 * draw), 0
    if transform == "rotate90":
        return ops.floor(4 * draw), 0
    if transform == "xint":
        return ops.round((2 * draw - 1) * s.xint_max * size), 0
    if transform == "xfrac":
        return draw * s.xfrac_std * size, 0
    if transform in ("rotate", "hue"):
        return (2 * draw - 1) * (math.pi * (s.rotate_max if transform == "rotate" else s.hue_max)), 0
    if transform == "brightness":
        return draw * s.brightness_std, 0
    if transform == "noise":
        return ops.abs(draw) * s.noise_std, 0
    # scale, aniso, contrast, saturation, imgfilter: factors.
    return 2 ** (draw * getattr(s, f"{transform}_std")), 1


def cut_out(images, size, center):
    """Zeros in boxes of a size, [N], and a centre, [N, 2] as (x, y), that are shares of the images' sides."""
    _, height, width, _ = images.shape

    def inside(pixels, middle):
        places = ops.convert_to_tensor((np.arange(pixels) + 0.5) / pixels, images.dtype)
        return ops.abs(places - ops.expand_dims(middle, 1)) < ops.expand_dims(size, 1) / 2

    x, y = inside(width, center[:, 0]), inside(height, center[:, 1])
    box = ops.expand_dims(y, 2) & ops.expand_dims(x, 1)
    return ops.where(ops.expand_dims(box, 3), 0, images)
