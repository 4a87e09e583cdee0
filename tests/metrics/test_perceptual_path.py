"""Path lengths of small generators, equal to those computed one image at a time from the definition."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from tiny_networks import normal, one_hot, scattered

from metrics.perceptual_path import (
    EPSILON,
    crop_face,
    lerp,
    mean_without_outliers,
    path_distances,
    reduce,
    slerp,
    without_outliers,
)
from stylegan_tf.networks import Generator, ProGANGenerator
from stylegan_tf.pictures.interpolation import normalize

COUNT = 3


def style_generator(**arguments):
    """In float64, where the difference of two almost equal images has digits enough to be compared."""
    sizes = dict(latent_size=12, dlatent_size=12, mapping_fmaps=12, mapping_layers=2, fmap_base=32)
    return scattered(Generator(resolution=16, dtype="float64", **sizes, **arguments))


def squared_difference(images_a, images_b):
    """In the place of LPIPS: sensitive to every pixel and to the range."""
    weights = ops.cast(ops.arange(1, 1 + int(np.prod(images_a.shape[1:]))), "float64")
    difference = ops.square(images_a - images_b) + 1e-3 * ops.square(ops.square(images_a) - ops.square(images_b))
    return ops.sum(ops.reshape(difference, (len(images_a), -1)) * weights, axis=1)


def draws(generator, label_size=0, count=COUNT):
    z0, z1 = normal(count, 12, seed=1), normal(count, 12, seed=2)
    shapes = generator.synthesis.noise_shapes
    noise = [normal(count, *shape[1:], seed=3 + i).astype("float64") for i, shape in enumerate(shapes)]
    labels = one_hot(count, label_size).astype("float64") if label_size else None
    return z0.astype("float64"), z1.astype("float64"), np.resize([0.0, 0.4, 0.9], count), labels, noise


def expected_distances(generator, z0, z1, t, labels, noise, space, crop):
    """One path and one image at a time."""

    def unit(x):
        return x / np.linalg.norm(x)

    def mapped(z, label):
        return ops.convert_to_numpy(generator.mapping(z[None], label))

    def image(n, time):
        label = None if labels is None else labels[n : n + 1]
        if space == "z":
            a, b = unit(z0[n]), unit(z1[n])
            across = unit(b - np.dot(a, b) * a)
            angle = time * np.arccos(np.dot(a, b))
            w = mapped(a * np.cos(angle) + across * np.sin(angle), label)
        else:
            w = (1 - time) * mapped(z0[n], label) + time * mapped(z1[n], label)
        own = None if noise is None else [image[n : n + 1] for image in noise]
        x = ops.convert_to_numpy(generator.synthesis(w, noise=own))
        x = x[:, 6:14, 4:12] if crop == "face" else x
        return (x + 1) * 127.5

    pairs = [(image(n, t[n]), image(n, t[n] + 1e-4)) for n in range(COUNT)]
    return np.array([float(squared_difference(a, b)[0]) / 1e-8 for a, b in pairs])


def assert_path_distances(generator, space, crop, labels, noise, z0, z1, t):
    arguments = generator, squared_difference, z0, z1, t, labels, noise
    distances, _ = path_distances(*arguments, space=space, crop=crop)
    expected = expected_distances(generator, z0, z1, t, labels, noise, space, crop)
    assert (expected > 0).all()
    np.testing.assert_allclose(distances, expected, rtol=1e-6)


@pytest.mark.parametrize("label_size", [0, 3])
@pytest.mark.parametrize("crop", ["face", "none"])
@pytest.mark.parametrize("space", ["z", "w"])
def test_path_distances(space, crop, label_size):
    generator = style_generator(label_size=label_size)
    z0, z1, t, labels, noise = draws(generator, label_size)
    assert_path_distances(generator, space, crop, labels, noise, z0, z1, t)


def test_stored_noise_and_truncation():
    generator = style_generator()
    z0, z1, t, _, _ = draws(generator)
    assert np.abs(generator.w_average).min() > 0  # A truncated path would be another one.
    assert_path_distances(generator, "w", "none", None, None, z0, z1, t)


@pytest.mark.parametrize("space", ["z", "w"])
def test_progan(space):
    generator = ProGANGenerator(resolution=16, latent_size=12, label_size=3, fmap_base=32, dtype="float64")
    scattered(generator)
    z0, z1, t, labels, _ = draws(generator, 3)
    assert_path_distances(generator, space, "none", labels, None, z0, z1, t)


def test_single_precision_is_enough_in_a_graph():
    generator = Generator(resolution=16, latent_size=12, dlatent_size=12, mapping_fmaps=12, fmap_base=128)
    double = Generator.from_config({**generator.get_config(), "dtype": "float64"})
    double.set_weights(generator.get_weights())
    z0, z1, t, _, noise = draws(generator, count=60)
    expected, _ = path_distances(double, squared_difference, z0, z1, t, None, noise, space="z", crop="face")

    @tf.function
    def distances(*draws):
        z0, z1, t, noise = tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), draws)
        return path_distances(generator, in_double, z0, z1, t, None, noise, space="z", crop="face")[0]

    def in_double(*images):
        assert all(x.dtype == tf.float32 for x in images)
        return squared_difference(*(tf.cast(x, tf.float64) for x in images))

    # Of one distance, between two nearly equal images, some per cent are rounding; the metric is the mean of all.
    np.testing.assert_allclose(np.mean(distances(z0, z1, t, noise)), np.mean(expected), rtol=0.01)


def test_interpolation():
    a, b = normal(5, 8, seed=1), 3 * normal(5, 8, seed=2)
    t = np.linspace(0, 1, 5, dtype="float32")[:, None]
    points = ops.convert_to_numpy(slerp(a, b, t))
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(points[0], ops.convert_to_numpy(normalize(a))[0], rtol=1e-5)
    np.testing.assert_allclose(points[-1], ops.convert_to_numpy(normalize(b))[-1], atol=1e-6)
    # Equal steps of t are equal angles.
    unit_a, unit_b = ops.convert_to_numpy(normalize(a)), ops.convert_to_numpy(normalize(b))
    angles = np.arccos(np.sum(unit_a * points, axis=1)) / np.arccos(np.sum(unit_a * unit_b, axis=1))
    np.testing.assert_allclose(angles[1:], t[1:, 0], rtol=1e-4)
    np.testing.assert_array_equal(lerp(a, b, 0), a)
    np.testing.assert_allclose(ops.convert_to_numpy(lerp(tf.constant(a), tf.constant(b), 0.5)), (a + b) / 2, rtol=1e-5)


def test_crop_face():
    images = np.arange(2 * 32 * 32, dtype="float32").reshape(2, 32, 32, 1)
    np.testing.assert_array_equal(crop_face(images), images[:, 12:28, 8:24])


def test_reduce():
    images = normal(2, 16, 16, 3)
    np.testing.assert_allclose(reduce(images, 4), images.reshape(2, 4, 4, 4, 4, 3).mean(axis=(2, 4)), atol=1e-6)
    assert reduce(images, 16) is images
    assert reduce(images, 256) is images


def test_mean_without_outliers():
    distances = np.arange(1001.0)
    np.random.RandomState(0).shuffle(distances)
    distances[distances == 1000] = 1e9
    distances[distances == 0] = -1e9
    # The 1st and the 99th percentile are the distances 10 and 990, which stay.
    assert sorted(without_outliers(distances)) == list(range(10, 991))
    assert mean_without_outliers(distances) == 500
    assert mean_without_outliers([3.0]) == 3
    # Between two distances, the percentile is the outer one.
    assert list(without_outliers(np.arange(5.0))) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("distances", [[1, np.nan, 2], [np.inf, 1], []])
def test_distances_without_a_mean(distances):
    with pytest.raises(ValueError, match=r"of [023] perceptual distances are not finite numbers"):
        mean_without_outliers(distances)


def test_step_is_the_papers():
    assert EPSILON == 1e-4
