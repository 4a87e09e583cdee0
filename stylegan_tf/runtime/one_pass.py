"""Operations of TensorFlow's that `keras.ops` has not, and would read and write images many times for."""

import tensorflow as tf


def normalize_image(x, scale, bias, epsilon):
    """Instance-normalises the maps of one image, and scales and shifts them.

    Of one image, the statistics over a batch, with which the operation normalises, are those over the image.

    Args:
        x: float32 or bfloat16 [1, H, W, C]; the statistics are float32.
        scale, bias: float32 [1, 1, 1, C].
        epsilon: Added to the variance.

    Returns:
        [1, H, W, C], in the dtype of x.
    """
    scale, bias = tf.reshape(scale, [-1]), tf.reshape(bias, [-1])
    return tf.raw_ops.FusedBatchNormV3(x=x, scale=scale, offset=bias, mean=[], variance=[], epsilon=epsilon).y
