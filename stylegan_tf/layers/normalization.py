"""Normalisations without parameters."""

import keras
from keras import ops

from stylegan_tf.layers.full_precision import FullPrecision


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
        centred, inverse_std = centre(x, self.epsilon)
        return centred * inverse_std

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


def centre(x, epsilon):
    """Returns x - mean, [N, H, W, C], and 1 / sqrt(variance + epsilon), [N, 1, 1, C], over the pixels of each map.

    The mean is taken off before anything is scaled: the maps of the learned constant start with no variance at all, and
    a scale of 1 / sqrt(epsilon) would blow rounding errors up.
    """
    centred = x - ops.mean(x, axis=(1, 2), keepdims=True)
    variance = ops.mean(ops.square(centred), axis=(1, 2), keepdims=True)
    return centred, ops.rsqrt(variance + epsilon)
