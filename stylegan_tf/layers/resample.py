"""Changes of resolution: nearest up, box down, and the low-pass filters that go with them or take their place."""

import keras
import numpy as np
from keras import ops


def upsample(x, factor=2):
    """Enlarges [N, H, W, C] by repeating every pixel `factor` times in both directions (nearest neighbour)."""
    if factor == 1:
        return x
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height, 1, width, 1, channels))
    x = ops.tile(x, (1, 1, factor, 1, factor, 1))
    return ops.reshape(x, (-1, height * factor, width * factor, channels))


def downsample(x, factor=2):
    """Shrinks [N, H, W, C] to the mean of every `factor` x `factor` box; H and W must be multiples of `factor`."""
    return ops.average_pool(x, factor, factor, padding="valid", data_format="channels_last")


def smear(kernel, scale=1.0, rotate=False):
    """Sums the four copies of a kernel that are shifted by one pixel: [k, k, A, B] -> [k + 1, k + 1, A, B].

    Convolving with the result is convolving with the kernel before (or after) a 2 x 2 box sum. It is a linear map of
    the k^2 taps, computed as one: slices would cost more in the backward pass than some of the convolutions.

    Args:
        kernel: [k, k, A, B].
        scale: Factor on the result.
        rotate: Whether to turn the kernel by 180 degrees first.
    """
    size, _, a, b = kernel.shape
    shift = np.eye(size + 1, size) + np.eye(size + 1, size, k=-1)
    taps = np.kron(shift, shift) * scale
    taps = ops.convert_to_tensor(taps[:, ::-1] if rotate else taps, kernel.dtype)
    smeared = ops.matmul(taps, ops.reshape(kernel, (size * size, a * b)))
    return ops.reshape(smeared, (size + 1, size + 1, a, b))


@keras.saving.register_keras_serializable(package="stylegan_tf")
class Blur(keras.layers.Layer):
    """Low-pass filters every feature map with a separable, normalised filter; outside the image are zeros.

    Args:
        blur_filter: One-dimensional filter taps, (1, 2, 1) in the paper. ValueError if their sum is 0.

    Call arguments:
        x: [N, H, W, C].

    Reference:
        Karras et al., 2018, section 2 ("bilinear up/down").
    """

    def __init__(self, blur_filter=(1, 2, 1), **kwargs):
        super().__init__(**kwargs)
        self.blur_filter = tuple(blur_filter)
        if sum(self.blur_filter) == 0:
            raise ValueError(f"blur_filter must have a sum that is not 0; received {self.blur_filter}.")

    def call(self, x):
        taps = np.asarray(self.blur_filter, "float32")
        kernel = np.outer(taps, taps) / taps.sum() ** 2
        kernel = np.tile(kernel[:, :, None, None], (1, 1, x.shape[-1], 1))
        kernel = ops.convert_to_tensor(kernel, x.dtype)
        return ops.depthwise_conv(x, kernel, padding="same", data_format="channels_last")

    def get_config(self):
        return {**super().get_config(), "blur_filter": self.blur_filter}


def fir_kernel(taps, gain=1.0):
    """The two-dimensional filter of one-dimensional taps: their outer product, [n, n], with a sum of `gain`."""
    taps = np.asarray(taps, "float64")
    return np.outer(taps, taps) * (gain / taps.sum() ** 2)


def upfirdn(x, kernel, up=(1, 1), down=(1, 1), padding=((0, 0), (0, 0))):
    """Puts zeros between the pixels, convolves every feature map with a filter, and keeps some of the pixels.

    The zeros are never multiplied: each of the up x up grids of output pixels is the input, filtered with some of the
    taps.

    Args:
        x: [N, H, W, C].
        kernel: The filter, an array, [kh, kw], at least as large as `up`; it is used as it is, whatever its sum.
        up: Rows and columns that every one of `x` becomes; the new ones are zeros, after the old one.
        down: Distances of the rows and columns that are kept, from the first one on.
        padding: Rows of zeros that are put above and below before the filter, then columns on the left and right.
            Negative numbers take away.

    Returns:
        [N, ceil((H up + padding - kh + 1) / down), ceil((W up + padding - kw + 1) / down), C].
    """
    kernel = np.asarray(kernel)[::-1, ::-1]  # a convolution; the backends correlate
    rows, columns = (
        UpsampledAxis(*arguments) for arguments in zip(x.shape[1:3], kernel.shape, up, padding, strict=True)
    )
    x = ops.pad(x, [(0, 0), rows.border, columns.border, (0, 0)])
    if tuple(up) != (1, 1):
        enlarge = enlarge_at_once if x.shape[-1] <= FEW_MAPS else enlarge_by_phases
        y = cropped(enlarge(x, kernel, rows, columns), slice(0, rows.size), slice(0, columns.size))
        return y if tuple(down) == (1, 1) else y[:, :: down[0], :: down[1]]
    stride = down[0] if down[0] == down[1] else 1
    y = filter_maps(cropped(x, rows.phases[0][0], columns.phases[0][0]), kernel, stride)
    return y if (stride, stride) == tuple(down) else y[:, :: down[0], :: down[1]]


# Up to so many maps, as images have, one convolution of all of them is faster than one of each for every phase.
FEW_MAPS = 4


