"""The original's pickles, StyleGAN's and StyleGAN2's, open as our networks, which give the original's outputs."""

import functools

import numpy as np
import pytest
from reference_vectors import assert_close, enlarge, given, growth, nchw, nhwc, shrink

from stylegan_tf.files.official import export_variables, load_pickle
from stylegan_tf.images import to_uint8

# What the original's generator does where neither its construction nor the call says otherwise.
GENERATOR_DEFAULTS = {
    "truncation_psi": 0.7,
    "truncation_cutoff": 8,
    "truncation_psi_val": None,
    "truncation_cutoff_val": None,
    "is_validation": False,
}
STYLEGAN2_DEFAULTS = GENERATOR_DEFAULTS | {"truncation_psi": 0.5, "truncation_cutoff": None}


def pickle_of(vector):
    """The pickle whose outputs a vector holds."""
    return vector.path.with_name(vector.path.name.replace("networks-expected-", "networks-")).with_suffix(".pkl")


@functools.cache
def networks_of(vector):
    return dict(zip(("G", "D", "Gs"), load_pickle(pickle_of(vector)), strict=True))


def full_resolution(vector, net):
    return vector.config["static_kwargs"][net].get("resolution", 1024)


def tolerance(vector):
    return 2e-4 if full_resolution(vector, "G") >= 128 else 1e-4


def growth_of(vector, net):
    """How far a network in the pickle has grown, as (side of its images, its call arguments)."""
    if not networks_of(vector)[net].grows:
        return full_resolution(vector, net), {}
    resolution, fade = growth(full_resolution(vector, net), float(vector[f"weights/{net}/lod"]))
    return resolution, {"fade": fade}


def images_of(vector, net, kwargs):
    """What our generator makes of the inputs, as the original was called; [N, R, R, C]."""
    defaults = STYLEGAN2_DEFAULTS if vector.config["func"]["G"] == "G_main" else GENERATOR_DEFAULTS
    arguments = {**defaults, **vector.config["static_kwargs"][net], **kwargs}
    which = "_val" if arguments["is_validation"] else ""
    psi, cutoff = arguments[f"truncation_psi{which}"], arguments[f"truncation_cutoff{which}"]
    resolution, grown = growth_of(vector, net)
    grown = {"resolution": resolution, **grown} if grown else {}
    latents, labels = vector["inputs/latents_in"], given(vector["inputs/labels_in"])
    images = networks_of(vector)[net](latents, labels, truncation_psi=psi, truncation_cutoff=cutoff, **grown)
    return enlarge(np.asarray(images), full_resolution(vector, net))


@pytest.mark.vectors("networks-expected")
def test_images(vector, run):
    images = images_of(vector, run["net"], run["kwargs"])
    assert_close(nchw(images), vector[run["output"]], tolerance(vector), "image")


@pytest.mark.vectors("networks-expected")
def test_w_uint8_images_and_scores(vector):
    networks = networks_of(vector)
    w_of, uint8_of = (
        {name for name in vector.names if f"/{part}" in name} for part in ("dlatents_out", "images_uint8")
    )
    assert w_of and uint8_of, "the vector holds fewer outputs than this test is for"
    latents, labels = vector["inputs/latents_in"], given(vector["inputs/labels_in"])
    for name in w_of:
        w = networks[name.split("/")[1]].mapping(latents, labels)
        assert_close(w, vector[name], tolerance(vector), name)
    for name in uint8_of:
        _, net, what = name.split("/")
        images = to_uint8(images_of(vector, net, {"truncation_psi": float(what.split("psi=")[1])}))
        difference = np.abs(np.asarray(images).astype(int) - vector[name])
        assert difference.shape == vector[name].shape
        # A number that is halfway between two grey levels may become either.
        assert difference.max() <= 1 and np.mean(difference > 0) < 1e-3
    resolution, grown = growth_of(vector, "D")
    images, labels = vector["inputs/images_in"], given(vector["inputs/images_labels_in"])
    scores = networks["D"](shrink(nhwc(images), resolution), labels, **grown)
    assert_close(scores, vector["outputs/D/scores_out"], tolerance(vector), "scores")


@pytest.mark.vectors("networks-expected")
def test_variables_are_those_of_the_file(vector):
    for net, network in networks_of(vector).items():
        arrays, exported = vector.below(f"weights/{net}/"), export_variables(network)
        assert exported.keys() == arrays.keys()
        for name, array in arrays.items():
            # Growth is an argument of our networks, so they do not hold a lod.
            expected = np.float32(0) if name.split("/")[-1] == "lod" else array
            np.testing.assert_array_equal(exported[name], expected, err_msg=name, strict=True)
