"""The networks as Keras models: every keyword counts, they save, grow, truncate, mix and refuse as they say."""

import inspect
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from any_number import assert_any_number_of_images
from tiny_networks import inputs_of, normal, one_hot, scattered, shapes

from stylegan_tf import layers
from stylegan_tf.layers import (
    AdaIN,
    Bias,
    Blur,
    EqualizedConv2D,
    EqualizedDense,
    FilteredConv2D,
    InstanceNorm,
    LabelEmbedding,
    LearnedConstant,
    MinibatchStdDev,
    ModulatedConv2D,
    NoiseInput,
    PixelNorm,
    downsample,
    upsample,
)
from stylegan_tf.networks import Discriminator, Generator, MappingNetwork, SynthesisNetwork

MAPS = {"fmap_base": 64, "fmap_max": 8}
SMALL_G = {
    **{"resolution": 16, "latent_size": 8, "dlatent_size": 6},
    # The paper's 0.01 would make w nearly constant once `scattered` has drawn the weights anew.
    **{"mapping_fmaps": 5, "mapping_layers": 3, "mapping_lrmul": 1.0, **MAPS},
}
SMALL_D = {"resolution": 16, **MAPS}
TRADITIONAL = {
    **{"use_styles": False, "const_input_layer": False, "use_noise": False, "use_pixel_norm": True},
    **{"use_instance_norm": False, "nonlinearity": "relu", "blur_filter": None, "fused_scale": True},
}


@pytest.fixture(scope="module")
def generator():
    return scattered(Generator(**SMALL_G))


@pytest.fixture(scope="module")
def discriminator():
    return scattered(Discriminator(**SMALL_D))


@pytest.mark.parametrize("cls, parameters", [(Generator, 26_219_627), (Discriminator, 23_087_249)])
def test_parameters_of_the_paper(cls, parameters):
    assert sum(int(np.prod(v.shape)) for v in cls().trainable_variables) == parameters


KEYWORDS = [
    *[(Generator, SMALL_G, keyword, value) for keyword, value in {
        "resolution": 8,
        "num_channels": 1,
        "label_size": 3,
        "latent_size": 7,
        "dlatent_size": 7,
        "mapping_layers": 2,
        "mapping_fmaps": 7,
        "mapping_lrmul": 0.1,
        "mapping_nonlinearity": "relu",
        "fmap_base": 32,
        "fmap_decay": 1.5,
        "fmap_max": 6,
        "use_styles": False,
        "const_input_layer": False,
        "use_noise": False,
        "use_pixel_norm": True,
        "use_instance_norm": False,
        "nonlinearity": "relu",
        "blur_filter": None,
        "fused_scale": True,
        "normalize_latents": False,
        "use_wscale": False,
        "growth": (8, 0.25),
    }.items()],
    *[(Discriminator, SMALL_D, keyword, value) for keyword, value in {
        "resolution": 8,
        "num_channels": 1,
        "label_size": 3,
        "fmap_base": 32,
        "fmap_decay": 1.5,
        "fmap_max": 6,
        "nonlinearity": "relu",
        "use_wscale": False,
        "mbstd_group_size": 2,
        "mbstd_num_features": 2,
        "blur_filter": None,
        "fused_scale": True,
    }.items()],
]  # fmt: skip


@pytest.mark.parametrize("cls, small, keyword, value", KEYWORDS, ids=[f"{c.__name__}-{k}" for c, _, k, _ in KEYWORDS])
def test_every_keyword_counts(cls, small, keyword, value, generator, discriminator):
    plain = generator if cls is Generator else discriminator
    changed = scattered(cls(**small | {keyword: value}))
    same_variables = shapes(plain) == shapes(changed)
    same_output = same_variables and np.array_equal(plain(*inputs_of(plain)), changed(*inputs_of(changed)))
    # The one exception: both forms of the down-convolution are the same function.
    assert same_output == ((cls, keyword) == (Discriminator, "fused_scale"))


@pytest.mark.parametrize("cls", [Generator, Discriminator])
def test_no_keyword_is_forgotten(cls):
    assert {k for c, _, k, _ in KEYWORDS if c is cls} == inspect.signature(cls).parameters.keys() - {"kwargs"}


