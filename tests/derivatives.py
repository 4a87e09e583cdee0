"""A function's value and derivatives, by which two forms of it are compared."""

import numpy as np
import tensorflow as tf


def with_gradients(function, *arguments):
    """The value, and the gradients of a sum in which every number of it has another weight, all float32."""
    arguments = [tf.constant(argument) for argument in arguments]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = function(*arguments)
        loss = tf.reduce_sum(value * tf.sin(tf.reshape(tf.range(tf.size(value), dtype=tf.float32), value.shape)))
    return [value, *tape.gradient(loss, arguments)]


def with_gradients_of_gradients(function, *arguments):
    """The same, and the gradients of the sum of the squares of these gradients."""
    arguments = [tf.constant(argument) for argument in arguments]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value, *gradients = with_gradients(function, *arguments)
        loss = sum(tf.reduce_sum(tf.square(gradient)) for gradient in gradients)
    return [value, *gradients, *tape.gradient(loss, arguments)]


def assert_same(ours, others, tolerance):
    """Raises AssertionError where numbers differ by more than that share of the largest of their array."""
    for one, other in zip(ours, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * np.abs(other).max())
