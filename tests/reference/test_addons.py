"""Our normalisation and moving average equal those of tensorflow-addons, which no longer exists for this TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf
from reference_vectors import assert_close

from stylegan_tf.layers import AdaIN, InstanceNorm
from stylegan_tf.training.average import moving_average


@pytest.mark.vectors("tensorflow-addons")
def test_instance_norm(vector):
    x = tf.constant(vector["inputs/x"])
    norm = InstanceNorm(epsilon=vector.config["epsilon"])
    with tf.GradientTape() as tape:
        tape.watch(x)
        plain = norm(x)
        total = tf.reduce_sum(plain * vector["inputs/dy"])
    assert_close(plain, vector["outputs/plain"], 1e-5)
    assert_close(tape.gradient(total, x), vector["outputs/dx"], 1e-5, "dx")
    assert_close(plain * vector["inputs/gamma"] + vector["inputs/beta"], vector["outputs/affine"], 1e-5)


@pytest.mark.vectors("tensorflow-addons")
def test_adain(vector):
    x, style = vector["inputs/x"], vector["inputs/style"]
    layer = AdaIN(use_wscale=False, epsilon=vector.config["epsilon"])
    w = np.eye(len(style), dtype=np.float32)  # picks one row of the kernel, the style of one image
    layer.build(x.shape, w.shape)
    layer.style.kernel.assign(style)
    assert_close(layer(x, w), vector["outputs/adain"], 1e-5)


@pytest.mark.vectors("tensorflow-addons")
def test_moving_average(vector):
    average = vector["inputs/variable"]
    for variable, reference in zip(vector["outputs/variable_after"], vector["outputs/average_after"], strict=True):
        average = moving_average(average, variable, beta=vector.config["average_decay"])
        assert_close(average, reference, 1e-6)