@pytest.mark.parametrize("resolution, num_channels", [(4, 3), (8, 1), (16, 3), (32, 1), (64, 3)])
def test_sizes(resolution, num_channels):
    size = {"resolution": resolution, "num_channels": num_channels, "label_size": 2, **MAPS}
    G = Generator(**SMALL_G | size)
    D = Discriminator(**size)
    assert G.num_layers == 2 * np.log2(resolution) - 2
    assert [tuple(v.shape) for v in G.synthesis.noise_images] == G.synthesis.noise_shapes
    z, labels = normal(2, 8), one_hot(2, 2)
    assert G.mapping(z, labels).shape == (2, G.num_layers, 6)
    assert G(z, labels).shape == (2, resolution, resolution, num_channels)
    for lower in G.synthesis.resolutions:
        images = G(z, labels, resolution=lower)
        assert images.shape == (2, lower, lower, num_channels)
        assert D(images, labels).shape == (2, 1)


def test_feature_maps():
    # min(64 / 2^(r - 1), 24) at 2^r.
    G = Generator(**SMALL_G | {"resolution": 32, "fmap_max": 24})
    assert [first.source.filters for first, _ in G.synthesis.layers_by_resolution] == [24, 16, 8, 4]
    D = Discriminator(resolution=32, fmap_base=64, fmap_max=24)
    assert [(first.filters, second.filters) for first, second in D.blocks] == [(4, 8), (8, 16), (16, 24)]
    assert (D.conv.filters, D.dense.units) == (24, 24)


