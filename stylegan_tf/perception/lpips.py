"""LPIPS: how far apart two images are to a human eye, by the features of VGG16.

Reference:
    Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018, section 3.
"""

import hashlib

import keras
from keras import ops

from dnnlib.torch_files import load_tensors
from stylegan_tf.layers.convolution import convolve

# VGG16's convolutions in torchvision's numbering, by the resolution that they work at. LPIPS compares the features
# after the last ReLU of each: relu1_2, relu2_2, relu3_3, relu4_3, relu5_3.
CONVOLUTIONS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))

# Mean and standard deviation of VGG16's training images in RGB, in the range [-1, 1].
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)

EPSILON = 1e-10

# Of smaller images nothing is left at the last resolution.
MIN_SIZE = 16


class LPIPS(keras.layers.Layer):
    """The distance of two images: weighted squared differences of their normalised features, averaged over the image.

    The weights are not trainable. Differences of images that are nearly equal drown in TensorFloat-32, which TensorFlow
    uses by default: switch that off.

    Args:
        vgg_path: torchvision's file of VGG16, with features.N.weight and features.N.bias.
        heads_path: The linear weights of LPIPS 0.1 for VGG16, with lin0.model.1.weight to lin4.model.1.weight.

    Call arguments:
        images_a, images_b: float [N, H, W, C] in [0, 255]; H and W at least 16, C 1 or 3.

    Returns:
        float32 [N].

    Raises:
        ValueError: A file is damaged, or not what it should be.

    Attributes:
        hash: SHA-256 of both files, hexadecimal.
    """

    def __init__(self, vgg_path, heads_path):
        super().__init__(name="lpips", trainable=False, dtype="float32")
        self.convolutions = []
        channels = 3
        vgg, widths = load_tensors(vgg_path), []
        for indices in CONVOLUTIONS:
            block = []
            for index in indices:
                name = f"features.{index}"
                kernel = _tensor(vgg, vgg_path, f"{name}.weight", (None, channels, 3, 3))
                channels = len(kernel)
                bias = _tensor(vgg, vgg_path, f"{name}.bias", (channels,))
                kernel = self._constant(f"kernel{index}", kernel.transpose(2, 3, 1, 0))
                block.append((kernel, self._constant(f"bias{index}", bias)))
            self.convolutions.append(block)
            widths.append(channels)
        heads = load_tensors(heads_path)
        self.heads = []
        for i, channels in enumerate(widths):
            head = _tensor(heads, heads_path, f"lin{i}.model.1.weight", (1, channels, 1, 1))
            self.heads.append(self._constant(f"head{i}", head.reshape(channels)))
        self.hash = _hash(vgg_path, heads_path)
        self.built = True

    def _constant(self, name, value):
        variable = self.add_weight(name=name, shape=value.shape, initializer="zeros", trainable=False)
        variable.assign(value)
        return variable

    def features(self, images):
        """VGG16's features after the last ReLU of each resolution, finest first; images as above."""
        _, height, width, channels = images.shape
        if min(height, width) < MIN_SIZE:
            raise ValueError(f"LPIPS needs images of at least {MIN_SIZE}x{MIN_SIZE}; received {height}x{width}.")
        if channels not in (1, 3):
            raise ValueError(f"LPIPS sees images of 1 or 3 channels; received {channels}.")
        if channels == 1:
            images = ops.repeat(images, 3, axis=-1)
        x = (images / 127.5 - 1.0 - ops.array(SHIFT)) / ops.array(SCALE)
        features = []
        for block in self.convolutions:
            if features:
                x = ops.max_pool(x, 2, 2, data_format="channels_last")
            for kernel, bias in block:
                x = ops.relu(convolve(x, kernel) + bias)
            features.append(x)
        return features

    def call(self, images_a, images_b):
        # One batch for both, so that equal images have a distance of 0 however the convolutions are computed.
        pairs = self.features(ops.concatenate([images_a, images_b], axis=0))
        return sum(head_distance(*ops.split(pair, 2), head) for pair, head in zip(pairs, self.heads, strict=True))


def head_distance(features_a, features_b, weights):
    """Distance of two [N, H, W, C], weighted by [C]: one term of equation 1. Returns [N]."""
    difference = normalize_channels(features_a) - normalize_channels(features_b)
    return ops.mean(ops.sum(ops.square(difference) * weights, axis=-1), axis=(1, 2))


def normalize_channels(features):
    """Every pixel of [N, H, W, C] with unit length over its channels; 0 stays 0."""
    return features / (ops.sqrt(ops.sum(ops.square(features), axis=-1, keepdims=True)) + EPSILON)


def _tensor(tensors, path, name, shape):
    """A tensor of a file; ValueError if it is missing or has another shape, where None stands for any number."""
    if name not in tensors:
        raise ValueError(f"{path} has no {name}; is it torchvision's VGG16, or the weights of LPIPS 0.1 for VGG16?")
    tensor = tensors[name]
    if len(tensor.shape) != len(shape) or any(b not in (None, a) for a, b in zip(tensor.shape, shape, strict=True)):
        expected = str(shape).replace("None", "any")
        raise ValueError(
            f"{name} in {path} has shape {tensor.shape}, where {expected} belongs; the file is of another net."
        )
    return tensor


def _hash(*paths):
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
