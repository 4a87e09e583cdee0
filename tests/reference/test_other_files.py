"""Files of StyleGAN2-ADA, for TensorFlow and for PyTorch, and rosinality's open as networks that give their outputs."""

import functools

import numpy as np
import pytest
from reference_vectors import assert_close, given, nchw, nhwc

from stylegan_tf.files.contents import read_networks
from stylegan_tf.files.official import export_variables, load_pickle

# What the networks are called in the files.
NAMES = {"G_ema": "Gs", "g_ema": "Gs", "g": "G", "d": "D"}

# What a call of TensorFlow's generator does without arguments.
TENSORFLOW_PSI = 0.5


def file_of(vector):
    """The file whose outputs a vector holds."""
    stem = vector.path.stem.replace("networks-expected-", "networks-")
    (path,) = (path for path in vector.path.parent.glob(f"{stem}.p*") if path.suffix in (".pkl", ".pt"))
    return path


@functools.cache
def networks_of(vector):
    """{G, D, Gs: network}, of files with a single network only Gs."""
    networks = load_pickle(file_of(vector))
    return dict(zip(("G", "D", "Gs"), networks, strict=True)) if isinstance(networks, tuple) else {"Gs": networks}


def tolerance(vector):
    return 2e-4 if networks_of(vector)["Gs"].resolution >= 128 else 1e-4


def w_of(vector, generator, run):
    """The w that a run of the vector makes its images of."""
    labels = given(vector["inputs/labels_in"]) if "inputs/labels_in" in vector else None
    w = generator.mapping(vector["inputs/latents_in"], labels)
    if "mix,index=" in run["images"]:
        index = int(run["images"].split("mix,index=")[1])
        return generator.mix(w, generator.mapping(vector["inputs/latents2"]), index)
    if "trunc=" in run["images"]:
        return generator.truncate(w, psi=float(run["images"].split("trunc=")[1].split(",")[0]))
    called = run["kwargs"]
    return generator.truncate(w, called.get("truncation_psi", TENSORFLOW_PSI), called.get("truncation_cutoff"))


def noise_of(generator, run):
    """None for the stored images, or those of a run without noise."""
    called = run.get("kwargs", {})
    if called.get("noise_mode") == "none" or called.get("use_noise") is False or "noise=zero" in run["images"]:
        return [np.zeros(shape, np.float32) for shape in generator.noise_shapes]
    return None


def first(vector, run, name):
    return vector[name][: run.get("first")]


@pytest.mark.vectors("networks-expected-others")
def test_w_images_and_scores(vector):
    networks, compared = networks_of(vector), set()
    for run in vector.config["runs"]:
        network = networks[NAMES.get(run["net"], run["net"])]
        if "scores" in run:
            labels = given(first(vector, run, run["labels"])) if "labels" in run else None
            scores = network(nhwc(first(vector, run, run["images"])), labels)
            assert_close(scores, vector[run["scores"]], tolerance(vector), run["scores"])
            compared.add("scores")
            continue
        w = w_of(vector, network, run)
        for key in {"w", "dlatents", "latents"} & run.keys():
            assert_close(w, vector[run[key]], tolerance(vector), run[key])
            compared.add("w")
        images = nchw(np.asarray(network.synthesis(w, noise=noise_of(network, run))))
        assert_close(images, vector[run["images"]], tolerance(vector), run["images"])
        compared.add("images")
    assert compared == {"w", "images"} | ({"scores"} if "D" in networks else set())


@pytest.mark.vectors("networks-expected-others")
def test_variables_are_those_of_the_file(vector):
    """They come out of the network as they were read, and the numbers are those of the file."""
    pickled = read_networks(file_of(vector))
    pickled = pickled if isinstance(pickled, tuple) else (pickled,)
    for (name, network), described in zip(networks_of(vector).items(), pickled, strict=True):
        exported = export_variables(network)
        # Without labels, a network is StyleGAN2's, which has an entry for growing.
        assert float(exported.pop("lod", 0)) == 0
        assert exported.keys() == described.variables.keys()
        for key, array in exported.items():
            np.testing.assert_array_equal(array, described.variables[key], err_msg=key, strict=True)
        theirs = next(
            key
            for key in vector.config["variables" if "variables" in vector.config else "func"]
            if NAMES.get(key, key) == name
        )
        stored = vector.below(f"weights/{theirs}/")
        # Those that are computed from others, and biases of styles, from which a 1 is taken away.
        derived = ("resample_filter", ".kernel", "affine.bias", "modulation.bias", "mod_bias", "dlatent_avg", "w_avg")
        ours, given_ = (
            np.sort(np.concatenate([a.ravel() for key, a in arrays.items() if not key.endswith(derived)]))
            for arrays in (exported, stored)
        )
        np.testing.assert_array_equal(ours, given_)