NETWORKS = {
    "G": (Generator, SMALL_G),
    "G with labels": (Generator, {**SMALL_G, "label_size": 3, "num_channels": 1}),
    "G traditional": (Generator, {**SMALL_G, **TRADITIONAL}),
    "G float64": (Generator, {**SMALL_G, "dtype": "float64"}),
    "D": (Discriminator, SMALL_D),
    "D with labels": (Discriminator, {**SMALL_D, "label_size": 3, "num_channels": 1, "mbstd_group_size": 1}),
    "D traditional": (Discriminator, {**SMALL_D, "blur_filter": None, "fused_scale": True, "mbstd_num_features": 2}),
    "mapping": (MappingNetwork, {"latent_size": 8, "mapping_fmaps": 5, "dlatent_size": 6, "label_size": 3}),
    "mapping, broadcast": (MappingNetwork, {"latent_size": 8, "mapping_layers": 1, "dlatent_broadcast": 4}),
    "synthesis": (SynthesisNetwork, {"resolution": 16, "dlatent_size": 6, **MAPS}),
    "synthesis traditional": (SynthesisNetwork, {"resolution": 16, "dlatent_size": 6, **MAPS, **TRADITIONAL}),
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    cls, arguments = NETWORKS[request.param]
    return scattered(cls(**arguments, name="its_name"))


def test_config_round_trip(network):
    config = network.get_config()
    # As through a file: tuples become lists.
    copy = type(network).from_config(json.loads(json.dumps(config)))
    assert copy.get_config() == config
    assert config["name"] == copy.name == "its_name"
    keywords = inspect.signature(type(network)).parameters.keys() - {"kwargs"}
    assert config.keys() - {"name", "trainable", "dtype"} == keywords
    assert shapes(copy) == shapes(network)


def test_file_round_trip(network, tmp_path):
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    assert type(loaded) is type(network)
    assert loaded.get_config() == network.get_config()
    for ours, theirs in zip(network.variables, loaded.variables, strict=True):
        assert (ours.path, ours.dtype, ours.trainable) == (theirs.path, theirs.dtype, theirs.trainable)
        np.testing.assert_array_equal(ours, theirs)
    inputs = inputs_of(network)
    np.testing.assert_array_equal(network(*inputs), loaded(*inputs))


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
def test_summary(network, used):
    if used:
        network(*inputs_of(network))
    else:
        network = type(network).from_config(network.get_config())
    lines = []
    network.summary(print_fn=lines.append)
    text = "\n".join(lines)
    total = sum(int(np.prod(v.shape)) for v in network.variables)
    assert "its_name" in text
    assert f"Total params: {total:,}" in text


@pytest.mark.parametrize("cls", [Generator, Discriminator, MappingNetwork, SynthesisNetwork])
def test_registered_networks(cls):
    assert keras.saving.get_registered_name(cls) == f"stylegan_tf>{cls.__name__}"


LAYERS = [
    AdaIN(normalize=False, use_wscale=False, epsilon=1e-4),
    Bias(lrmul=0.5),
    Blur((1, 3, 3, 1)),
    EqualizedConv2D(3, 5, resample="up", fused=True, gain=0.5, lrmul=0.1, use_wscale=False, use_bias=False),
    EqualizedDense(7, gain=0.5, lrmul=0.1, use_wscale=False, use_bias=False, gain_on_bias=True),
    FilteredConv2D(3, 5, resample="down", resample_kernel=(1, 2, 1), gain=0.5, gain_on_bias=True),
    InstanceNorm(epsilon=1e-4),
    LabelEmbedding(7),
    LearnedConstant(7, initializer="zeros"),
    MinibatchStdDev(group_size=2, num_features=3),
    ModulatedConv2D(3, 5, demodulate=False, epsilon=1e-4, resample="up", resample_kernel=(1, 2, 1)),
    NoiseInput(initializer="ones", shared=True),
    PixelNorm(epsilon=1e-4),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_layer_config(layer):
    assert keras.saving.get_registered_name(type(layer)) == f"stylegan_tf>{type(layer).__name__}"
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()
    keywords = inspect.signature(type(layer)).parameters.keys() - {"kwargs"}
    assert keywords <= layer.get_config().keys()


def test_no_layer_is_forgotten():
    classes = {c for c in vars(layers).values() if inspect.isclass(c) and issubclass(c, keras.layers.Layer)}
    assert {type(layer) for layer in LAYERS} == classes


@pytest.mark.parametrize("name", ["G with labels", "G traditional", "D"])
@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
def test_dtype_reaches_every_layer(name, dtype):
    cls, arguments = NETWORKS[name]
    network = cls(**arguments, dtype=dtype)
    # Two kinds stay in full precision: toRGB, and G's first layer, which has no convolution.
    roots = [layer for layer in network._flatten_layers() if layer.name.endswith(("to_rgb", "4x4_first"))]
    full = [layer for root in roots for layer in root._flatten_layers()]
    assert {layer.compute_dtype for layer in full} <= {"float64" if dtype == "float64" else "float32"}
    others = [layer for layer in network._flatten_layers() if layer not in full]
    assert {layer.dtype_policy.name for layer in others} == {dtype}
    # Images and scores are in full precision.
    assert network(*inputs_of(network)).dtype == ("float32" if dtype == "mixed_bfloat16" else dtype)


REFUSALS = [
    *[
        (
            lambda name=name, value=value: Generator(8, 3, **{name: value}),
            rf"{name} must be {least} or more.* {value}\.",
        )
        for name, value, least in (
            ("mapping_layers", -1, 0),
            ("mapping_fmaps", 0, 1),
            ("latent_size", 0, 1),
            ("dlatent_size", -1, 1),
            ("label_size", -1, 0),
        )
    ],
    *[
        (lambda cls=cls, given=given: cls(8, 3, **given), rf"{next(iter(given))}=.* leave no feature maps at \dx\d")
        for given in ({"fmap_base": 0}, {"fmap_base": 1, "fmap_max": 0})
        for cls in (Generator, Discriminator)
    ],
    *[
        (
            lambda size=size, cls=cls: cls(resolution=size),
            rf"resolution must be a power of two from 4 to 1024.* {size}\.",
        )
        for size in (2, 48, 2048)
        for cls in (Generator, Discriminator, SynthesisNetwork)
    ],
    *[
        (lambda cls=cls: cls(**{"nonlinearity": "tanh"}), r"nonlinearity must be one of \['lrelu', 'relu'\].*'tanh'")
        for cls in (Generator, Discriminator, SynthesisNetwork)
    ],
    (lambda: Generator(**SMALL_G, mapping_nonlinearity="tanh"), "nonlinearity must be one of .*'tanh'"),
    (lambda: Generator(fused_scale="no"), "fused_scale must be True, False or .*'no'"),
    (lambda: Discriminator(fused_scale="no"), "fused_scale must be True, False or .*'no'"),
    (
        lambda: Generator(**SMALL_G | {"mapping_layers": 0}),
        "w is the input of 8 numbers.*dlatent_size is 6",
    ),
    (lambda: Generator(**SMALL_G, label_size=3)(normal(2, 8)), "MappingNetwork takes labels of 3 .*received 0"),
    (lambda: Generator(**SMALL_G)(normal(2, 8), one_hot(2, 3)), "MappingNetwork takes labels of 0 .*received 3"),
    (
        lambda: Discriminator(**SMALL_D, label_size=3)(normal(2, 16, 16, 3), one_hot(2, 2)),
        "Discriminator takes labels of 3 .*received 2",
    ),
    *[
        (
            lambda shape=shape: Discriminator(**SMALL_D)(normal(4, *shape)),
            r"images must be square.*received shape \(4, ",
        )
        for shape in [(12, 12, 3), (16, 8, 3), (16, 16, 1), (32, 32, 3), (2, 2, 3)]
    ],
    (lambda: Discriminator(**SMALL_D)(normal(6, 16, 16, 3)), "multiple of the group size 4; received 6 images"),
    *[
        (
            lambda size=size: Generator(**SMALL_G)(normal(2, 8), resolution=size),
            r"one of \[4, 8, 16\]; received " + str(size),
        )
        for size in (12, 32)
    ],
    (lambda: Generator(**SMALL_G)(normal(2, 8), truncation_psi=[0.5] * 5), r"one number, 6 .* shape \(5,\)"),
    (lambda: Generator(**SMALL_G)(normal(2, 8), truncation_psi=[[0.5] * 5]), r"one number, 6 .* shape \(1, 5\)"),
    (lambda: Discriminator(**SMALL_D, mbstd_num_features=3), "must divide the .* feature maps at 4x4; received 3"),
    (lambda: EqualizedConv2D(3, 2), "kernel_size must be odd; received 2"),
    (lambda: EqualizedConv2D(3, 3, resample="left"), 'resample must be None, "up" or "down"; received \'left\''),
]


@pytest.mark.parametrize("call, words", REFUSALS, ids=range(len(REFUSALS)))
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def w_of(generator, count=3, seed=0):
    return np.asarray(generator.mapping(normal(count, 8, seed=seed)))


def test_truncation_by_layer(generator):
    w, average = w_of(generator), np.asarray(generator.w_average)
    psi = np.array([0.0, 0.5, 1.0, -1.0, 2.0, 0.7], "float32")
    expected = average + psi[:, np.newaxis] * (w - average)
    np.testing.assert_allclose(generator.truncate(w, psi, cutoff=6), expected, rtol=1e-5, atol=1e-5)
    expected[:, 4:] = w[:, 4:]
    np.testing.assert_allclose(generator.truncate(w, psi.tolist(), cutoff=4), expected, rtol=1e-5, atol=1e-5)
    psi[:] = 0.7
    np.testing.assert_array_equal(generator.truncate(w, 0.7, cutoff=6), generator.truncate(w, psi, cutoff=6))


def test_truncation_switched_off(generator):
    w = w_of(generator)
    for psi, cutoff in [(None, 8), (0.7, None), (0.7, 0), (0.7, -1)]:
        np.testing.assert_allclose(generator.truncate(w, psi, cutoff), w, rtol=0, atol=1e-5)
    np.testing.assert_allclose(generator.truncate(w, 1.0, 8), w, rtol=0, atol=1e-5)


def test_psi_zero_is_one_face(generator):
    faces = np.asarray(generator(normal(3, 8), truncation_psi=0.0))
    assert np.ptp(faces, axis=0).max() < 1e-5 * np.abs(faces).max()
    assert np.ptp(np.asarray(generator(normal(3, 8), truncation_psi=0.5)), axis=0).max() > 1e-2


def test_truncation_is_what_the_call_does(generator):
    z = normal(3, 8)
    for arguments, psi, cutoff in [
        ({}, 0.7, 8),
        ({"truncation_psi": 0.3, "truncation_cutoff": 2}, 0.3, 2),
        ({"truncation_psi": None}, None, 8),
    ]:
        expected = generator.synthesis(generator.truncate(generator.mapping(z), psi, cutoff))
        np.testing.assert_array_equal(generator(z, **arguments), expected)


@pytest.mark.parametrize("cutoff", range(1, 7))
def test_mix(generator, cutoff):
    w, w2 = w_of(generator, seed=1), w_of(generator, seed=2)
    mixed = np.asarray(generator.mix(w, w2, cutoff))
    np.testing.assert_array_equal(mixed[:, :cutoff], w[:, :cutoff])
    np.testing.assert_array_equal(mixed[:, cutoff:], w2[:, cutoff:])
    np.testing.assert_array_equal(generator.mix(w, w2, tf.constant(cutoff)), mixed)


def test_every_layer_has_its_own_w(generator):
    w = w_of(generator)
    images = np.asarray(generator.synthesis(w))
    for layer in range(generator.num_layers):
        other = w.copy()
        other[:, layer] += 1.0
        assert np.abs(np.asarray(generator.synthesis(other)) - images).max() > 1e-3


def test_noise(generator):
    w, shapes_of_noise = w_of(generator), generator.synthesis.noise_shapes
    stored = [np.asarray(variable) for variable in generator.synthesis.noise_images]
    images = np.asarray(generator.synthesis(w))
    np.testing.assert_array_equal(generator.synthesis(w), images)
    np.testing.assert_array_equal(generator.synthesis(w, noise=stored), images)
    for layer, shape in enumerate(shapes_of_noise):
        noise = [*stored[:layer], normal(*shape, seed=layer), *stored[layer + 1 :]]
        assert np.abs(np.asarray(generator.synthesis(w, noise=noise)) - images).max() > 1e-3


def test_noise_for_each_image(generator):
    w, shapes_of_noise = w_of(generator), generator.synthesis.noise_shapes
    noise = [normal(3, *shape[1:], seed=i) for i, shape in enumerate(shapes_of_noise)]
    images = np.asarray(generator.synthesis(w, noise=noise))
    for i in range(3):
        alone = generator.synthesis(w[i : i + 1], noise=[image[i : i + 1] for image in noise])
        np.testing.assert_allclose(images[i : i + 1], alone, rtol=1e-4, atol=1e-4)
    # Layers that are not run need none.
    np.testing.assert_array_equal(
        generator.synthesis(w, noise=noise[:4], resolution=8), generator.synthesis(w, noise=noise, resolution=8)
    )


@pytest.mark.parametrize("resolution", [8, 16])
def test_fade_of_generator(generator, resolution):
    w = w_of(generator)

    def images(fade=1.0, resolution=resolution):
        return np.asarray(generator.synthesis(w, resolution=resolution, fade=fade))

    old, new = np.asarray(upsample(images(resolution=resolution // 2))), images()
    assert np.abs(new - old).max() > 1e-2
    for number in (lambda fade: fade, tf.constant):
        np.testing.assert_allclose(images(number(0.0)), old, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(images(number(0.25)), 0.75 * old + 0.25 * new, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(images(number(1.0)), new, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("resolution", [8, 16])
def test_fade_of_discriminator(discriminator, resolution):
    images = normal(4, resolution, resolution, 3)
    old, new = np.asarray(discriminator(downsample(images))), np.asarray(discriminator(images))
    assert np.abs(new - old).max() > 1e-2
    for number in (lambda fade: fade, tf.constant):
        np.testing.assert_allclose(discriminator(images, fade=number(0.0)), old, rtol=1e-4)
        np.testing.assert_allclose(discriminator(images, fade=number(1.0)), new, rtol=1e-4)
        between = np.asarray(discriminator(images, fade=number(0.5)))
        assert not np.allclose(between, old, rtol=1e-3) and not np.allclose(between, new, rtol=1e-3)


def test_no_fade_at_the_lowest_resolution(generator, discriminator):
    w, images = w_of(generator), normal(4, 4, 4, 3)
    np.testing.assert_array_equal(generator.synthesis(w, resolution=4, fade=0.5), generator.synthesis(w, resolution=4))
    np.testing.assert_array_equal(discriminator(images, fade=0.5), discriminator(images))


@pytest.mark.parametrize("options", [{}, {"label_size": 3}, TRADITIONAL], ids=["default", "labels", "traditional"])
def test_unknown_batch_size(options):
    G, D = scattered(Generator(**SMALL_G, **options)), scattered(Discriminator(**SMALL_D, **options_of_d(options)))
    assert_any_number_of_images(G, D)


def options_of_d(options):
    """Those of a generator's keywords that a discriminator has, too."""
    return {k: v for k, v in options.items() if k in inspect.signature(Discriminator).parameters}


def test_what_is_not_trained(generator):
    frozen = [generator.w_average, *generator.synthesis.noise_images]
    assert {id(variable) for variable in generator.non_trainable_variables} == {id(variable) for variable in frozen}
