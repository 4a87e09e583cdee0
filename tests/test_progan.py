"""Progressive GAN's networks: every keyword counts, and they save, grow and refuse as those of StyleGAN do."""

import inspect
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from any_number import assert_any_number_of_images
from tiny_networks import inputs_of, normal, one_hot, scattered, shapes

from stylegan_tf.files.official import export_variables, load_variables
from stylegan_tf.layers import downsample, upsample
from stylegan_tf.networks import ProGANDiscriminator, ProGANGenerator

SMALL = {"resolution": 16, "fmap_base": 64, "fmap_max": 8}


@pytest.fixture(scope="module")
def generator():
    return scattered(ProGANGenerator(**SMALL))


@pytest.fixture(scope="module")
def discriminator():
    return scattered(ProGANDiscriminator(**SMALL))


@pytest.mark.parametrize("cls", [ProGANGenerator, ProGANDiscriminator])
def test_parameters_of_the_paper(cls):
    """Table 2 of Karras et al., 2017: 23.1 million each."""
    parameters = sum(int(np.prod(v.shape)) for v in cls().trainable_variables)
    assert round(parameters / 1e6, 1) == 23.1


KEYWORDS = [
    *[(ProGANGenerator, keyword, value) for keyword, value in {
        "resolution": 8,
        "num_channels": 1,
        "label_size": 3,
        "latent_size": 7,
        "fmap_base": 32,
        "fmap_decay": 1.5,
        "fmap_max": 6,
        "normalize_latents": False,
        "use_wscale": False,
        "use_pixelnorm": False,
        "pixelnorm_epsilon": 1e-2,
        "use_leakyrelu": False,
        "fused_scale": False,
        "growth": (8, 0.25),
    }.items()],
    *[(ProGANDiscriminator, keyword, value) for keyword, value in {
        "resolution": 8,
        "num_channels": 1,
        "label_size": 3,
        "fmap_base": 32,
        "fmap_decay": 1.5,
        "fmap_max": 6,
        "use_wscale": False,
        "mbstd_group_size": 2,
        "fused_scale": False,
    }.items()],
]  # fmt: skip


@pytest.mark.parametrize("cls, keyword, value", KEYWORDS, ids=[f"{c.__name__}-{k}" for c, k, _ in KEYWORDS])
def test_every_keyword_counts(cls, keyword, value, generator, discriminator):
    plain = generator if cls is ProGANGenerator else discriminator
    changed = scattered(cls(**SMALL | {keyword: value}))
    if shapes(plain) == shapes(changed):
        ours, theirs = np.asarray(plain(*inputs_of(plain))), np.asarray(changed(*inputs_of(changed)))
        differ = np.abs(ours - theirs).max() > 1e-3 * np.abs(ours).max()
        # The one exception: D takes labels and does not look at them.
        assert differ == ((cls, keyword) != (ProGANDiscriminator, "label_size"))


@pytest.mark.parametrize("cls", [ProGANGenerator, ProGANDiscriminator])
def test_no_keyword_is_forgotten(cls):
    assert {k for c, k, _ in KEYWORDS if c is cls} == inspect.signature(cls).parameters.keys() - {"kwargs"}


@pytest.mark.parametrize("fused", [True, False, "auto"])
@pytest.mark.parametrize("resolution, num_channels", [(4, 3), (8, 1), (32, 3)])
def test_sizes(resolution, num_channels, fused):
    size = {**SMALL, "resolution": resolution, "num_channels": num_channels, "label_size": 2, "fused_scale": fused}
    G, D = ProGANGenerator(**size, latent_size=5), ProGANDiscriminator(**size)
    z, labels = normal(2, 5), one_hot(2, 2)
    assert G.mapping(z, labels).shape == (2, G.num_layers, 7)
    assert G(z, labels).shape == (2, resolution, resolution, num_channels)
    for lower in G.synthesis.resolutions:
        images = G(z, labels, resolution=lower)
        assert images.shape == (2, lower, lower, num_channels)
        assert D(images, labels).shape == (2, 1)


@pytest.mark.parametrize("fmap_base, fmap_max, latent_size", [(8192, 512, 512), (64, 16, 16), (8, 16, 8)])
def test_latents_are_as_long_as_the_first_features(fmap_base, fmap_max, latent_size):
    assert ProGANGenerator(resolution=4, fmap_base=fmap_base, fmap_max=fmap_max).latent_size == latent_size


