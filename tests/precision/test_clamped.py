"""StyleGAN2's way to half precision: activations are clamped, and only the highest resolutions compute in half."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stylegan_tf.networks import StyleGAN2Discriminator, StyleGAN2Generator

MIXED = {"mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}
SIZES = {"resolution": 16, "fmap_base": 128, "fmap_max": 16}
MAPPING = {"latent_size": 16, "dlatent_size": 16, "mapping_fmaps": 16, "mapping_layers": 2}
# Relative errors against float32, by the norm. Gradients, of which bfloat16's 0.08 was measured, jump where rounding
# moves a number across the kink of the leaky ReLU, or across the clamp.
ERROR = {"mixed_bfloat16": 0.01, "mixed_float16": 0.002}
GRADIENT_ERROR = {"mixed_bfloat16": 0.16, "mixed_float16": 0.02}
ARCHITECTURES = ("skip", "resnet", "orig")


def normal(*shape, seed=0):
    return tf.random.stateless_normal(shape, [seed, 0])


def alike(cls, policies, **arguments):
    """Networks under dtype policies, with the same weights, off their initial values."""
    networks = []
    for policy in policies:
        keras.utils.set_random_seed(0)
        networks.append(cls(**SIZES, **arguments, dtype=policy))
        random = np.random.default_rng(0)
        for variable in networks[-1].variables:
            variable.assign_add(0.3 * random.standard_normal(variable.shape))
    return networks


def error(actual, expected):
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype == np.float32
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def features_of(generator, z):
    """Features after each block."""
    synthesis = generator.synthesis
    count = len(synthesis.resolutions)
    return [x for x, _ in synthesis.features(generator.mapping(z), synthesis.noise_images, count)]


@pytest.mark.parametrize("policy", MIXED)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_generator(architecture, policy):
    options = {"architecture": architecture, "num_half_res": 1, "conv_clamp": 1.5}
    full, half = alike(StyleGAN2Generator, ("float32", policy), **MAPPING, **options)
    z = normal(4, 16)
    expected, actual = features_of(full, z), features_of(half, z)
    # 4x4 and 8x8 are in float32, and only 16x16 is in half: of float16 the convolution alone.
    assert [x.dtype for x in actual] == ["float32", "float32", "bfloat16" if policy == "mixed_bfloat16" else "float32"]
    expected, actual = ([tf.cast(x, tf.float32).numpy() for x in features] for features in (expected, actual))
    np.testing.assert_array_equal(actual[0], expected[0])
    np.testing.assert_array_equal(actual[1], expected[1])
    assert 0 < error(actual[2], expected[2]) < ERROR[policy]
    assert 0 < error(half(z), full(z)) < ERROR[policy]
    # The clamp is reached, in half as in float32. A residual block adds two ways, of which one has it.
    if architecture != "resnet":
        assert np.abs(expected[2]).max() == np.abs(actual[2]).max() == 1.5


@pytest.mark.parametrize("policy", MIXED)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_discriminator(architecture, policy):
    options = {"architecture": architecture, "num_half_res": 1, "conv_clamp": 1.5}
    full, half = alike(StyleGAN2Discriminator, ("float32", policy), **options)
    assert [layers[0].compute_dtype for layers in half.blocks] == [MIXED[policy], "float32"]
    assert half.from_rgb[0].compute_dtype == MIXED[policy] and half.conv.compute_dtype == "float32"
    images, found = normal(4, 16, 16, 3), []
    for network in (half, full):
        with tf.GradientTape() as tape:
            tape.watch(images)
            scores = network(images)
        found.append((scores, tape.gradient(scores, images)))
    (scores, gradient), (expected, expected_gradient) = found
    assert 0 < error(scores, expected) < ERROR[policy]
    assert 0 < error(gradient, expected_gradient) < GRADIENT_ERROR[policy]
    (unclamped,) = alike(StyleGAN2Discriminator, ("float32",), architecture=architecture)
    assert error(unclamped(images), expected) > 0.05


def test_256_is_far_from_what_networks_compute():
    z, images, found = normal(4, 16), normal(4, 16, 16, 3), []
    for clamp in (None, 256):
        (generator,) = alike(StyleGAN2Generator, ("float32",), **MAPPING, conv_clamp=clamp)
        (discriminator,) = alike(StyleGAN2Discriminator, ("float32",), conv_clamp=clamp)
        found.append([generator(z).numpy(), discriminator(images).numpy()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_large_activations_overflow_float16_without_the_clamp():
    z = normal(2, 16)
    for clamp in (None, 256):
        networks = alike(StyleGAN2Generator, ("float32", "mixed_float16"), **MAPPING, num_half_res=2, conv_clamp=clamp)
        for network in networks:
            bias = network.synthesis.layers_by_resolution[0][0].conv.bias
            bias.assign(bias * 1e6)
        full, half = (network(z).numpy() for network in networks)
        if clamp is None:
            assert np.isfinite(full).all() and not np.isfinite(half).all()
        else:
            assert error(half, full) < ERROR["mixed_float16"]


@pytest.mark.parametrize("number", [None, 0])
def test_all_or_none(number):
    generator, discriminator = (
        cls(**SIZES, num_half_res=number, dtype="mixed_bfloat16")
        for cls in (StyleGAN2Generator, StyleGAN2Discriminator)
    )
    expected = "bfloat16" if number is None else "float32"
    convolutions = [layer for layers in discriminator.blocks for layer in layers] + [discriminator.conv]
    convolutions += [layer.conv for layers in generator.synthesis.layers_by_resolution for layer in layers]
    assert {layer.dtype_policy.compute_dtype for layer in convolutions} == {expected}


def test_a_negative_number_is_refused():
    with pytest.raises(ValueError, match="num_half_res must be None, 0 or more; received -1"):
        StyleGAN2Discriminator(**SIZES, num_half_res=-1)
