"""StyleGAN2's networks as Keras models: every keyword counts, they save, grow, truncate and refuse as they say."""

import inspect
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_networks import inputs_of, normal, one_hot, scattered, shapes

from stylegan_tf.layers import FilteredConv2D, ModulatedConv2D, downsample, upsample
from stylegan_tf.layers.activations import SCALED_ACTIVATIONS, scaled_activation
from stylegan_tf.layers.resample import enlarge_filtered, filter_images, shrink_filtered, upfirdn
from stylegan_tf.networks import (
    StyleGAN2Discriminator,
    StyleGAN2Generator,
    StyleGAN2GrowingDiscriminator,
    StyleGAN2GrowingGenerator,
)
from stylegan_tf.networks.stylegan2 import StyleGAN2Mapping
from stylegan_tf.networks.stylegan2_synthesis import ModulatedLayer, StyleGAN2GrowingSynthesis, StyleGAN2Synthesis

MAPS = {"fmap_base": 64, "fmap_max": 8}
SMALL_G = {
    **{"resolution": 16, "latent_size": 8, "dlatent_size": 6},
    # The paper's 0.01 would make w nearly constant once `scattered` has drawn the weights anew.
    **{"mapping_fmaps": 5, "mapping_layers": 3, "mapping_lrmul": 1.0, **MAPS},
}
SMALL_D = {"resolution": 16, **MAPS}

G_KEYWORDS = {
    "resolution": 8,
    "num_channels": 1,
    "label_size": 3,
    "latent_size": 7,
    "dlatent_size": 7,
    "mapping_layers": 2,
    "mapping_fmaps": 7,
    "mapping_lrmul": 0.1,
    "mapping_nonlinearity": "relu",
    "normalize_latents": False,
    "fmap_base": 32,
    "fmap_decay": 1.5,
    "fmap_max": 6,
    "nonlinearity": "relu",
    "resample_kernel": (1, 2, 1),
}
D_KEYWORDS = {
    "resolution": 8,
    "num_channels": 1,
    "label_size": 3,
    "fmap_base": 32,
    "fmap_decay": 1.5,
    "fmap_max": 6,
    "nonlinearity": "relu",
    "mbstd_group_size": 2,
    "mbstd_num_features": 2,
    "resample_kernel": (1, 2, 1),
}
# Of the networks that do not grow.
FINAL = {"architecture": "orig", "conv_clamp": 0.5, "fmaps": (6, 5, 5, 3), "num_half_res": 1}
# What else is needed for a keyword to count.
BESIDE = {
    "clamp_smallest_rgb": {"architecture": "skip", "conv_clamp": 0.5},
    "num_half_res": {"dtype": "mixed_bfloat16"},
}
KEYWORDS = {
    StyleGAN2Generator: (SMALL_G, {**G_KEYWORDS, **FINAL}),
    StyleGAN2GrowingGenerator: (SMALL_G, {**G_KEYWORDS, "growth": (8, 0.5)}),
    StyleGAN2Discriminator: (SMALL_D, {**D_KEYWORDS, **FINAL, "clamp_smallest_rgb": False}),
    StyleGAN2GrowingDiscriminator: (SMALL_D, D_KEYWORDS),
}


def parameters(network):
    return sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)


def test_parameters_of_the_paper():
    # Configurations F and E of Table 1: "24.9 M to 30.4 M".
    assert parameters(StyleGAN2Generator()) == 30_370_060
    assert parameters(StyleGAN2Generator(fmap_base=8192)) == pytest.approx(24.9e6, rel=5e-3)
    assert parameters(StyleGAN2Discriminator()) == 29_012_513


@pytest.mark.parametrize("cls", KEYWORDS, ids=lambda cls: cls.__name__)
def test_every_keyword_counts(cls):
    small, keywords = KEYWORDS[cls]
    assert keywords.keys() == inspect.signature(cls).parameters.keys() - {"kwargs"}
    for keyword, value in keywords.items():
        arguments = small | BESIDE.get(keyword, {})
        plain, changed = scattered(cls(**arguments)), scattered(cls(**arguments | {keyword: value}))
        outputs = (np.asarray(network(*inputs_of(network))) for network in (plain, changed))
        assert shapes(plain) != shapes(changed) or not np.array_equal(*outputs), keyword


