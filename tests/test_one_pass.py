"""One large image alone is normalised in one pass, which changes nothing but the time."""

import keras
import pytest
import tensorflow as tf
from derivatives import assert_same, with_gradients_of_gradients

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


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 4e-2)])
def test_one_pass_changes_nothing(adain, monkeypatch, dtype, tolerance):
    x = keras.random.normal((1, ROWS, 8, 3), mean=2.0, seed=2)
    w = keras.random.normal((1, 5), seed=3)

    def function(x, w):
        return tf.cast(adain(tf.cast(x, dtype), w), tf.float32)

    one_pass = with_gradients_of_gradients(function, x, w)
    monkeypatch.setattr("stylegan_tf.layers.normalization.ROWS", ROWS + 1)
    assert_same(one_pass, with_gradients_of_gradients(function, x, w), tolerance)


@pytest.mark.parametrize(
    ("images", "rows", "dtype", "gpus", "one_pass"),
    [
        (1, ROWS, "float32", [], True),
        (1, ROWS - 1, "float32", [], False),
        (2, ROWS, "float32", [], False),
        (None, ROWS, "float32", [], False),
        (1, None, "float32", [], False),
        (1, ROWS, "bfloat16", [], True),
        (1, ROWS, "float16", [], False),
        (1, ROWS, "float64", [], False),
        (1, ROWS, "float32", ["gpu:0"], False),
    ],
)
def test_where_it_is_one_pass(monkeypatch, images, rows, dtype, gpus, one_pass):
    monkeypatch.setattr(keras.distribution, "list_devices", lambda kind: gpus if kind == "gpu" else ["cpu:0"])
    layer = AdaIN(dtype="float64" if dtype == "float64" else "float32")
    layer.build((images, ROWS, 8, 3), (images, 5))
    inputs = tf.TensorSpec((images, rows, 8, 3), dtype), tf.TensorSpec((images, 5), layer.variable_dtype)
    graph = tf.function(layer).get_concrete_function(*inputs).graph
    found = {operation.type for operation in graph.get_operations()}
    assert ("FusedBatchNormV3" in found) == one_pass
