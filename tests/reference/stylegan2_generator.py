"""StyleGAN2's generator, as far as the reference vectors of its path length need it; not a part of the project.

Written from StyleGAN2's paper (Karras et al., 2019) as plain functions on the official variables, so that gradients
come out under the official names. Activations are NHWC; noise is the stored one; there is no truncation.
"""

import math

import tensorflow as tf

MAPPING_LRMUL = 0.01


def leaky_relu(x):
    return tf.nn.leaky_relu(x, 0.2)


ACTIVATIONS = {"lrelu": leaky_relu, "relu": tf.nn.relu}


class StyleGAN2Generator:
    """G_main with the official variables.

    Args:
        variables: {official name: array}, layouts of the official files.
        resolution, label_size, architecture, nonlinearity (of the synthesis), resample_kernel: The reference's
            construction arguments. The variables' names and shapes tell the others.
    """

    def __init__(
        self,
        variables,
        resolution,
        label_size=0,
        architecture="skip",
        nonlinearity="lrelu",
        resample_kernel=(1, 3, 3, 1),
        **_,
    ):
        self.variables = {name: tf.Variable(array, name=name) for name, array in variables.items()}
        self.levels = int(math.log2(resolution)) - 1
        self.has_labels = label_size > 0
        self.architecture = architecture
        self.activation = ACTIVATIONS[nonlinearity]
        taps = tf.constant(resample_kernel, tf.float32)
        self.filter = tf.tensordot(taps, taps, axes=0) / tf.reduce_sum(taps) ** 2

    def mapping(self, z, labels):
        """w of every layer, [N, L, D]."""
        x = tf.convert_to_tensor(z)
        if self.has_labels:
            x = tf.concat([x, labels @ self["G_mapping/LabelConcat/weight"]], axis=1)
        x *= tf.math.rsqrt(tf.reduce_mean(tf.square(x), axis=1, keepdims=True) + 1e-8)
        for i in range(sum(name.startswith("G_mapping/Dense") for name in self.variables) // 2):
            weight, bias = self[f"G_mapping/Dense{i}/weight"], self[f"G_mapping/Dense{i}/bias"]
            x = x @ (weight * (MAPPING_LRMUL / math.sqrt(weight.shape[0]))) + bias * MAPPING_LRMUL
            x = leaky_relu(x) * math.sqrt(2)
        return tf.repeat(x[:, tf.newaxis], 2 * self.levels, axis=1)

    def synthesis(self, w):
        """Images, [N, R, R, C]."""
        constant = tf.transpose(self["G_synthesis/4x4/Const/const"], (0, 2, 3, 1))
        x = tf.repeat(constant, tf.shape(w)[0], axis=0)
        x = self.layer("4x4/Conv", x, w, 0)
        images = self.to_rgb("4x4", x, w, 1) if self.architecture == "skip" else None
        for level in range(1, self.levels):
            block, layer = f"{4 << level}x{4 << level}", 2 * level - 1
            before = x
            x = self.layer(f"{block}/Conv0_up", x, w, layer, up=True)
            x = self.layer(f"{block}/Conv1", x, w, layer + 1)
            if self.architecture == "resnet":
                skip = self.upsampling_conv(before, equalized(self[f"G_synthesis/{block}/Skip/weight"]))
                x = (x + skip) / math.sqrt(2)
            if self.architecture == "skip":
                images = self.upsample(images) + self.to_rgb(block, x, w, layer + 2)
        return images if self.architecture == "skip" else self.to_rgb(block, x, w, 2 * self.levels - 1)

    def layer(self, name, x, w, index, up=False):
        """Modulated convolution, noise, bias and activation. The layers' noise images have the layers' indices."""
        x = self.modulated_conv(f"G_synthesis/{name}", x, w[:, index], up)
        noise = tf.transpose(self[f"G_synthesis/noise{index}"], (0, 2, 3, 1))
        x += noise * self[f"G_synthesis/{name}/noise_strength"] + self[f"G_synthesis/{name}/bias"]
        return self.activation(x) * math.sqrt(2)

    def to_rgb(self, block, x, w, index):
        name = f"G_synthesis/{block}/ToRGB"
        return self.modulated_conv(name, x, w[:, index], demodulate=False) + self[f"{name}/bias"]

    def modulated_conv(self, name, x, w, up=False, demodulate=True):
        """Scaling the weight by a sample's style is scaling the features before, and its norm's inverse after."""
        weight = equalized(self[f"{name}/weight"])
        style = w @ equalized(self[f"{name}/mod_weight"]) + self[f"{name}/mod_bias"] + 1.0
        x *= style[:, tf.newaxis, tf.newaxis]
        x = self.upsampling_conv(x, weight) if up else tf.nn.conv2d(x, weight, 1, "SAME")
        if demodulate:
            scaled = weight * style[:, tf.newaxis, tf.newaxis, :, tf.newaxis]
            x *= tf.math.rsqrt(tf.reduce_sum(tf.square(scaled), axis=(1, 2, 3)) + 1e-8)[:, tf.newaxis, tf.newaxis]
        return x

    def upsample(self, x, margin=0):
        """Zeros between the pixels, then the filter, times 4 for the zeros: [N, 2 H, 2 W, C] and a margin around it."""
        channels, taps = x.shape[-1], len(self.filter)
        before = (taps + 1) // 2
        border = [before + margin, taps - 1 - before + margin]
        kernel = tf.repeat(4.0 * self.filter[::-1, ::-1, tf.newaxis, tf.newaxis], channels, axis=2)
        x = tf.pad(insert_zeros(x), [[0, 0], border, border, [0, 0]])
        return tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "VALID")

    def upsampling_conv(self, x, weight):
        """The filter spreads beyond the image's edges, where a 3x3 convolution still sees it."""
        return tf.nn.conv2d(self.upsample(x, margin=weight.shape[0] // 2), weight, 1, "VALID")

    def __getitem__(self, name):
        return self.variables[name]


def equalized(weight):
    """The weight times the run-time coefficient of the equalized learning rate."""
    return weight / math.sqrt(math.prod(weight.shape[:-1]))


def insert_zeros(x):
    """[N, H, W, C] to [N, 2 H, 2 W, C], with zeros after each pixel to the right and below."""
    _, height, width, channels = x.shape
    x = tf.pad(x[:, :, tf.newaxis, :, tf.newaxis], [[0, 0], [0, 0], [0, 1], [0, 0], [0, 1], [0, 0]])
    return tf.reshape(x, [-1, 2 * height, 2 * width, channels])
