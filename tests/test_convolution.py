"""One image alone is convolved in strips, and gradients of kernels are products of matrices, where that is faster.

It changes nothing but the time.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from derivatives import assert_same, with_gradients, with_gradients_of_gradients
from keras import ops
from tiny_networks import normal, scattered

from stylegan_tf.layers import convolution, kernel_gradient
from stylegan_tf.layers.convolution import convolve
from stylegan_tf.networks import Discriminator, StyleGAN2Discriminator, StyleGAN2Generator
from stylegan_tf.runtime.processor import has_onednn_without_avx512
from stylegan_tf.training.losses import path_length_penalty, r1_penalty

FLAGS = "model name\t: EPYC\nflags\t\t: fpu {}\n"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A function that makes the machine one with these flags, oneDNN's operations and number of cores."""

    def use(flags, onednn, cores):
        (tmp_path / "cpuinfo").write_text(FLAGS.format(flags))
        monkeypatch.setattr("stylegan_tf.runtime.processor.CPUINFO", tmp_path / "cpuinfo")
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", onednn)
        monkeypatch.setattr("os.cpu_count", lambda: cores)
        has_onednn_without_avx512.cache_clear()

    yield use
    has_onednn_without_avx512.cache_clear()


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
    assert_same(in_strips, plain, 1e-5)


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
    assert "Pack" not in {operation.type for operation in graph.get_operations()}
    np.testing.assert_array_equal(function(x, kernel), ops.conv(x, kernel, padding="same"))


@pytest.mark.parametrize("shape", [(None, 64, 8, 3), (None, None, None, 3), (1, None, None, 3), (1, 64, None, 3)])
def test_sizes_that_are_not_known(machine, shape):
    machine("avx2", "1", 4)
    x, kernel = (keras.random.normal(s, seed=i) for i, s in enumerate([(1, 64, 8, 3), (3, 3, 3, 2)]))
    function = tf.function(convolve, input_signature=[tf.TensorSpec(shape), tf.TensorSpec(kernel.shape)])
    np.testing.assert_allclose(function(x, kernel), ops.conv(x, kernel, padding="same"), atol=1e-5)


@pytest.mark.parametrize(
    ("flags", "onednn", "cores", "gpus", "strips"),
    [
        ("avx2", "1", 1, [], 1),
        ("avx2", "1", 2, [], 2),
        ("avx2", "1", 12, [], 8),
        ("avx2", "1", None, [], 1),
        ("avx2", "0", 2, [], 1),
        ("avx2", "1", 2, ["gpu:0"], 1),
        ("avx2 avx512f", "1", 2, [], 1),
        ("sse4", "1", 2, [], 1),
    ],
)
def test_where_strips_are_cut(machine, monkeypatch, flags, onednn, cores, gpus, strips):
    machine(flags, onednn, cores)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda kind: gpus if kind == "gpu" else ["cpu:0"])
    assert convolution.strips_of_an_image(1024) == strips


@pytest.mark.parametrize(("rows", "strips"), [(16, 1), (32, 1), (63, 1), (64, 2), (96, 3), (128, 4), (1024, 4)])
def test_strips_have_enough_rows(machine, rows, strips):
    machine("avx2", "1", 4)
    assert convolution.strips_of_an_image(rows) == strips


@pytest.fixture
def as_products(machine, monkeypatch):
    """Gradients of all kernels are products of matrices."""
    machine("avx2", "1", 2)
    monkeypatch.setattr(kernel_gradient, "WORK", 0)


def random(*shapes):
    return [keras.random.normal(shape, seed=i) for i, shape in enumerate(shapes)]


CONVOLUTIONS = pytest.mark.parametrize(
    ("shape", "side", "stride", "padding"),
    [
        ((2, 8, 6), 3, 1, "same"),
        ((2, 8, 6), 3, 1, "valid"),
        ((2, 7, 5), 5, 1, "same"),
        ((2, 8, 6), 4, 2, "same"),
        ((2, 8, 12), 6, 2, "same"),
        ((2, 9, 7), 3, 2, "valid"),
        ((2, 9, 13), 5, 2, "valid"),
    ],
)


