"""From seeds to images: latents, noise, minibatches, devices."""

import numpy as np
import pytest
import tensorflow as tf
from tiny_generators import tiny_generator

from dnnlib.image_files import to_uint8_rounded
from stylegan_tf.images import to_uint8_rounded as to_uint8_rounded_on_devices
from stylegan_tf.networks import ProGANGenerator
from stylegan_tf.pictures.sampler import NOISES, Sampler, first_fine_resolution, latents, random_noise

SEEDS = [3, 0, 2**32 - 1, 7, 1]


@pytest.fixture(scope="module")
def generator():
    return tiny_generator(resolution=16)


@pytest.fixture(scope="module")
def sampler(generator):
    return Sampler(generator, minibatch=2)


def reference(generator, w, noise=None):
    return to_uint8_rounded(generator.synthesis(tf.constant(w), noise=noise).numpy())


def assert_same(images, others):
    """Equal but for rounding: a pixel just between two values may become either."""
    assert images.dtype == np.uint8
    difference = np.abs(images.astype(int) - others)
    assert difference.max() <= 1 and difference.mean() < 0.01


def test_latents_are_those_of_the_original():
    z = latents(SEEDS, 5)
    assert z.shape == (5, 5) and z.dtype == np.float32
    for row, seed in zip(z, SEEDS, strict=True):
        np.testing.assert_array_equal(row, np.random.RandomState(seed).randn(5).astype("float32"))
    # Published for seed 0, whatever NumPy's version.
    np.testing.assert_allclose(latents([0], 3)[0], [1.76405235, 0.40015721, 0.97873798], rtol=1e-6)
    assert latents([], 4).shape == (0, 4)


def test_images_do_not_depend_on_the_minibatch(generator, sampler):
    w = sampler.mapping(latents(SEEDS, 16))
    np.testing.assert_allclose(w, generator.mapping(tf.constant(latents(SEEDS, 16))), atol=1e-5)
    for noise in NOISES:
        images = sampler.synthesis(w, noise, SEEDS)
        assert images.shape == (5, 16, 16, 3)
        one_by_one = [sampler.synthesis(w[i : i + 1], noise, SEEDS[i : i + 1]) for i in range(5)]
        assert_same(images, np.concatenate(one_by_one))
        np.testing.assert_array_equal(images, sampler.synthesis(w, noise, SEEDS))


def test_devices_get_as_many_images_each(generator, sampler):
    w = sampler.mapping(latents(SEEDS, 16))
    more = Sampler(generator, minibatch=4)
    more.replicas = 4  # pads the last minibatch to four
    assert_same(more.synthesis(w, "random", SEEDS), sampler.synthesis(w, "random", SEEDS))


def test_truncation(generator, sampler):
    w = sampler.mapping(latents(SEEDS, 16))
    truncated = sampler.truncate(w, -0.5, 2)
    center = generator.w_average.numpy()
    np.testing.assert_allclose(truncated[:, :2], center - 0.5 * (w[:, :2] - center), atol=1e-5)
    np.testing.assert_allclose(truncated[:, 2:], w[:, 2:], atol=1e-6)


def test_fixed_noise(generator, sampler):
    w = sampler.mapping(latents(SEEDS, 16))
    assert_same(sampler.synthesis(w), reference(generator, w))


def test_noise_of_some_layers(generator, sampler):
    """Below 128, noise is fine from half the full resolution on."""
    w = sampler.mapping(latents(SEEDS, 16))
    assert sampler.noise_resolutions == [4, 4, 8, 8, 16, 16]
    stored = generator.synthesis.noise_images
    kept = {"off": (), "fine": (8, 16), "coarse": (4,), "fixed": (4, 8, 16)}
    images = {noise: sampler.synthesis(w, noise) for noise in kept}
    for noise, sides in kept.items():
        noise_images = [image * (image.shape[1] in sides) for image in stored]
        assert_same(images[noise], reference(generator, w, noise_images))
        for other in kept:
            assert other == noise or np.abs(images[noise].astype(int) - images[other]).mean() > 0.1


