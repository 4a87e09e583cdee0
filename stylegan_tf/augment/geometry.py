"""ADA's geometric transforms: one affine map an image, and one resampling, which keeps an unmoved image as it is.

Coordinates are in pixels from the centre of the image, x to the right and y downwards.
"""

import math

import numpy as np
from keras import ops

from stylegan_tf.layers.resample import upfirdn

# Low-pass filter of the orthogonal wavelet sym6, Daubechies' least asymmetric with 12 taps.
SYM6 = (
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
    *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
    *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
)
TAPS = np.array(SYM6) / sum(SYM6)
# Output pixels beyond each edge that the filter on the way back looks at.
MARGIN = len(SYM6) // 4


def matrix(rows):
    """[N, 3, 3] of two rows of three entries each, [N] or numbers; the third row is (0, 0, 1)."""
    rows = [*rows, (0, 0, 1)]
    like = next(entry for row in rows for entry in row if not isinstance(entry, (int, float)))
    full = [[entry if hasattr(entry, "shape") else ops.full_like(like, entry) for entry in row] for row in rows]
    return ops.stack([ops.stack(row, axis=1) for row in full], axis=1)


def shift(t):
    return matrix([(1, 0, -t[:, 0]), (0, 1, -t[:, 1])])


def stretch(x, y):
    return matrix([(x, 0, 0), (0, y, 0)])


def rotation(angle):
    return matrix([(ops.cos(angle), -ops.sin(angle), 0), (ops.sin(angle), ops.cos(angle), 0)])


# What takes a position in the output to that in the input which it is read from.
INVERSES = {
    "xflip": lambda i: stretch(1 - 2 * i, 1),
    "rotate90": lambda k: rotation(k * (math.pi / 2)),
    "xint": shift,
    "scale": lambda s: stretch(1 / s, 1 / s),
    "rotate_pre": rotation,
    "aniso": lambda s: stretch(1 / s, s),
    "rotate_post": rotation,
    "xfrac": shift,
}


def inverse_map(parameters):
    """The inverse of all geometric transforms together.

    Args:
        parameters: {name of a step: [N] or [N, 2]} with at least one of `INVERSES`; shifts are in pixels.

    Returns:
        [N, 3, 3], which takes (x, y, 1) of the output to (x, y, 1) of the input.
    """
    total = None
    for name, inverse in INVERSES.items():
        if name in parameters:
            factor = inverse(parameters[name])
            total = factor if total is None else ops.matmul(total, factor)
    return total


def resample(images, inverse):
    """Reads images at other places: doubled, read between the pixels, and halved, with a wavelet's low-pass filter.

    Beyond its edges an image is reflected, once in every direction; further away are zeros.

    Args:
        images: [N, H, W, C], N known.
        inverse: [N, 3, 3], see `inverse_map`.

    Returns:
        [N, H, W, C].

    Reference:
        Karras et al., 2020a, appendix B.2. They reflect as many pixels as a batch needs. Here it is always all there
        are: shapes are static, an image does not depend on its batch, and the difference is below 1e-4.
    """
    _, height, width, _ = images.shape
    border = [(0, 0), (height - 1, height - 1), (width - 1, width - 1), (0, 0)]
    doubled = double(ops.pad(images, border, mode="reflect"))
    x = ops.convert_to_tensor(grid(width)[None, None, :], images.dtype)
    y = ops.convert_to_tensor(grid(height)[None, :, None], images.dtype)
    entries = ops.reshape(inverse, (-1, 9, 1, 1))
    column, row = (entries[:, i] * x + entries[:, i + 1] * y + entries[:, i + 2] for i in (0, 3))
    # From the centre to the doubled, reflected image, in which pixel i is number 2 i.
    samples = read_between(doubled, 2 * row + 3 * (height - 1), 2 * column + 3 * (width - 1))
    return halve(samples)


def grid(size):
    """Places of the doubled output along an axis: every half pixel, and beyond the edges those that `halve` needs."""
    return np.arange(2 * (size + 2 * MARGIN)) / 2 - MARGIN - (size - 1) / 2


def double(x):
    """[N, H, W, C] to [N, 2 H, 2 W, C]: zeros between the pixels, and the filter."""
    taps, half = 2 * TAPS, len(TAPS) // 2
    x = upfirdn(x, taps[None, :], up=(1, 2), padding=((0, 0), (half, half - 1)))
    return upfirdn(x, taps[:, None], up=(2, 1), padding=((half, half - 1), (0, 0)))


def halve(x):
    """The filter in the other direction, and every second sample: takes away `MARGIN` pixels on each side."""
    taps = TAPS[::-1]
    x = upfirdn(x, taps[None, :], down=(1, 2), padding=((0, 0), (-1, 0)))
    return upfirdn(x, taps[:, None], down=(2, 1), padding=((-1, 0), (0, 0)))


def read_between(images, rows, columns):
    """Reads [N, H, W, C] at places between the pixels, [N, H', W'] each, bilinearly; outside are zeros."""
    top, left = ops.floor(rows), ops.floor(columns)
    down, right = ops.expand_dims(rows - top, 3), ops.expand_dims(columns - left, 3)
    top, left = ops.cast(top, "int32"), ops.cast(left, "int32")

    def line(row):
        return (1 - right) * read_pixels(images, row, left) + right * read_pixels(images, row, left + 1)

    return (1 - down) * line(top) + down * line(top + 1)


def read_pixels(images, rows, columns):
    """The pixels of [N, H, W, C] at places [N, H', W'], integers: [N, H', W', C]; outside are zeros.

    A gather, whose first and second derivatives are exact on every backend.
    """
    count, height, width, channels = images.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    image = np.arange(count, dtype="int32")[:, None, None]
    place = (image * height + ops.clip(rows, 0, height - 1)) * width + ops.clip(columns, 0, width - 1)
    pixels = ops.take(ops.reshape(images, (-1, channels)), place, axis=0)
    return ops.where(ops.expand_dims(inside, 3), pixels, 0)
