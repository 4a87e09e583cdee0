"""Half precision on another backend; test_backends.py runs these tests on each of them."""

import keras
import numpy as np
import pytest

from stylegan_tf.layers import leaky_relu
from stylegan_tf.networks import Discriminator, Generator

FEW_FMAPS = dict(resolution=8, fmap_base=128, fmap_max=16)
LATENTS = dict(latent_size=16, dlatent_size=16, mapping_fmaps=16, mapping_layers=2)


def gradient(x):
    """That of the sum of leaky ReLU."""
    if keras.backend.backend() == "jax":
        import jax  # noqa: PLC0415 - where it is the backend

        return jax.grad(lambda x: keras.ops.sum(keras.ops.cast(leaky_relu(x), "float32")))(x)
    x.requires_grad_(True)
    leaky_relu(x).sum().backward()
    return x.grad


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_half_leaky_relu(dtype):
    g = gradient(keras.ops.convert_to_tensor([0.0, 1.0, -1.0], dtype))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(keras.ops.cast(g, "float32")), [1, 1, 0.2], rtol=1e-2)


@pytest.mark.parametrize(
    "cls, arguments, shape",
    [(Generator, FEW_FMAPS | LATENTS, (32, 16)), (Discriminator, FEW_FMAPS, (32, 8, 8, 3))],
    ids=["G", "D"],
)
def test_half_networks(cls, arguments, shape):
    keras.utils.set_random_seed(0)
    full, half = cls(**arguments), cls(**arguments, dtype="mixed_bfloat16")
    half.set_weights(full.get_weights())
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    expected, actual = full(x), half(x)
    assert keras.backend.standardize_dtype(actual.dtype) == "float32"
    expected, actual = (keras.ops.convert_to_numpy(y) for y in (expected, actual))
    error = np.linalg.norm(actual - expected) / np.linalg.norm(expected)
    assert 0 < error < 0.02, error
