"""A tiny generator to measure, and a stub of a network that metrics look at images with."""

import tensorflow as tf
from tiny_networks import scattered

from stylegan_tf.networks import Generator

SIZES = dict(
    fmap_base=64, fmap_max=8, latent_size=16, dlatent_size=16, mapping_fmaps=16, mapping_layers=2, mapping_lrmul=1.0
)


def tiny_generator(seed=0, resolution=8, num_channels=3, **arguments):
    """A generator whose images differ, with noise that shows, and a w average."""
    generator = scattered(Generator(resolution, num_channels, **SIZES, **arguments), seed)
    # Pixels well inside [-1, 1].
    for to_rgb in generator.synthesis.to_rgb:
        to_rgb.kernel.assign(to_rgb.kernel * 0.3)
        to_rgb.bias.assign(to_rgb.bias * 0.1)
    return generator


class Means:
    """A feature network: the mean of each channel, of some columns.

    Attributes:
        traced: How often it was called to be traced.
    """

    def __init__(self, dim=3, columns=slice(None)):
        self.dim, self.columns, self.traced = dim, columns, 0
        self.hash = f"means of {columns}"

    def __call__(self, images):
        self.traced += 1
        return tf.reduce_mean(tf.cast(images[:, :, self.columns], tf.float32), axis=[1, 2])