NETWORKS = {
    "G": (ProGANGenerator, {}),
    "G conditional": (ProGANGenerator, {"label_size": 3, "num_channels": 1, "fused_scale": False}),
    "G float64": (ProGANGenerator, {"label_size": 3, "dtype": "float64", "normalize_latents": False}),
    "D": (ProGANDiscriminator, {}),
    "D conditional": (ProGANDiscriminator, {"label_size": 3, "num_channels": 1, "fused_scale": False}),
    "D float64": (ProGANDiscriminator, {"dtype": "float64", "mbstd_group_size": 0}),
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    cls, arguments = NETWORKS[request.param]
    return scattered(cls(**SMALL, **arguments, name="its_name"))


def test_config_round_trip(network):
    config = network.get_config()
    # As through a file: tuples become lists.
    copy = type(network).from_config(json.loads(json.dumps(config)))
    assert copy.get_config() == config
    keywords = inspect.signature(type(network)).parameters.keys() - {"kwargs"}
    assert config.keys() - {"name", "trainable", "dtype"} == keywords
    assert shapes(copy) == shapes(network)


def test_file_round_trip(network, tmp_path):
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    assert type(loaded) is type(network)
    assert keras.saving.get_registered_name(type(network)) == f"stylegan_tf>{type(network).__name__}"
    assert loaded.get_config() == network.get_config()
    for ours, theirs in zip(network.variables, loaded.variables, strict=True):
        assert (ours.path, ours.dtype, ours.trainable) == (theirs.path, theirs.dtype, theirs.trainable)
        np.testing.assert_array_equal(ours, theirs)
    inputs = inputs_of(network)
    np.testing.assert_array_equal(network(*inputs), loaded(*inputs))


def test_variables_have_distinct_paths():
    networks = [ProGANGenerator(**SMALL, name="G"), ProGANGenerator(**SMALL, name="Gs"), ProGANDiscriminator(**SMALL)]
    paths = [variable.path for network in networks for variable in network.variables]
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize("name", ["G", "G conditional", "D", "D conditional"])
@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
def test_dtype(name, dtype):
    cls, arguments = NETWORKS[name]
    network = cls(**SMALL, **arguments, dtype=dtype)
    assert {variable.dtype for variable in network.variables} == {network.dtype_policy.variable_dtype}
    inputs = inputs_of(network)
    plain = cls(**SMALL, **arguments)
    plain.set_weights(network.get_weights())
    expected = np.asarray(plain(*inputs))
    tolerance = 1e-4 if dtype == "float64" else 0.1
    output = network(*inputs)
    assert output.dtype == network.dtype_policy.variable_dtype
    difference = np.abs(np.asarray(output) - expected)
    assert difference.max() < tolerance * np.abs(expected).max()


def test_official_names_tell_what_is_fused():
    size = {**SMALL, "resolution": 128}
    for network, fused, other in [
        (ProGANGenerator(**size, fused_scale="auto"), "Conv0_up", "Conv0"),
        (ProGANDiscriminator(**size, fused_scale="auto"), "Conv1_down", "Conv1"),
    ]:
        variables = export_variables(network)
        assert f"128x128/{fused}/weight" in variables and f"128x128/{other}/weight" not in variables
        assert f"64x64/{other}/weight" in variables and f"64x64/{fused}/weight" not in variables


def test_official_variables_of_another_form_are_refused(generator):
    unfused = export_variables(ProGANGenerator(**SMALL, fused_scale=False))
    with pytest.raises(ValueError, match=r"4 variables missing for ProGANGenerator: 16x16/Conv0_up/bias, "):
        load_variables(generator, unfused)


@pytest.mark.parametrize("label_size", [0, 3])
def test_mapping_normalises_latents_and_labels_together(label_size):
    G = ProGANGenerator(**SMALL, label_size=label_size)
    inputs = inputs_of(G)
    w, plain = np.asarray(G.mapping(*inputs)), np.concatenate(inputs, axis=-1)[:, None, :]
    np.testing.assert_allclose(np.mean(w**2, axis=-1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(w * np.sqrt(np.mean(plain**2, axis=-1, keepdims=True)), plain, rtol=1e-5, atol=1e-7)
    unnormalised = ProGANGenerator(**SMALL, label_size=label_size, normalize_latents=False)
    np.testing.assert_array_equal(unnormalised.mapping(*inputs), plain)


def test_labels():
    """G takes them; D, like the original's, has one output and does not look at them."""
    G, D = (scattered(cls(**SMALL, label_size=3)) for cls in (ProGANGenerator, ProGANDiscriminator))
    z, labels = inputs_of(G)
    images = np.asarray(G(z, labels))
    assert np.abs(images - G(z, labels[::-1])).max() > 1e-2 * np.abs(images).max()
    unconditional = ProGANDiscriminator(**SMALL)
    assert shapes(D) == shapes(unconditional)
    unconditional.set_weights(D.get_weights())
    np.testing.assert_array_equal(D(images, labels), unconditional(images))


def test_what_the_trainer_uses(generator):
    assert generator.synthesis.noise_shapes == []
    assert [id(variable) for variable in generator.non_trainable_variables] == [id(generator.w_average)]
    z, z2 = normal(4, 8, seed=1), normal(4, 8, seed=2)
    w, w2 = generator.mapping(z), generator.mapping(z2)
    assert w.shape == (4, generator.num_layers, *generator.w_average.shape)
    np.testing.assert_array_equal(generator.mix(w, w2, 1), w)
    np.testing.assert_array_equal(generator.mix(w, w2, tf.constant(0)), w2)
    np.testing.assert_array_equal(generator.synthesis(w, noise=[]), generator(z))


def test_truncation_only_where_asked_for(generator):
    z = normal(3, 8)
    np.testing.assert_array_equal(generator(z), generator(z, truncation_psi=None, truncation_cutoff=8))
    average = np.asarray(generator(z, truncation_psi=0.0, truncation_cutoff=1))
    expected = generator.synthesis(np.tile(np.asarray(generator.w_average), (3, 1, 1)))
    np.testing.assert_allclose(average, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("resolution", [8, 16])
@pytest.mark.parametrize("fused", [True, False])
def test_fade_of_generator(resolution, fused):
    generator = scattered(ProGANGenerator(**SMALL, fused_scale=fused))
    z = normal(3, 8)

    def images(fade=1.0, resolution=resolution):
        return np.asarray(generator(z, resolution=resolution, fade=fade))

    old, new = np.asarray(upsample(images(resolution=resolution // 2))), images()
    assert np.abs(new - old).max() > 1e-2
    for number in (lambda fade: fade, tf.constant):
        np.testing.assert_allclose(images(number(0.0)), old, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(images(number(0.25)), 0.75 * old + 0.25 * new, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(images(number(1.0)), new, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("resolution", [8, 16])
@pytest.mark.parametrize("fused", [True, False])
def test_fade_of_discriminator(resolution, fused):
    discriminator = scattered(ProGANDiscriminator(**SMALL, fused_scale=fused))
    images = normal(4, resolution, resolution, 3)
    old, new = np.asarray(discriminator(downsample(images))), np.asarray(discriminator(images))
    assert np.abs(new - old).max() > 1e-2
    for number in (lambda fade: fade, tf.constant):
        np.testing.assert_allclose(discriminator(images, fade=number(0.0)), old, rtol=1e-4)
        np.testing.assert_allclose(discriminator(images, fade=number(1.0)), new, rtol=1e-4)
        between = np.asarray(discriminator(images, fade=number(0.5)))
        assert not np.allclose(between, old, rtol=1e-3) and not np.allclose(between, new, rtol=1e-3)


def test_no_fade_at_the_lowest_resolution(generator, discriminator):
    z, images = normal(4, 8), normal(4, 4, 4, 3)
    np.testing.assert_array_equal(generator(z, resolution=4, fade=0.5), generator(z, resolution=4))
    np.testing.assert_array_equal(discriminator(images, fade=0.5), discriminator(images))


@pytest.mark.parametrize("options", [{}, {"label_size": 3, "fused_scale": False}], ids=["default", "labels, unfused"])
def test_unknown_batch_size(options):
    G, D = (scattered(cls(**SMALL, **options)) for cls in (ProGANGenerator, ProGANDiscriminator))
    assert_any_number_of_images(G, D)


REFUSALS = [
    *[
        (
            lambda size=size, cls=cls: cls(resolution=size),
            rf"resolution must be a power of two from 4 to 1024.* {size}\.",
        )
        for size in (2, 48, 2048)
        for cls in (ProGANGenerator, ProGANDiscriminator)
    ],
    *[
        (lambda cls=cls: cls(**SMALL, fused_scale="no"), r"fused_scale must be True, False or .*'no'")
        for cls in (ProGANGenerator, ProGANDiscriminator)
    ],
    (
        lambda: ProGANGenerator(**SMALL, label_size=3)(normal(2, 8)),
        r"ProGANGenerator takes labels of 3 .*received 0",
    ),
    (
        lambda: ProGANGenerator(**SMALL)(normal(2, 8), one_hot(2, 3)),
        r"ProGANGenerator takes labels of 0 .*received 3",
    ),
    (
        lambda: ProGANDiscriminator(**SMALL, label_size=3)(normal(2, 16, 16, 3), one_hot(2, 2)),
        r"ProGANDiscriminator takes labels of 3 .*received 2",
    ),
    (
        lambda: ProGANDiscriminator(**SMALL)(normal(4, 16, 8, 3)),
        r"images must be square.*received shape \(4, 16, 8, 3\)",
    ),
    (lambda: ProGANDiscriminator(**SMALL)(normal(6, 16, 16, 3)), r"multiple of the group size 4; received 6 images"),
    (lambda: ProGANGenerator(**SMALL)(normal(2, 8), resolution=32), r"one of \[4, 8, 16\]; received 32"),
    (
        lambda: ProGANGenerator(**SMALL)(normal(2, 8), truncation_psi=[0.5, 0.5], truncation_cutoff=8),
        r"one number, 1 .* shape \(2,\)",
    ),
]


@pytest.mark.parametrize("call, words", REFUSALS, ids=range(len(REFUSALS)))
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
