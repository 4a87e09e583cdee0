"""The same networks give the original's output on every Keras backend."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]

# One vector for everything that the networks do: labels, both orientations of up-convolutions, traditional and
# style-based input, growth, truncation, mixing, minibatch standard deviation; both forms of Progressive GAN.
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
)


@pytest.mark.backends
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_networks(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    for vector in VECTORS:
        assert (ROOT / f"tests/reference/data/{vector}.npz").exists()
    # A backend is chosen when Keras is imported, hence another process.
    pytest_command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [*pytest_command, "tests/reference/test_networks.py", "-k", " or ".join(VECTORS)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout + result.stderr