@CONVOLUTIONS
def test_products_change_nothing(as_products, shape, side, stride, padding):
    x, kernel = random((*shape, 3), (side, side, 3, 2))
    options = dict(strides=stride, padding=padding)
    ours = with_gradients_of_gradients(lambda x, kernel: kernel_gradient.conv(x, kernel, stride, padding), x, kernel)
    plain = with_gradients_of_gradients(lambda x, kernel: ops.conv(x, kernel, **options), x, kernel)
    assert_same(ours, plain, 1e-5)


@CONVOLUTIONS
def test_products_change_no_transposed_convolution(as_products, shape, side, stride, padding):
    kernel, y = random((side, side, 3, 2), ops.conv(*random((*shape, 3), (side, side, 3, 2)), stride, padding).shape)

    def ours(y, kernel):
        return kernel_gradient.conv_transpose(y, kernel, stride, padding)

    ours = with_gradients_of_gradients(ours, y, kernel)
    plain = with_gradients_of_gradients(lambda y, kernel: ops.conv_transpose(y, kernel, stride, padding), y, kernel)
    assert ours[0].shape[1:3] == shape[1:]
    assert_same(ours, plain, 1e-5)


def operations_of_gradient(function, *arguments):
    """The types of the operations that compute a value and its gradients."""
    specifications = [tf.TensorSpec(shape, dtype) for shape, dtype in arguments]
    graph = tf.function(lambda *x: with_gradients_of(function, x)).get_concrete_function(*specifications).graph
    return {operation.type for operation in graph.get_operations()}


def with_gradients_of(function, arguments):
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = function(*arguments)
    return value, tape.gradient(value, arguments)


@pytest.mark.parametrize("call", ["conv", "conv_transpose"])
@pytest.mark.parametrize(
    ("images", "maps", "dtype", "flags", "gpus", "products"),
    [
        (2, 512, tf.float32, "avx2", [], True),
        (2, 64, tf.float32, "avx2", [], False),
        (None, 512, tf.float32, "avx2", [], False),
        (2, 512, tf.bfloat16, "avx2", [], False),
        (2, 512, tf.float32, "avx2 avx512f", [], False),
        (2, 512, tf.float32, "avx2", ["gpu:0"], False),
    ],
    ids=["many maps", "few maps", "any number of images", "bfloat16", "AVX-512", "GPU"],
)
def test_where_gradients_are_products(machine, monkeypatch, call, images, maps, dtype, flags, gpus, products):
    machine(flags, "1", 2)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda kind: gpus if kind == "gpu" else ["cpu:0"])
    function = getattr(kernel_gradient, call)
    arguments = ((images, 4, 4, maps), dtype), ((3, 3, maps, maps), dtype)
    found = operations_of_gradient(lambda x, kernel: function(x, kernel, padding="same"), *arguments)
    assert ("MatMul" in found, "Conv2DBackpropFilter" in found) == (products, not products)


def gradients_of_penalty(network):
    """The gradients of R1 or of the path length penalty by all variables of a small network."""
    network = scattered(network(resolution=16, fmap_base=32, fmap_max=4))

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            if isinstance(network, StyleGAN2Generator):
                w = network.mapping(normal(2, network.latent_size))
                penalty, _ = path_length_penalty(network.synthesis, w, normal(2, 16, 16, 3), mean=0.0)
            else:
                penalty, _ = r1_penalty(network, tf.constant(normal(2, 16, 16, 3)), gamma=10.0)
        variables = [variable.value for variable in network.trainable_variables]
        return tape.gradient(penalty, variables, unconnected_gradients="zero")

    graph = gradients.get_concrete_function().graph
    return gradients(), {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize("network", [Discriminator, StyleGAN2Discriminator, StyleGAN2Generator])
def test_products_change_no_penalty(as_products, machine, network):
    ours, operations = gradients_of_penalty(network)
    machine("avx2", "0", 2)
    plain, plain_operations = gradients_of_penalty(network)
    assert "IdentityN" in operations and "IdentityN" not in plain_operations
    for one, other in zip(ours, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * np.abs(other).max())
