"""The layers that networks are made of: plain Keras 3, `keras.ops` only, NHWC. Whole networks are in networks/."""

from stylegan_tf.layers.activations import ACTIVATIONS, leaky_relu
from stylegan_tf.layers.equalized import Bias, EqualizedConv2D, EqualizedDense, LabelEmbedding
from stylegan_tf.layers.minibatch_stddev import MinibatchStdDev
from stylegan_tf.layers.modulated import FilteredConv2D, ModulatedConv2D
from stylegan_tf.layers.normalization import InstanceNorm, PixelNorm
from stylegan_tf.layers.resample import (
    Blur,
    downsample,
    enlarge_filtered,
    filter_images,
    shrink_filtered,
    upfirdn,
    upsample,
)
from stylegan_tf.layers.style import AdaIN, LearnedConstant, NoiseInput

__all__ = [
    "ACTIVATIONS",
    "AdaIN",
    "Bias",
    "Blur",
    "EqualizedConv2D",
    "EqualizedDense",
    "FilteredConv2D",
    "InstanceNorm",
    "LabelEmbedding",
    "LearnedConstant",
    "MinibatchStdDev",
    "ModulatedConv2D",
    "NoiseInput",
    "PixelNorm",
    "downsample",
    "enlarge_filtered",
    "filter_images",
    "leaky_relu",
    "shrink_filtered",
    "upfirdn",
    "upsample",
]
