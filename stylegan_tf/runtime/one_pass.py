"""Operations of TensorFlow's that `keras.ops` has not, and would read and write images many times for."""

import tensorflow as tf


def normalize_image(x, scale, bias, epsilon):
    """Instance-normalises the maps of one image, and scales and shifts them.

    Of one image, the statistics over a batch, with which the operation normalises, are those over the image.

    Args:
        x: float32 [1, H, W, C].
        scale, bias: float32 [1, 1, 1, C].
        epsilon: Added to the variance.

    Returns:
        float32 [1, H, W, C].
    """
    scale, bias = tf.reshape(scale, [-1]), tf.reshape(bias, [-1])
    return tf.raw_ops.FusedBatchNormV3(x=x, scale=scale, offset=bias, mean=[], variance=[], epsilon=epsilon).y
