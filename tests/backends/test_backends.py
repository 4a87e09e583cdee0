"""On every Keras backend: networks give the original's output, the same file the same images, half precision works."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import same_images
from tiny_networks import scattered

from stylegan_tf.export.formats import export_keras
from stylegan_tf.networks import Generator

ROOT = pathlib.Path(__file__).parents[2]

# One vector for everything that the networks do: labels, both orientations of up-convolutions, traditional and
# style-based input, growth, truncation, mixing, minibatch standard deviation; both forms of Progressive GAN;
# StyleGAN2's three architectures, filters with an odd and an even number of taps.
VECTORS = (
    "g_mapping-8layers-labels",
    "g_mapping-0layers-labels",
    "g_synthesis-default",
    "g_synthesis-fused",
    "g_synthesis-traditional-noise",
    "g_style-labels",
    "d_basic-labels",
    "d_basic-mbstd-features",
    "progan-g_paper-default",
    "progan-g_paper-labels-unfused",
    "progan-d_paper-unfused",
    "stylegan2-g_main-1channel-relu",
    "stylegan2-g_main-resnet",
    "stylegan2-g_revised",
    "stylegan2-d-labels",
    "stylegan2-d-nombstd",
    "stylegan2-d_stylegan",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A conditional generator with up-convolutions of both orientations, those of 128x128 and those below."""
    folder = tmp_path_factory.mktemp("same_images")
    sizes = dict(fmap_base=512, fmap_max=8, latent_size=16, dlatent_size=16, mapping_fmaps=16, mapping_layers=2)
    generator = scattered(Generator(128, label_size=3, **sizes))
    for to_rgb in generator.synthesis.to_rgb:
        to_rgb.kernel.assign(to_rgb.kernel * 0.1)
        to_rgb.bias.assign(to_rgb.bias * 0.1)
    images = same_images.images(generator)
    for pixels in images.values():
        # The range that images have: 1e-4 means something.
        assert 0.1 < pixels.std() < 1
    export_keras(generator, folder / "Gs.keras")
    np.savez(folder / "images.npz", **images)
    return folder


@pytest.mark.backends
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_networks(backend, request):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    for vector in VECTORS:
        assert (ROOT / f"tests/reference/data/{vector}.npz").exists()
    # A backend is chosen when Keras is imported, hence another process.
    pytest_command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    files = ["tests/reference/test_networks.py", "tests/backends/same_images.py", "tests/backends/half_precision.py"]
    result = subprocess.run(
        [*pytest_command, *files, "-k", " or ".join([*VECTORS, "test_same_images", "test_half"])],
        cwd=ROOT,
        env=os.environ
        | {"KERAS_BACKEND": backend, same_images.FOLDER: str(request.getfixturevalue("folder"))}
        # What JAX compiles here runs once or twice.
        | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "true"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout + result.stderr
