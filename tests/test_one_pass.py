"""One large image alone is normalised in one pass, which changes nothing but the time."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stylegan_tf.layers import AdaIN
from stylegan_tf.layers.normalization import ROWS


@pytest.fixture(scope="module")
def adain():
    """A layer whose scales and biases are not those that it starts with."""
    layer = AdaIN()
    layer.build((1, ROWS, 8, 3), (1, 5))
    for i, variable in enumerate(layer.trainable_variables):
        variable.assign(keras.random.normal(variable.shape, seed=i))
    return layer


def with_gradients_of_gradients(function, *arguments):
    """A function's value, the gradients of its sine's sum, and the gradients of the sum of theirs."""
    with tf.GradientTape() as outer:
        outer.watch(arguments)
        with tf.GradientTape() as inner:
            inner.watch(arguments)
            value = function(*arguments)
            loss = tf.reduce_sum(tf.sin(value))
        gradients = inner.gradient(loss, arguments)
        loss = sum(tf.reduce_sum(tf.sin(gradient)) for gradient in gradients)
    return [value, *gradients, *outer.gradient(loss, arguments)]


def test_one_pass_changes_nothing(adain, monkeypatch):
    x = keras.random.normal((1, ROWS, 8, 3), mean=2.0, seed=2)
    w = keras.random.normal((1, 5), seed=3)
    one_pass = with_gradients_of_gradients(adain, x, w)
    monkeypatch.setattr("stylegan_tf.layers.normalization.ROWS", ROWS + 1)
    several = with_gradients_of_gradients(adain, x, w)
    for one, other in zip(one_pass, several, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * np.abs(other).max())


@pytest.mark.parametrize(
    ("images", "rows", "dtype", "gpus", "one_pass"),
    [
        (1, ROWS, "float32", [], True),
        (1, ROWS - 1, "float32", [], False),
        (2, ROWS, "float32", [], False),
        (None, ROWS, "float32", [], False),
        (1, None, "float32", [], False),
        (1, ROWS, "float64", [], False),
        (1, ROWS, "float32", ["gpu:0"], False),
    ],
)
def test_where_it_is_one_pass(monkeypatch, images, rows, dtype, gpus, one_pass):
    monkeypatch.setattr(keras.distribution, "list_devices", lambda kind: gpus if kind == "gpu" else ["cpu:0"])
    layer = AdaIN(dtype=dtype)
    layer.build((images, ROWS, 8, 3), (images, 5))
    shapes = (images, rows, 8, 3), (images, 5)
    graph = tf.function(layer).get_concrete_function(*(tf.TensorSpec(shape, dtype) for shape in shapes)).graph
    found = {operation.type for operation in graph.get_operations()}
    assert ("FusedBatchNormV3" in found) == one_pass
