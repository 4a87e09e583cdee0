"""Every network gives the original's output for the original's weights.

Nothing here depends on TensorFlow: tests/backends runs this file on JAX and PyTorch as well.
"""

import functools

import keras
import numpy as np
import pytest
from reference_networks import load
from reference_vectors import assert_close, enlarge, given, growth, nchw, nhwc, shrink

from stylegan_tf.training.average import moving_average

# What the reference's generator does where neither its construction nor the call says otherwise.
GENERATOR_DEFAULTS = {
    "truncation_psi": 0.7,
    "truncation_cutoff": 8,
    "truncation_psi_val": None,
    "truncation_cutoff_val": None,
    "dlatent_avg_beta": 0.995,
    "style_mixing_prob": 0.9,
    "is_training": False,
    "is_validation": False,
    "structure": "linear",
}
STYLEGAN2_DEFAULTS = GENERATOR_DEFAULTS | {"truncation_psi": 0.5, "truncation_cutoff": None}


@functools.lru_cache(maxsize=1)
def network_of(vector):
    ((func, static_kwargs, prefix),) = vector.networks()
    return load(vector, func, static_kwargs, prefix)


def call_arguments(vector, run, defaults):
    """How the reference was called, with what it was constructed with and its defaults filled in."""
    return {**defaults, **vector.config["static_kwargs"], **run["kwargs"]}


def full_resolution(vector):
    return vector.config["static_kwargs"].get("resolution", 1024)


def tolerance(vector):
    return 2e-4 if full_resolution(vector) >= 128 else 1e-4


def to_numpy(x):
    return keras.ops.convert_to_numpy(x)


def assert_images(images, vector, run):
    images = enlarge(to_numpy(images), full_resolution(vector))
    assert_close(nchw(images), vector[run["output"]], tolerance(vector), "image")


@pytest.mark.vectors("g_mapping")
def test_mapping(vector):
    w = network_of(vector)(vector["inputs/latents_in"], given(vector["inputs/labels_in"]))
    assert_close(to_numpy(w), vector["outputs/dlatents_out"], 1e-4, "w")


@pytest.mark.vectors("g_synthesis")
def test_synthesis(vector, run):
    structure = call_arguments(vector, run, {"structure": "linear"})["structure"]
    resolution, fade = growth(full_resolution(vector), run["lod"], structure)
    images = network_of(vector)(vector["inputs/dlatents_in"], resolution=resolution, fade=fade)
    assert images.shape[1] == resolution
    assert_images(images, vector, run)


def growth_arguments_of(vector, run, arguments):
    """resolution and fade of a run, for a network that is grown."""
    if not network_of(vector).grows:
        return {}
    resolution, fade = growth(full_resolution(vector), run.get("lod") or 0, arguments["structure"])
    return {"resolution": resolution, "fade": fade}


def assert_generator(vector, run, defaults):
    generator = network_of(vector)
    arguments = call_arguments(vector, run, defaults)
    latents, labels = vector["inputs/latents_in"], given(vector["inputs/labels_in"])
    grown = growth_arguments_of(vector, run, arguments)

    if not arguments["is_training"]:
        which = "_val" if arguments["is_validation"] else ""
        psi, cutoff = arguments[f"truncation_psi{which}"], arguments[f"truncation_cutoff{which}"]
        images = generator(latents, labels, truncation_psi=psi, truncation_cutoff=cutoff, **grown)
        assert_images(images, vector, run)
        return

    w = generator.mapping(latents, labels)
    beta, average_key = arguments["dlatent_avg_beta"], run["output"].replace("images_out", "dlatent_avg")
    assert (average_key in vector) == (beta is not None)
    if beta is not None:
        average = moving_average(to_numpy(generator.w_average), to_numpy(w)[:, 0].mean(axis=0), beta)
        assert_close(average, vector[average_key], 1e-4, "w average")
    if arguments["style_mixing_prob"] and run["mixing_uniform"] < arguments["style_mixing_prob"]:
        w = generator.mix(w, generator.mapping(vector["inputs/latents2"], labels), run["mixing_cutoff_draw"])
    assert_images(generator.synthesis(w, **grown), vector, run)


@pytest.mark.vectors("g_style")
def test_generator(vector, run):
    assert_generator(vector, run, GENERATOR_DEFAULTS)


@pytest.mark.vectors("stylegan2-g")
def test_stylegan2_generator(vector, run):
    assert_generator(vector, run, STYLEGAN2_DEFAULTS)


@pytest.mark.vectors("stylegan2-g")
def test_defaults_of_stylegan2(vector):
    generator, labels = network_of(vector), given(vector["inputs/labels_in"])
    assert_images(generator(vector["inputs/latents_in"], labels), vector, {"output": "outputs/images_out@default"})
    w = generator.truncate(generator.mapping(vector["inputs/latents_in"], labels))
    assert_close(to_numpy(w), vector["outputs/dlatents_out@return_dlatents"], 1e-4, "w")


@pytest.mark.vectors("progan-g")
def test_progan_generator(vector, run):
    structure = call_arguments(vector, run, {"structure": "linear"})["structure"]
    resolution, fade = growth(full_resolution(vector), run["lod"], structure)
    latents, labels = vector["inputs/latents_in"], given(vector["inputs/labels_in"])
    assert_images(network_of(vector)(latents, labels, resolution=resolution, fade=fade), vector, run)


def assert_scores(vector, run):
    discriminator, grown = network_of(vector), {}
    images, labels = nhwc(vector[f"inputs/images_in@n={run['n']}"]), given(vector[f"inputs/labels_in@n={run['n']}"])
    if discriminator.grows:
        structure = call_arguments(vector, run, {"structure": "linear"})["structure"]
        resolution, grown["fade"] = growth(full_resolution(vector), run["lod"], structure)
        images = shrink(images, resolution)
    scores = discriminator(images, labels, **grown)
    assert_close(to_numpy(scores), vector[run["output"]], tolerance(vector), "score")


@pytest.mark.vectors("d_basic")
def test_discriminator(vector, run):
    assert_scores(vector, run)


@pytest.mark.vectors("stylegan2-d")
def test_stylegan2_discriminator(vector, run):
    assert_scores(vector, run)


@pytest.mark.vectors("progan-d")
def test_progan_discriminator(vector, run):
    assert_scores(vector, run)


@pytest.mark.vectors("g_synthesis")
def test_fade_may_be_a_tensor(vector):
    synthesis, w = network_of(vector), vector["inputs/dlatents_in"]
    for fade in (0.3, 1.0):
        images = synthesis(w, fade=keras.ops.convert_to_tensor(np.float32(fade)))
        assert_close(to_numpy(images), to_numpy(synthesis(w, fade=fade)), 1e-5, "image")
