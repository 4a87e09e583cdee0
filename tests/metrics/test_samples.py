"""Samples: what is drawn for one depends on the seed and its index alone."""

import numpy as np
import pytest
import tensorflow as tf
from tiny_generators import tiny_generator

from metrics.samples import Purpose, Samples


def samples_of(generator, seed=0, labels=None, resolution=None, fade=1.0):
    generator.growth = resolution and (resolution, fade)
    return Samples(generator, labels, seed)


def indices(*values):
    return tf.constant(values, tf.int64)


@pytest.fixture(scope="module")
def generator():
    return tiny_generator()


def all_draws(samples, *values):
    noise = samples.noise(indices(*values))
    return [samples.z(indices(*values)), samples.w(indices(*values), latents=3), *noise]


def test_a_sample_is_the_same_in_any_company(generator):
    samples = samples_of(generator)
    together = all_draws(samples, 0, 1, 2, 70_000)
    alone = all_draws(samples, 70_000)
    for some, one in zip(together, alone, strict=True):
        np.testing.assert_allclose(some[3:], one, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(together[0][3:], alone[0])


def test_seeds_indices_and_purposes_differ(generator):
    draws = [samples_of(generator, seed).z(indices(0, 1, 2)).numpy() for seed in (0, 1)]
    draws.append(samples_of(generator, 0).z(indices(0, 1, 2), Purpose.SECOND_Z).numpy())
    rows = np.concatenate(draws)
    assert len(np.unique(rows[:, 0])) == 9
    noise = samples_of(generator).noise(indices(0, 1))
    assert len({float(image[i, 0, 0, 0]) for image in noise for i in range(2)}) == 2 * len(noise)


def test_draws_are_standard_normal(generator):
    z = tf.function(samples_of(generator).z)(tf.range(2000, dtype=tf.int64)).numpy()
    # Five standard deviations of what n normal numbers give.
    assert abs(z.mean()) < 5 / np.sqrt(z.size) and abs(z.std() - 1) < 5 / np.sqrt(2 * z.size)
    assert np.abs(np.corrcoef(z.T) - np.eye(z.shape[1])).max() < 5 / np.sqrt(len(z))


def test_noise_fits_the_generator(generator):
    shapes = [tuple(image.shape) for image in samples_of(generator).noise(indices(0, 1, 2))]
    assert shapes == [(3, *shape[1:]) for shape in generator.synthesis.noise_shapes]
    assert samples_of(tiny_generator(use_noise=False)).noise(indices(0)) is None


def test_labels_are_those_of_real_images():
    labels = np.eye(3, dtype=np.float32)[[0, 1, 1, 1]]
    samples = samples_of(tiny_generator(label_size=3), labels=labels)
    drawn = tf.function(samples.labels)(tf.range(2000, dtype=tf.int64)).numpy()
    np.testing.assert_allclose(drawn.mean(axis=0), [0.25, 0.75, 0], atol=0.03)
    assert samples_of(tiny_generator()).labels(indices(0)) is None


@pytest.mark.parametrize("latents", [1, 2, 3, 4])
def test_so_many_latents_take_turns(generator, latents):
    samples = samples_of(generator)
    numbers = tf.range(50, dtype=tf.int64)
    w = tf.function(samples.w)(numbers, latents).numpy()
    purposes = [Purpose.Z, Purpose.SECOND_Z, Purpose.MORE_Z, Purpose.MORE_Z + 1][:latents]
    sources = np.stack([generator.mapping(samples.z(numbers, purpose)).numpy() for purpose in purposes])
    # Of which latent each layer's style is.
    chosen = np.abs(w[None] - sources).max(axis=-1).argmin(axis=0)
    np.testing.assert_allclose(w, np.take_along_axis(sources, chosen[None, :, :, None], axis=0)[0], atol=1e-6)
    assert (np.diff(chosen, axis=1) >= 0).all()
    # All of them take part in every image; the cut-offs are anywhere.
    assert (chosen[:, 0] == 0).all() and (chosen[:, -1] == latents - 1).all()
    assert all(len(set(row)) == latents for row in chosen.tolist())
    if 1 < latents < generator.num_layers:
        assert len({tuple(row) for row in chosen.tolist()}) == {2: 3, 3: 3, 4: 1}[latents]


def test_images_have_random_noise_and_no_truncation(generator):
    samples = samples_of(generator)
    w = samples.w(indices(0, 0))
    first, again = samples.images(indices(0, 0), w).numpy()
    np.testing.assert_array_equal(first, again)
    other = samples.images(indices(1), w[:1]).numpy()[0]
    assert np.abs(first - other).max() > 1e-3
    expected = generator(samples.z(indices(0)), truncation_psi=None, noise=samples.noise(indices(0)))
    np.testing.assert_allclose(first, expected[0], atol=1e-5)


def test_a_growing_generator_shows_its_newest_block(generator):
    samples = samples_of(generator, resolution=4, fade=0.5)
    w = samples.w(indices(0))
    images = samples.images(indices(0), w).numpy()
    assert images.shape == (1, 8, 8, 3)
    small = generator.synthesis(w, noise=samples.noise(indices(0)), resolution=4, fade=0.5).numpy()
    np.testing.assert_allclose(images, small.repeat(2, axis=1).repeat(2, axis=2), atol=1e-6)