def enlarge_at_once(x, kernel, rows, columns):
    """The upsampling of `upfirdn` as one convolution, which makes a map of each phase, from all maps to all.

    Args:
        x: Maps with their borders, [N, H, W, C].
        kernel: The turned filter.
        rows, columns: UpsampledAxis.
    """
    channels, windows = x.shape[-1], (rows.window, columns.window)
    taps = np.einsum("apk,bql,kl,cd->abcpqd", rows.taps_in_window, columns.taps_in_window, kernel, np.eye(channels))
    taps = ops.convert_to_tensor(taps.reshape(*taps.shape[:3], -1), x.dtype)
    y = ops.conv(cropped(x, *windows), taps, padding="valid", data_format="channels_last")
    up = len(rows.phases), len(columns.phases)
    y = ops.transpose(ops.reshape(y, (-1, rows.count, columns.count, *up, channels)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(y, (-1, rows.count * up[0], columns.count * up[1], channels))


def enlarge_by_phases(x, kernel, rows, columns):
    """The same as one convolution of each map for each phase, with only those taps that meet a pixel and no zero."""

    def phase(row, column):
        (row_pixels, row_taps), (column_pixels, column_taps) = row, column
        return filter_maps(cropped(x, row_pixels, column_pixels), kernel[row_taps, column_taps])

    y = ops.stack([ops.stack([phase(row, column) for column in columns.phases], axis=3) for row in rows.phases], axis=2)
    return ops.reshape(y, (-1, y.shape[1] * y.shape[2], y.shape[3] * y.shape[4], x.shape[-1]))


def filter_maps(x, taps, stride=1):
    """Correlates every map of [N, H, W, C] with the same taps, an array [kh, kw], without padding."""
    taps = ops.convert_to_tensor(np.tile(taps[:, :, None, None], (1, 1, x.shape[-1], 1)), x.dtype)
    return ops.depthwise_conv(x, taps, strides=stride, padding="valid", data_format="channels_last")


def cropped(x, rows, columns):
    """Those rows and columns, slices; x itself if they are all: the gradient of a slice that takes all still copies."""
    if (rows.stop - rows.start, columns.stop - columns.start) == tuple(x.shape[1:3]):
        return x
    return x[:, rows, columns]


class UpsampledAxis:
    """One axis of `upfirdn`, up to the filter: which pixels and which taps make every `up`-th output.

    Args:
        size: Pixels of the input.
        taps: Taps of the filter.
        up, padding: Of this axis.

    Attributes:
        size: Number of outputs.
        count: Number of outputs of each phase, of which `up` follow each other; the last ones may be beyond `size`.
        border: Zeros that the input needs, (before, after).
        phases: [(slice of the pixels with that border, slice of the turned filter)] of the outputs 0, up, 2 up, ...; of
            1, up + 1, ...; and so on. All make as many outputs.
        window: Slice of the pixels with that border that all phases together take.
        taps_in_window: Which tap of the turned filter a phase has at which place of its window, 0 or 1,
            [places, up, taps].
    """

    def __init__(self, size, taps, up, padding):
        if taps < up:
            raise ValueError(f"A filter that enlarges {up} times needs at least {up} taps; received {taps}.")
        before, after = padding
        self.size = size * up + before + after - taps + 1
        count = self.count = -(-self.size // up)
        firsts = [(before - phase) % up for phase in range(up)]  # the first taps that meet a pixel and no zero
        starts = [(phase + first - before) // up for phase, first in enumerate(firsts)]
        lengths = [count - 1 + len(range(first, taps, up)) for first in firsts]
        above = max(0, -min(starts))
        self.border = (above, max(0, max(s + n for s, n in zip(starts, lengths, strict=True)) - size))
        self.phases = [
            (slice(start + above, start + above + length), slice(first, None, up))
            for start, length, first in zip(starts, lengths, firsts, strict=True)
        ]
        ends = [start + length for start, length in zip(starts, lengths, strict=True)]
        self.window = slice(min(starts) + above, max(ends) + above)
        self.taps_in_window = np.zeros((max(ends) - min(starts) - count + 1, up, taps))
        for phase, (start, first) in enumerate(zip(starts, firsts, strict=True)):
            for place, tap in enumerate(range(first, taps, up), start=start - min(starts)):
                self.taps_in_window[place, phase, tap] = 1


def filter_images(x, taps, gain=1.0):
    """Low-pass filters [N, H, W, C], with zeros outside of it; the size stays, and what is flat keeps its place."""
    size = len(taps)
    return upfirdn(x, fir_kernel(taps, gain), padding=((size // 2, (size - 1) // 2),) * 2)


def enlarge_filtered(x, taps, factor=2, gain=1.0):
    """Enlarges [N, H, W, C] with a low-pass filter in place of `upsample`'s box.

    Args:
        x: [N, H, W, C].
        taps: Of the one-dimensional filter, at least `factor`; `factor` ones are `upsample`.
        factor: Of the resolution.
        gain: Factor on the result.

    Returns:
        [N, H factor, W factor, C].
    """
    size = len(taps) - factor
    padding = ((size + 1) // 2 + factor - 1, size // 2)
    return upfirdn(x, fir_kernel(taps, gain * factor**2), up=(factor, factor), padding=(padding, padding))


def shrink_filtered(x, taps, factor=2, gain=1.0):
    """Shrinks [N, H, W, C], H and W multiples of `factor`, with a low-pass filter in place of `downsample`'s box.

    Args:
        x: [N, H, W, C].
        taps: Of the one-dimensional filter; `factor` ones are `downsample`.
        factor: Of the resolution.
        gain: Factor on the result.

    Returns:
        [N, H / factor, W / factor, C].
    """
    size = len(taps) - factor
    padding = ((size + 1) // 2, size // 2)
    return upfirdn(x, fir_kernel(taps, gain), down=(factor, factor), padding=(padding, padding))
