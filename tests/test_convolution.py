"""One image alone is convolved in strips where that is faster, which changes nothing but the time."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from stylegan_tf.layers import convolution
from stylegan_tf.layers.convolution import convolve

FLAGS = "model name\t: EPYC\nflags\t\t: fpu {}\n"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A function that makes the machine one with these flags, oneDNN's operations and number of cores."""

    def use(flags, onednn, cores):
        (tmp_path / "cpuinfo").write_text(FLAGS.format(flags))
        monkeypatch.setattr("stylegan_tf.runtime.processor.CPUINFO", tmp_path / "cpuinfo")
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", onednn)
        monkeypatch.setattr("os.cpu_count", lambda: cores)
        convolution.strips_of_an_image.cache_clear()

    yield use
    convolution.strips_of_an_image.cache_clear()


def with_gradients(function, *arguments):
    """A function's value, and the gradients of a sum in which every pixel has another weight."""
    arguments = [tf.constant(argument) for argument in arguments]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = function(*arguments)
        loss = tf.reduce_sum(value * tf.sin(tf.reshape(tf.range(tf.size(value), dtype=tf.float32), value.shape)))
    return [value, *tape.gradient(loss, arguments)]


@pytest.mark.parametrize("shape", [(64, 64), (128, 32), (96, 16)])
@pytest.mark.parametrize("side", [3, 5])
def test_strips_change_nothing(machine, monkeypatch, shape, side):
    machine("avx2", "1", 4)
    x, kernel = (keras.random.normal(s, seed=i) for i, s in enumerate([(1, *shape, 3), (side, side, 3, 2)]))
    batches, conv = [], ops.conv

    def counted(x, *arguments, **options):
        batches.append(x.shape[0])
        return conv(x, *arguments, **options)

    monkeypatch.setattr(ops, "conv", counted)
    in_strips = with_gradients(convolve, x, kernel)
    monkeypatch.undo()
    plain = with_gradients(lambda x, kernel: ops.conv(x, kernel, padding="same"), x, kernel)
    assert batches == [shape[0] // 32]
    for one, other in zip(in_strips, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "side"),
    [((2, 64, 8, 3), 3), ((1, 32, 32, 3), 3), ((1, 63, 8, 3), 3), ((1, 64, 64, 3), 1)],
    ids=["two images", "few pixels", "rows that do not divide", "single pixels"],
)
def test_the_rest_is_convolved_whole(machine, shape, side):
    machine("avx2", "1", 4)
    x, kernel = (keras.random.normal(s, seed=i) for i, s in enumerate([shape, (side, side, 3, 2)]))
    function = tf.function(convolve)
    graph = function.get_concrete_function(x, kernel).graph
    assert "ConcatV2" not in {operation.type for operation in graph.get_operations()}
    np.testing.assert_array_equal(function(x, kernel), ops.conv(x, kernel, padding="same"))


@pytest.mark.parametrize("shape", [(None, 64, 8, 3), (None, None, None, 3), (1, None, None, 3), (1, 64, None, 3)])
def test_sizes_that_are_not_known(machine, shape):
    machine("avx2", "1", 4)
    x, kernel = (keras.random.normal(s, seed=i) for i, s in enumerate([(1, 64, 8, 3), (3, 3, 3, 2)]))
    function = tf.function(convolve, input_signature=[tf.TensorSpec(shape), tf.TensorSpec(kernel.shape)])
    np.testing.assert_allclose(function(x, kernel), ops.conv(x, kernel, padding="same"), atol=1e-5)


@pytest.mark.parametrize(
    ("flags", "onednn", "cores", "strips"),
    [
        ("avx2", "1", 1, 1),
        ("avx2", "1", 2, 2),
        ("avx2", "1", 12, 8),
        ("avx2", "1", None, 1),
        ("avx2", "0", 2, 1),
        ("avx2 avx512f", "1", 2, 1),
        ("sse4", "1", 2, 1),
    ],
)
def test_where_strips_are_cut(machine, flags, onednn, cores, strips):
    machine(flags, onednn, cores)
    assert convolution.strips_of_an_image() == strips
