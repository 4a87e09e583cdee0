"""The path length penalty and its gradients equal closed forms and finite differences, for our networks too.

That they equal the original's is shown by test_stylegan2_losses.py.
"""

import numpy as np
import tensorflow as tf
from reference_vectors import assert_close

from stylegan_tf.networks import Generator
from stylegan_tf.training.losses import path_length_penalty, path_lengths

N, L, D, H, W, C = 3, 2, 5, 4, 6, 3


def linear_synthesis(matrices):
    """Images that are the sum over layers of w times the layer's matrix; `matrices` are [L, D, H W C]."""
    return lambda w: tf.reshape(tf.einsum("nld,ldp->np", w, matrices), [-1, H, W, C])


def linear_case():
    random = np.random.default_rng(5)
    matrices, w = random.standard_normal((L, D, H * W * C)), random.standard_normal((N, L, D))
    return tf.Variable(matrices), tf.constant(w), tf.constant(random.standard_normal((N, H, W, C)))


def test_lengths_of_a_linear_synthesis():
    matrices, w, directions = linear_case()
    projected = np.einsum("ldp,np->nld", matrices.numpy(), directions.numpy().reshape(N, -1)) / np.sqrt(H * W)
    expected = np.sqrt(np.mean(np.sum(projected**2, axis=2), axis=1))
    np.testing.assert_allclose(path_lengths(linear_synthesis(matrices), w, directions), expected, rtol=1e-12)

    penalty, mean = path_length_penalty(linear_synthesis(matrices), w, directions, mean=2.0, decay=0.25)
    np.testing.assert_allclose(mean, 0.75 * 2.0 + 0.25 * expected.mean(), rtol=1e-12)
    np.testing.assert_allclose(penalty, (expected - mean) ** 2, rtol=1e-12)


def assert_directional_derivative(function, variables, tolerance=1e-6):
    """The tape's derivative of a scalar, along a random direction of all variables, equals central differences."""
    with tf.GradientTape() as tape:
        value = function()
    gradients = tape.gradient(value, variables, unconnected_gradients="zero")
    random, step = np.random.default_rng(6), 1e-6
    directions = [random.standard_normal(variable.shape) for variable in variables]
    starts = [variable.numpy() for variable in variables]
    sides = []
    for sign in (1, -1):
        for variable, start, direction in zip(variables, starts, directions, strict=True):
            variable.assign(start + sign * step * direction)
        sides.append(float(function()))
    expected = (sides[0] - sides[1]) / (2 * step)
    actual = sum(float(np.sum(g * d)) for g, d in zip(gradients, directions, strict=True))
    assert abs(actual - expected) <= tolerance * abs(expected)
    return gradients


def test_gradient_flows_through_the_mean():
    matrices, w, directions = linear_case()

    # With half of the mean from this batch, a gradient that stops at the mean would be far off.
    def loss():
        penalty, _ = path_length_penalty(linear_synthesis(matrices), w, directions, mean=1.0, decay=0.5)
        return tf.reduce_mean(penalty)

    assert_directional_derivative(loss, [matrices])


def our_generator(dtype):
    """Our generator, moved off its initial zeros and ones, and its penalty as a function without arguments."""
    random = np.random.default_rng(7)
    generator = Generator(
        resolution=8,
        latent_size=6,
        dlatent_size=6,
        mapping_layers=2,
        mapping_fmaps=6,
        fmap_base=32,
        fmap_max=4,
        dtype=dtype,
    )
    for variable in generator.trainable_variables:
        variable.assign_add(0.5 * random.standard_normal(variable.shape))
    z = tf.constant(random.standard_normal((N, 6)), dtype)
    directions = tf.constant(random.standard_normal((N, 8, 8, 3)), dtype)

    def loss():
        penalty, _ = path_length_penalty(
            lambda w: generator.synthesis(w, fade=0.5), generator.mapping(z), directions, mean=1.0, decay=0.25
        )
        return tf.reduce_mean(penalty)

    return generator, loss


def test_every_weight_of_our_generator_has_a_gradient():
    generator, loss = our_generator("float64")
    variables = generator.trainable_variables
    gradients = assert_directional_derivative(loss, [variable.value for variable in variables])
    for variable, gradient in zip(variables, gradients, strict=True):
        # What is added to the image last does not depend on w.
        assert np.any(gradient) != ("rgb" in variable.path and "bias" in variable.path), variable.path


def test_compiled_like_a_training_step():
    generator, loss = our_generator("float32")
    variables = [variable.value for variable in generator.trainable_variables]

    def gradients():
        with tf.GradientTape() as tape:
            value = loss()
        return [value, *tape.gradient(value, variables, unconnected_gradients="zero")]

    for compiled, eager in zip(tf.function(gradients, jit_compile=True)(), gradients(), strict=True):
        assert_close(compiled, eager.numpy(), 1e-4)


def test_gradient_scale_keeps_float16_from_underflow():
    random = np.random.default_rng(8)
    w = tf.constant(random.standard_normal((N, L, D)), tf.float32)
    directions = tf.constant(random.standard_normal((N, H, W, C)), tf.float32)
    matrices = tf.constant(random.standard_normal((L, D, H * W * C)), tf.float32)

    def faint(synthesis):
        return lambda w: 2.0**-12 * (2.0**-12 * synthesis(w))

    expected = path_lengths(faint(linear_synthesis(matrices)), w, directions)
    assert expected.dtype == tf.float32
    half = faint(lambda w: linear_synthesis(tf.cast(matrices, tf.float16))(tf.cast(w, tf.float16)))
    scaled = path_lengths(half, w, directions, gradient_scale=2.0**12)
    assert scaled.dtype == tf.float32
    np.testing.assert_allclose(scaled, expected, rtol=5e-3)
    assert np.max(np.abs(path_lengths(half, w, directions) / expected - 1.0)) > 0.05


def test_gradient_scale_changes_nothing_else():
    matrices, w, directions = linear_case()
    arguments = linear_synthesis(matrices), w, directions
    np.testing.assert_array_equal(path_lengths(*arguments, gradient_scale=2.0**15), path_lengths(*arguments))
