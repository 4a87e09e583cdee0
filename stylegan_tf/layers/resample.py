"""Changes of resolution: nearest up, box down, the low-pass filter that goes with them."""

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
        blur_filter: One-dimensional filter taps, (1, 2, 1) in the paper.

    Call arguments:
        x: [N, H, W, C].

    Reference:
        Karras et al., 2018, section 2 ("bilinear up/down").
    """

    def __init__(self, blur_filter=(1, 2, 1), **kwargs):
        super().__init__(**kwargs)
        self.blur_filter = tuple(blur_filter)

    def call(self, x):
        taps = np.asarray(self.blur_filter, "float32")
        kernel = np.outer(taps, taps) / taps.sum() ** 2
        kernel = np.tile(kernel[:, :, None, None], (1, 1, x.shape[-1], 1))
        kernel = ops.convert_to_tensor(kernel, x.dtype)
        return ops.depthwise_conv(x, kernel, padding="same", data_format="channels_last")

    def get_config(self):
        return {**super().get_config(), "blur_filter": self.blur_filter}
