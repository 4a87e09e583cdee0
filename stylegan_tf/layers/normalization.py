"""Normalisations without parameters."""

import keras
from keras import ops

from stylegan_tf.layers.full_precision import FullPrecision

if keras.backend.backend() == "tensorflow":
    from stylegan_tf.runtime.one_pass import normalize_image

# Rows of an image from which on one pass is faster than several. Smaller ones stay in the processor's caches.
ROWS = 128


@keras.saving.register_keras_serializable(package="stylegan_tf")
class PixelNorm(FullPrecision, keras.layers.Layer):
    """Scales the last axis of every sample (or pixel) to unit root mean square.

    Args:
        epsilon: Added to the mean square.

    Reference:
        Karras et al., 2017, section 4.2.
    """

    def __init__(self, epsilon=1e-8, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def call(self, x):
        return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + self.epsilon)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="stylegan_tf")
class InstanceNorm(FullPrecision, keras.layers.Layer):
    """Normalises every feature map of every image to zero mean and unit (biased) variance.

    Args:
        epsilon: Added to the variance.

    Call arguments:
        x: [N, H, W, C].
    """

    def __init__(self, epsilon=1e-8, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def call(self, x):
        return normalize(x, self.epsilon)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


def normalize(x, epsilon, scale=None, bias=None):
    """Normalises the maps of every image to zero mean and unit (biased) variance, then scales and shifts them.

    The mean is taken off before anything is scaled: the maps of the learned constant start with no variance at all, and
    a scale of 1 / sqrt(epsilon) would blow rounding errors up.

    Args:
        x: [N, H, W, C].
        epsilon: Added to the variance.
        scale, bias: [N, 1, 1, C], both or none; x is normalised in their precision.

    Returns:
        [N, H, W, C], in the dtype of scale, or of x where it is one pass.
    """
    if scale is not None:
        if is_one_pass(x):
            return normalize_image(x, scale, bias, epsilon)
        x = ops.cast(x, scale.dtype)
    centred = x - ops.mean(x, axis=(1, 2), keepdims=True)
    factor = ops.rsqrt(ops.mean(ops.square(centred), axis=(1, 2), keepdims=True) + epsilon)
    return centred * factor if scale is None else centred * (scale * factor) + bias


def is_one_pass(x):
    """Whether x is normalised in one pass: a large image alone, not in float16, on TensorFlow and a processor."""
    images, rows = x.shape[:2]
    return (
        keras.backend.backend() == "tensorflow"
        and images == 1
        and (rows or 0) >= ROWS
        and keras.backend.standardize_dtype(x.dtype) in ("float32", "bfloat16")
        # There, XLA puts the passes together.
        and not keras.distribution.list_devices("gpu")
    )