NETWORKS = {
    "G skip": (StyleGAN2Generator, {**SMALL_G, "label_size": 3, "num_channels": 1}),
    "G resnet": (StyleGAN2Generator, {**SMALL_G, "architecture": "resnet", "resample_kernel": (1, 4, 6, 4, 1)}),
    "G orig": (StyleGAN2Generator, {**SMALL_G, "architecture": "orig", "resample_kernel": None}),
    "G growing": (StyleGAN2GrowingGenerator, {**SMALL_G, "nonlinearity": "swish"}),
    "D skip": (StyleGAN2Discriminator, {**SMALL_D, "architecture": "skip", "label_size": 3, "num_channels": 1}),
    "D resnet": (StyleGAN2Discriminator, {**SMALL_D, "mbstd_num_features": 2}),
    "D orig": (StyleGAN2Discriminator, {**SMALL_D, "architecture": "orig", "mbstd_group_size": 0}),
    "D growing": (StyleGAN2GrowingDiscriminator, SMALL_D),
    "mapping": (StyleGAN2Mapping, {"latent_size": 8, "mapping_fmaps": 5, "dlatent_size": 6, "label_size": 3}),
    "synthesis": (StyleGAN2Synthesis, {"resolution": 8, "dlatent_size": 6, "architecture": "resnet", **MAPS}),
    "synthesis growing": (StyleGAN2GrowingSynthesis, {"resolution": 8, "dlatent_size": 6, "growth": (4, 1.0), **MAPS}),
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    cls, arguments = NETWORKS[request.param]
    return scattered(cls(**arguments, name="its_name"))


def test_config_and_file_round_trip(network, tmp_path):
    config = network.get_config()
    # As through a file: tuples become lists.
    assert type(network).from_config(json.loads(json.dumps(config))).get_config() == config
    assert keras.saving.get_registered_name(type(network)) == f"stylegan_tf>{type(network).__name__}"
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    assert type(loaded) is type(network) and loaded.get_config() == config
    for ours, theirs in zip(network.variables, loaded.variables, strict=True):
        assert (ours.path, ours.dtype, ours.trainable) == (theirs.path, theirs.dtype, theirs.trainable)
        np.testing.assert_array_equal(ours, theirs)
    inputs = inputs_of(network)
    np.testing.assert_array_equal(network(*inputs), loaded(*inputs))


def test_config_of_a_layer():
    layer = ModulatedLayer(3, resample="up", resample_kernel=(1, 2, 1), nonlinearity="relu", gain=0.5)
    copy = keras.saving.deserialize_keras_object(json.loads(json.dumps(keras.saving.serialize_keras_object(layer))))
    assert type(copy) is ModulatedLayer
    assert json.dumps(copy.get_config()) == json.dumps(layer.get_config())
    assert inspect.signature(ModulatedLayer).parameters.keys() - {"kwargs"} <= layer.get_config().keys()


@pytest.mark.parametrize("name", ["G skip", "G resnet", "D resnet", "D skip"])
@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
def test_dtype_reaches_every_layer(name, dtype):
    cls, arguments = NETWORKS[name]
    network = cls(**arguments, dtype=dtype)
    to_rgb = network.synthesis.to_rgb if name.startswith("G") else []
    beside = {id(layer) for rgb in to_rgb for layer in rgb._flatten_layers()}
    layers = [layer for layer in network._flatten_layers() if id(layer) not in beside]
    assert {layer.dtype_policy.name for layer in layers} == {dtype}
    # Images and scores are in full precision.
    assert network(*inputs_of(network)).dtype == ("float32" if dtype == "mixed_bfloat16" else dtype)


def test_half_precision_is_near():
    """Convolutions in bfloat16, with its 8 bits, change images by a few thousandths of their range."""
    full = StyleGAN2Generator(**SMALL_G)
    half = StyleGAN2Generator(**SMALL_G, dtype="mixed_bfloat16")
    half.set_weights(full.get_weights())
    images, others = np.asarray(full(normal(4, 8))), np.asarray(half(normal(4, 8)))
    assert 0 < np.abs(images - others).max() < 0.05 * np.abs(images).max()


@pytest.fixture(scope="module")
def generator():
    return scattered(StyleGAN2Generator(**SMALL_G))


@pytest.fixture(scope="module")
def growing():
    return scattered(StyleGAN2GrowingGenerator(**SMALL_G)), scattered(StyleGAN2GrowingDiscriminator(**SMALL_D))


def test_truncation(generator):
    w, average = np.asarray(generator.mapping(normal(3, 8))), np.asarray(generator.w_average)
    half = average + 0.5 * (w - average)
    np.testing.assert_allclose(generator.truncate(w), half, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(generator.truncate(w, 0.5, None), half, rtol=1e-5, atol=1e-5)
    half[:, 2:] = w[:, 2:]
    np.testing.assert_allclose(generator.truncate(w, 0.5, 2), half, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(generator.truncate(w, None), w)
    for arguments, psi, cutoff in [({}, 0.5, 6), ({"truncation_psi": 0.3, "truncation_cutoff": 2}, 0.3, 2)]:
        expected = generator.synthesis(generator.truncate(w, psi, cutoff))
        np.testing.assert_array_equal(generator(normal(3, 8), **arguments), expected)


@pytest.mark.parametrize("name", ["G skip", "G resnet", "G orig"])
def test_every_layer_has_its_own_w_and_noise(name):
    cls, arguments = NETWORKS[name]
    generator = scattered(cls(**arguments))
    w = normal(2, generator.num_layers, generator.dlatent_size)
    images = np.asarray(generator.synthesis(w))
    for layer in range(generator.num_layers):
        other = w.copy()
        other[:, layer] += 1.0
        assert np.abs(np.asarray(generator.synthesis(other)) - images).max() > 1e-3
    stored = [np.asarray(variable) for variable in generator.noise_images]
    np.testing.assert_array_equal(generator.synthesis(w, noise=stored), images)
    assert len(stored) == generator.num_layers - 1
    for layer, shape in enumerate(generator.noise_shapes):
        noise = [*stored[:layer], normal(2, *shape[1:], seed=layer), *stored[layer + 1 :]]
        assert np.abs(np.asarray(generator.synthesis(w, noise=noise)) - images).max() > 1e-3


@pytest.mark.parametrize("resolution", [8, 16])
def test_fades(growing, resolution):
    generator, discriminator = growing
    w, images = normal(4, 6, 6), normal(4, resolution, resolution, 3)

    def made(fade=1.0, resolution=resolution):
        return np.asarray(generator.synthesis(w, resolution=resolution, fade=fade))

    old, new = np.asarray(upsample(made(resolution=resolution // 2))), made()
    low, high = np.asarray(discriminator(downsample(images))), np.asarray(discriminator(images))
    assert np.abs(new - old).max() > 1e-2 and np.abs(high - low).max() > 1e-2
    for number in (lambda fade: fade, tf.constant):
        np.testing.assert_allclose(made(number(0.0)), old, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(made(number(0.25)), 0.75 * old + 0.25 * new, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(discriminator(images, fade=number(0.0)), low, rtol=1e-4)
        np.testing.assert_allclose(discriminator(images, fade=number(1.0)), high, rtol=1e-4)


def test_unknown_batch_size(generator):
    discriminator = scattered(StyleGAN2Discriminator(**SMALL_D))

    @tf.function(input_signature=[tf.TensorSpec([None, 8])])
    def scores(z):
        return discriminator(generator(z))

    np.testing.assert_allclose(scores(normal(4, 8)), discriminator(generator(normal(4, 8))), rtol=1e-4)


def test_layers_from_image():
    names = {
        "skip": [["8x8_from_rgb"], ["8x8_first"], ["8x8_second"], ["4x4_conv", "4x4_from_rgb"]],
        "resnet": [["8x8_from_rgb"], ["8x8_first"], ["8x8_second", "8x8_skip"], ["4x4_conv"]],
        "orig": [["8x8_from_rgb"], ["8x8_first"], ["8x8_second"], ["4x4_conv"]],
    }
    for architecture, expected in names.items():
        network = StyleGAN2Discriminator(resolution=8, architecture=architecture, **MAPS)
        steps = [[layer.name for layer in step] for step in network.layers_from_image]
        assert steps == [*expected, ["4x4_dense"], ["4x4_output"]]
        layers = [layer for step in network.layers_from_image for layer in step]
        assert {v.path for layer in layers for v in layer.variables} == {v.path for v in network.variables}


REFUSALS = [
    (lambda: StyleGAN2Generator(48), r"resolution must be a power of two from 4 to 1024.* 48\."),
    (lambda: StyleGAN2Discriminator(48), r"resolution must be a power of two from 4 to 1024.* 48\."),
    (lambda: StyleGAN2Generator(8, architecture="x"), "architecture must be one of orig, skip, resnet; received 'x'"),
    (lambda: StyleGAN2Discriminator(8, architecture="x"), "architecture must be one of .* received 'x'"),
    (lambda: StyleGAN2Generator(8, nonlinearity="gelu"), "nonlinearity must be one of .* received 'gelu'"),
    (lambda: StyleGAN2Discriminator(8, nonlinearity="gelu"), "nonlinearity must be one of .* received 'gelu'"),
    (lambda: StyleGAN2Generator(8, mapping_nonlinearity="gelu"), "nonlinearity must be one of .* received 'gelu'"),
    (lambda: StyleGAN2Generator(8, resample_kernel=(1, -1)), r"sum that is not 0; received \(1, -1\)"),
    (lambda: StyleGAN2Discriminator(8, resample_kernel=(1,)), r"two taps or more .* received \(1,\)"),
    (lambda: StyleGAN2Discriminator(**SMALL_D, mbstd_num_features=3), "must divide the 8 feature maps at 4x4"),
    (lambda: StyleGAN2Generator(**SMALL_G, label_size=3)(normal(2, 8)), "takes labels of 3 .*received 0"),
    (
        lambda: StyleGAN2Discriminator(**SMALL_D, label_size=3)(normal(2, 16, 16, 3), one_hot(2, 2)),
        "StyleGAN2Discriminator takes labels of 3 .*received 2",
    ),
    (lambda: StyleGAN2Discriminator(**SMALL_D)(normal(4, 8, 8, 3)), r"images must be 16x16 .* \(4, 8, 8, 3\)"),
    (
        lambda: StyleGAN2GrowingDiscriminator(**SMALL_D)(normal(4, 16, 8, 3)),
        r"images must be square .* \(4, 16, 8, 3\)",
    ),
    (lambda: StyleGAN2GrowingGenerator(**SMALL_G)(normal(2, 8), resolution=12), r"one of \[4, 8, 16\]; received 12"),
    (lambda: StyleGAN2GrowingGenerator(**SMALL_G, growth=(12, 1.0)), r"growth must be a resolution among \[4, 8, 16\]"),
    (lambda: StyleGAN2Generator(**SMALL_G | {"mapping_layers": 0}), "w is the input of 8 numbers"),
    (lambda: FilteredConv2D(3, 2), "kernel_size must be odd; received 2"),
    (lambda: ModulatedConv2D(3, 3, resample="left"), 'resample must be None, "up" or "down"; received \'left\''),
    (lambda: upfirdn(normal(1, 4, 4, 1), np.ones((2, 2)), up=(3, 3)), "enlarges 3 times needs at least 3 taps"),
]


@pytest.mark.parametrize("call, words", REFUSALS, ids=range(len(REFUSALS)))
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_only_the_growing_generator_takes_a_resolution(generator):
    with pytest.raises(TypeError, match="resolution"):
        generator(normal(2, 8), resolution=8)


def test_the_box_is_nearest_up_and_mean_down():
    x = normal(2, 6, 6, 3)
    np.testing.assert_allclose(enlarge_filtered(x, (1, 1)), upsample(x), rtol=1e-6)
    np.testing.assert_allclose(shrink_filtered(x, (1, 1)), downsample(x), rtol=1e-5, atol=1e-6)
    assert filter_images(x, (1, 3, 3, 1)).shape == x.shape


@pytest.mark.parametrize("nonlinearity", SCALED_ACTIVATIONS)
def test_a_gain_may_stand_before_a_nonlinearity(nonlinearity):
    x, (function, own_gain) = normal(50), SCALED_ACTIVATIONS[nonlinearity]
    gain, scaled = scaled_activation(nonlinearity, 0.7)
    np.testing.assert_allclose(scaled(tf.constant(x * gain)), function(tf.constant(x)) * own_gain * 0.7, rtol=1e-5)
