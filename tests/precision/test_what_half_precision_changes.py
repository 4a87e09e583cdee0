"""The benchmark of half precision: images and gradients of a trained network beside those of float32."""

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_generators import tiny_run

from benchmarks.half_precision import compare, main


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_tables(precision, tmp_path):
    tiny_run(tmp_path / "run", tmp_path / "data", "stylegan2")
    arguments = [str(tmp_path / "run"), f"--precision={precision}", "--images=2", "--minibatch=4"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if line]
    images = {int(line.split()[0]): [float(x) for x in line.split()[1:]] for line in lines if line.split()[0].isdigit()}
    assert list(images) == [4, 8]
    for mean, most, largest in images.values():
        assert 0 < mean <= most <= largest < 10
    gradients = [line.replace(",", "").split()[:6] for line in lines if line.split()[:1] in (["G"], ["D"])]
    assert [name for name, *_ in gradients] == ["G", "D"]
    for _, count, length, _, angle, worst in gradients:
        assert int(count) > 5 and abs(float(length) - 1) < 0.1 and 0 < float(angle) <= float(worst) < 90


def test_lengths_and_angles():
    lengths, angles = compare([np.array([0.0, 2.0]), np.ones(3)], [np.array([1.0, 0.0]), np.zeros(3)])
    np.testing.assert_allclose(lengths, [2])  # of the second, nothing was expected
    np.testing.assert_allclose(angles, [90])
