"""What a projection makes small: how far apart two images are, by their pixels or by what a network sees in them.

A distance has two functions: `features(images)`, of float [N, R, R, C] in [0, 255], a list of tensors; and
`between(features_a, features_b)`, float [N].
"""

import tensorflow as tf

from stylegan_tf.images import reduce
from stylegan_tf.perception.lpips import head_distance

# Side of the images that are compared, at most.
MAX_SIZE = 256


class PixelDistance:
    """The mean squared difference of pixels, in grey levels of 256."""

    name = "pixels"

    def features(self, images):
        return [reduce(images, MAX_SIZE)]

    def between(self, features_a, features_b):
        ((a,), (b,)) = features_a, features_b
        return tf.reduce_mean(tf.math.squared_difference(a, b), axis=[1, 2, 3])


class FeatureDistance:
    """The distance of features, normalised at each pixel, that a network computes at several resolutions, as LPIPS's.

    Args:
        name: What it is called.
        feature_maps: Function of images, float [N, R, R, C] in [0, 255], R at most 256, that returns a list of
            [N, H, W, maps].
        weights: Weights of the squared differences at each resolution, a list of [maps]; None: all 1.
    """

    def __init__(self, name, feature_maps, weights=None):
        self.name, self.feature_maps, self.weights = name, feature_maps, weights

    def features(self, images):
        return self.feature_maps(reduce(images, MAX_SIZE))

    def between(self, features_a, features_b):
        weights = self.weights or [1.0] * len(features_a)
        return sum(map(head_distance, features_a, features_b, weights))


def lpips_distance(lpips):
    """LPIPS, a `perception.lpips.LPIPS`, as a distance."""
    return FeatureDistance("lpips", lpips.features, lpips.heads)
