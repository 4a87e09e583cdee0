"""Derivatives of first and second order through every transform of ADA and DiffAugment, against finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from stylegan_tf.augment import adaptive, diffaugment
from stylegan_tf.augment.pipelines import PIPELINES, POLICIES, TRANSFORMS, columns, unpack

# As small as the filter bank takes them, and not square.
SHAPE = 2, 22, 23, 3


def adaptive_transform(multipliers, dtype):
    """ADA with p = 1, with draws that flip and turn every image."""
    random = np.random.default_rng(1)
    uniform = random.uniform(0.5, 1, size=(SHAPE[0], columns("uniform")[1]))
    normal = random.standard_normal((SHAPE[0], columns("normal")[1]))
    draws = unpack(tf.constant(uniform, dtype), tf.constant(normal, dtype))
    draws["noise"] = tf.constant(random.standard_normal(SHAPE), dtype)
    return lambda images: adaptive.augment(images, draws, tf.constant(1, dtype), multipliers)


def policy_transform(policies, dtype):
    random, draws = np.random.default_rng(2), {}
    for name, values in diffaugment.draw_ranges(policies, *SHAPE[1:3]).items():
        integers = values and random.integers(values[0], sum(values), SHAPE[0])
        draws[name] = tf.constant(random.uniform(size=SHAPE[0]), dtype) if values is None else tf.constant(integers)
    return lambda images: diffaugment.augment(images, draws, policies)


def r1(transform, images, weights):
    """R1 of a small D behind the transform."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        scores = tf.reduce_sum(tf.tanh(tf.tensordot(transform(images), weights, 3)), axis=1)
    return tf.reduce_sum(tape.gradient(scores, images) ** 2)


def case(dtype="float64"):
    random = np.random.default_rng(3)
    images = tf.constant(random.uniform(-1, 1, SHAPE), dtype)
    return images, tf.constant(0.02 * random.standard_normal((*SHAPE[1:], 4)), dtype)


@pytest.mark.parametrize("name", (*TRANSFORMS, *POLICIES[:2], "diffaugment-cutout"))
def test_r1_and_its_gradient(name):
    if name in TRANSFORMS:
        transform = adaptive_transform({name: 1.0}, "float64")
    else:
        transform = policy_transform([name.removeprefix("diffaugment-")], "float64")
    arguments, random, step = case(), np.random.default_rng(4), 1e-5
    assert np.abs(transform(arguments[0]) - arguments[0]).max() > 0.01
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = r1(transform, *arguments)
    gradients = tape.gradient(value, arguments)
    assert value > 0
    directions = [random.standard_normal(argument.shape) for argument in arguments]
    sides = [
        r1(transform, *(a + sign * step * d for a, d in zip(arguments, directions, strict=True))) for sign in (1, -1)
    ]
    expected = (sides[0] - sides[1]) / (2 * step)
    actual = sum(tf.reduce_sum(g * d) for g, d in zip(gradients, directions, strict=True))
    np.testing.assert_allclose(actual, expected, rtol=1e-6)
    # R1 itself is the square of a gradient that a step along one image shows.
    along = random.standard_normal(SHAPE)

    def scores(images):
        return tf.reduce_sum(tf.tanh(tf.tensordot(transform(images), arguments[1], 3)))

    with tf.GradientTape() as tape:
        tape.watch(arguments[0])
        total = scores(arguments[0])
    slope = tf.reduce_sum(tape.gradient(total, arguments[0]) * along)
    expected = (scores(arguments[0] + step * along) - scores(arguments[0] - step * along)) / (2 * step)
    np.testing.assert_allclose(slope, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["ada", "diffaugment"])
def test_compiled_like_a_training_step(kind):
    """All transforms under XLA, with static shapes."""
    if kind == "ada":
        transform = adaptive_transform(dict.fromkeys(PIPELINES["bgcfnc"], 1.0), "float32")
    else:
        transform = policy_transform(POLICIES, "float32")
    images, weights = case("float32")

    def gradients(weights):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            value = r1(transform, images, weights)
        return value, tape.gradient(value, weights)

    for compiled, eager in zip(tf.function(gradients, jit_compile=True)(weights), gradients(weights), strict=True):
        np.testing.assert_allclose(compiled, eager, rtol=1e-3, atol=1e-4 * np.abs(eager).max())
