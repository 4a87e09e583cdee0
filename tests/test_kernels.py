"""The benchmark of kernels compares forms that compute the same."""

import click.testing
import keras
import numpy as np
import pytest

from benchmarks import kernels


@pytest.mark.parametrize("name", kernels.KERNELS)
def test_forms_are_equal(name):
    share, maps, forms = kernels.KERNELS[name]
    x = keras.random.normal((1, 8 // share, 8 // share, maps or 2), seed=0)
    kernel = keras.random.normal((3, 3, maps or 2, maps or 2), seed=1)
    expected, *others = (form(x, kernel) for form in forms.values())
    assert np.std(expected) > 0.1
    for value in others:
        np.testing.assert_allclose(value, expected, atol=1e-5)


def test_table(monkeypatch):
    monkeypatch.setattr(kernels, "best_rate", lambda dtype: 1e6)
    monkeypatch.setattr(kernels, "KERNELS", {"convolution up": kernels.KERNELS["convolution up"]})
    options = ["--resolution=8", "--maps=2", "--minibatch=1", "--seconds=0"]
    result = click.testing.CliRunner().invoke(kernels.main, options, catch_exceptions=False)
    _, header, *lines, ideal, best = result.stdout.splitlines()
    assert header == kernels.HEADER and len(lines) == 3
    for line, form in zip(lines, kernels.KERNELS["convolution up"][2], strict=True):
        assert line.startswith(f"convolution up   {form}")
        assert line.split()[-5:-3] == ["8", "2"] and min(map(float, line.split()[-3:])) > 0
    # 2 operations x 9 taps x 2 x 2 maps x 8 x 8 pixels.
    assert " 4.61 ms " in ideal and best.startswith("0.0 GFLOP/s")
