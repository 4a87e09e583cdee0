"""Generated images by their index: what is drawn for a sample depends on the seed and its index alone."""

import enum

import numpy as np
import tensorflow as tf

from stylegan_tf.runtime.draws import normal, seed_of, uniform

# Takes the place of the images seen, which are never negative: no draw is one of training's.
_METRICS = -1


class Purpose(enum.IntEnum):
    """What a draw is for."""

    Z = 0
    SECOND_Z = 1
    NOISE = 2
    LABEL = 3
    TIME = 4
    CUTOFFS = 5
    MORE_Z = 6  # and above: the third, fourth, ... latents


class Samples:
    """Draws of one generator; every method takes the indices of samples, int64 [N], inside or outside of tf.function.

    Args:
        generator: A generator of any family.
        labels: Labels of the data set, float [images, label_size], which the samples' are drawn from.
        seed: Integer.
    """

    def __init__(self, generator, labels, seed):
        self.generator, self.all_labels, self.seed = generator, labels, seed

    def draw(self, function, shape, indices, purpose):
        """`function(shape, seed)` for each index, float32 [N, *shape]."""
        return tf.map_fn(
            lambda index: function(shape, seed_of(self.seed, _METRICS, purpose, index)),
            indices,
            fn_output_signature=tf.float32,
            parallel_iterations=16,
        )

    def z(self, indices, purpose=Purpose.Z):
        """Latents, [N, latent_size]."""
        return self.draw(normal, [self.generator.latent_size], indices, purpose)

    def noise(self, indices):
        """Noise images, a list of [N, R, R, 1]."""
        sizes = [int(np.prod(shape)) for shape in self.generator.noise_shapes]
        if not sizes:
            return None
        flat = self.draw(normal, [sum(sizes)], indices, Purpose.NOISE)
        parts = zip(tf.split(flat, sizes, axis=1), self.generator.noise_shapes, strict=True)
        return [tf.reshape(part, [-1, *shape[1:]]) for part, shape in parts]

    def labels(self, indices):
        """Labels of random real images, [N, label_size]; None without conditioning."""
        if not self.generator.label_size:
            return None
        draws = self.draw(uniform, [], indices, Purpose.LABEL)
        # A draw rounded up to 1 would be one beyond the last.
        chosen = tf.minimum(tf.cast(draws * len(self.all_labels), tf.int64), len(self.all_labels) - 1)
        return tf.gather(tf.constant(self.all_labels), chosen)

    def w(self, indices, latents=1):
        """Styles [N, num_layers, dlatent_size]; those of several latents take turns at random cut-offs (Table 2).

        Args:
            latents: Number of latents; their cut-offs are different ones, uniform in [1, num_layers).
        """
        labels = self.labels(indices)
        w = self.generator.mapping(self.z(indices), labels)
        if latents == 1:
            return w
        layers = self.generator.num_layers
        order = tf.argsort(self.draw(uniform, [layers - 1], indices, Purpose.CUTOFFS), axis=1)
        cutoffs = tf.sort(order[:, : latents - 1], axis=1) + 1
        for number in range(1, latents):
            purpose = Purpose.SECOND_Z if number == 1 else Purpose.MORE_Z + number - 2
            later = tf.range(layers) >= cutoffs[:, number - 1, None]
            w = tf.where(later[:, :, None], self.generator.mapping(self.z(indices, purpose), labels), w)
        return w

    def images(self, indices, w):
        """Images of given styles, with the samples' own noise, float [N, R, R, C] in [-1, 1]."""
        return self.generator.synthesis(w, noise=self.noise(indices))
