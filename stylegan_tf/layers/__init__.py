"""The layers that networks are made of: plain Keras 3, `keras.ops` only, NHWC. Whole networks are in networks/."""

from stylegan_tf.layers.activations import ACTIVATIONS, leaky_relu
from stylegan_tf.layers.equalized import Bias, EqualizedConv2D, EqualizedDense, LabelEmbedding
from stylegan_tf.layers.minibatch_stddev import MinibatchStdDev
from stylegan_tf.layers.normalization import InstanceNorm, PixelNorm
from stylegan_tf.layers.resample import Blur, downsample, upsample
from stylegan_tf.layers.style import AdaIN, LearnedConstant, NoiseInput

__all__ = [
    "ACTIVATIONS",
    "AdaIN",
    "Bias",
    "Blur",
    "EqualizedConv2D",
    "EqualizedDense",
    "InstanceNorm",
    "LabelEmbedding",
    "LearnedConstant",
    "MinibatchStdDev",
    "NoiseInput",
    "PixelNorm",
    "downsample",
    "leaky_relu",
    "upsample",
]
