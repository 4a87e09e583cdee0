"""ADA's colour transforms: one affine map of the colours an image. Nothing is clipped."""

import numpy as np
from keras import ops

# Projection on the axis of luma, (1, 1, 1), and the cross product with its unit vector; the fourth entry is the offset.
LUMA = np.pad(np.full((3, 3), 1 / 3), (0, 1))
CROSS = np.pad(np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3), (0, 1))
IDENTITY = np.eye(4)
COLORS = np.diag([1.0, 1.0, 1.0, 0.0])
OFFSET = IDENTITY - COLORS
SHIFT = np.outer([1, 1, 1, 0], [0, 0, 0, 1])


def matrices(*terms):
    """[N, 4, 4]: the sum of constant matrices, each times a number or [N]."""
    dtype = next(factor.dtype for factor, _ in terms if hasattr(factor, "dtype"))
    total = 0
    for factor, constant in terms:
        if hasattr(factor, "shape"):
            factor = ops.reshape(factor, (-1, 1, 1))
        total = total + factor * ops.convert_to_tensor(constant, dtype)
    return total


MATRICES = {
    "brightness": lambda b: matrices((1, IDENTITY), (b, SHIFT)),
    "contrast": lambda c: matrices((c, COLORS), (1, OFFSET)),
    "lumaflip": lambda i: matrices((1, IDENTITY), (-2 * i, LUMA)),
    "hue": lambda angle: matrices((1, LUMA + OFFSET), (ops.cos(angle), COLORS - LUMA), (ops.sin(angle), CROSS)),
    "saturation": lambda s: matrices((1, LUMA + OFFSET), (s, COLORS - LUMA)),
}


def color_map(parameters):
    """All colour transforms together.

    Args:
        parameters: {name of a step: [N]} with at least one of `MATRICES`.

    Returns:
        [N, 4, 4], which takes (red, green, blue, 1) to the new colours.
    """
    total = None
    for name, matrix in MATRICES.items():
        if name in parameters:
            factor = matrix(parameters[name])
            total = factor if total is None else ops.matmul(factor, total)
    return total


def change_colors(images, color_map):
    """Applies [N, 4, 4] to images, [N, H, W, 3], or, as its effect on grey, [N, H, W, 1]."""
    gain, offset = color_map[:, :3, :3], color_map[:, :3, 3]
    if images.shape[3] == 1:
        gain, offset = ops.sum(gain, axis=(1, 2)) / 3, ops.mean(offset, axis=1)
        return images * ops.reshape(gain, (-1, 1, 1, 1)) + ops.reshape(offset, (-1, 1, 1, 1))
    pixels = ops.reshape(images, (-1, images.shape[1] * images.shape[2], 3))
    changed = ops.matmul(pixels, ops.transpose(gain, (0, 2, 1))) + ops.expand_dims(offset, 1)
    return ops.reshape(changed, (-1, *images.shape[1:]))