def test_random_noise(generator, sampler):
    w = sampler.mapping(latents([5, 5, 5], 16))
    images = sampler.synthesis(w, "random", [1, 1, 2])
    np.testing.assert_array_equal(images[0], images[1])
    assert np.any(images[0] != images[2])
    noise = random_noise(generator.synthesis.noise_shapes, tf.constant([1, 2], tf.int64))
    assert [tuple(image.shape) for image in noise] == [(2, side, side, 1) for side in (4, 4, 8, 8, 16, 16)]
    assert_same(images[1:], reference(generator, w[1:], noise))


def test_random_noise_is_standard_normal():
    shapes = [(1, 64, 64, 1)] * 2
    noise = np.stack(random_noise(shapes, tf.range(4, dtype=tf.int64)))
    # Five standard deviations of what n normal numbers give.
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size) and abs(noise.std() - 1) < 5 / np.sqrt(2 * noise.size)
    # No two images, of layers or of seeds, have anything in common.
    assert np.abs(np.corrcoef(noise.reshape(8, -1)) - np.eye(8)).max() < 5 / np.sqrt(64 * 64)
    assert random_noise([], tf.range(4, dtype=tf.int64)) is None


@pytest.mark.parametrize(("resolution", "first"), [(1024, 64), (256, 64), (128, 64), (64, 32), (32, 16), (8, 4)])
def test_fine_noise(resolution, first):
    assert first_fine_resolution(resolution) == first


def test_labels():
    generator = tiny_generator(label_size=3)
    sampler = Sampler(generator)
    labels = np.eye(3)[[0, 2]]
    np.testing.assert_allclose(
        sampler.mapping(latents([1, 1], 16), labels),
        generator.mapping(tf.constant(latents([1, 1], 16)), tf.constant(labels, tf.float32)),
        atol=1e-5,
    )


def test_networks_without_noise_and_styles():
    generator = ProGANGenerator(8, 1, latent_size=6, fmap_base=32, fmap_max=8)
    sampler = Sampler(generator)
    w = sampler.mapping(latents([0, 1], 6))
    assert (w.shape, sampler.num_layers, sampler.noise_resolutions) == ((2, 1, 6), 1, [])
    for noise in NOISES:
        assert_same(sampler.synthesis(w, noise, [0, 1]), reference(generator, w))


def test_a_network_that_grows(generator, monkeypatch):
    monkeypatch.setattr(generator, "growth", (8, 0.5))
    sampler = Sampler(generator)
    w = sampler.mapping(latents([1], 16))
    small = to_uint8_rounded(generator.synthesis(tf.constant(w), resolution=8, fade=0.5).numpy())
    assert_same(sampler.synthesis(w), small.repeat(2, axis=1).repeat(2, axis=2))
    assert sampler.synthesis(w, "fine").shape == sampler.synthesis(w, "random", [1]).shape == (1, 16, 16, 3)


def test_rounding():
    x = np.float32([[-2, -1, 0, 1, 2, 0.5 / 127.5, 1.49 / 127.5]]).reshape(1, 1, 7, 1)
    rounded = np.asarray(to_uint8_rounded_on_devices(tf.constant(x)))
    np.testing.assert_array_equal(rounded, to_uint8_rounded(x))
    assert rounded.ravel().tolist() == [0, 0, 128, 255, 255, 128, 129]


def test_wrong_input(sampler):
    w = sampler.mapping(latents([1], 16))
    with pytest.raises(ValueError, match=r"Noise must be one of fixed, random, .*; received 'none'"):
        sampler.synthesis(w, "none")
    with pytest.raises(ValueError, match=r"pixels that are not finite numbers\. .* the network is broken"):
        sampler.synthesis(w * np.nan)
