"""A .keras file gives the same images whichever backend opens it; test_backends.py runs this test on each of them."""

import os
import pathlib

import keras
import numpy as np
from tiny_networks import normal, one_hot

# Environment variable: the folder with the network, Gs.keras, and its images in TensorFlow, images.npz.
FOLDER = "STYLEGAN_SAME_IMAGES"


def images(generator):
    """{what: float [2, R, R, C]} for all that a generator does."""
    z, other_z, labels = normal(2, generator.latent_size), normal(2, generator.latent_size, seed=1), one_hot(2, 3)
    w = generator.mapping(z, labels)
    mixed = generator.mix(w, generator.mapping(other_z, labels), cutoff=5)
    made = {
        "truncated": generator(z, labels, truncation_psi=0.7),
        "mixed": generator.synthesis(mixed),
        "growing": generator.synthesis(w, resolution=64, fade=0.3),
    }
    return {what: keras.ops.convert_to_numpy(pixels) for what, pixels in made.items()}


def test_same_images():
    folder = pathlib.Path(os.environ[FOLDER])
    with np.load(folder / "images.npz") as expected:
        for what, pixels in images(keras.saving.load_model(folder / "Gs.keras")).items():
            np.testing.assert_allclose(pixels, expected[what], rtol=0, atol=1e-4, err_msg=what)
