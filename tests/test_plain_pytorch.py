"""The benchmark beside PyTorch compares two programs that compute the same."""

import sys

import click.testing
import pytest

from benchmarks import plain_pytorch


def run(*options):
    return click.testing.CliRunner().invoke(plain_pytorch.main, options)


def test_pytorch_makes_the_same_images(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(plain_pytorch, "best_rate", lambda: 1e9)
    # Up to 128x128, where the first convolution has the orientation of the reference's fused ones.
    result = run("--resolution=128", "--fmap-base=64", "--minibatch=2", "--seconds=0")
    _, header, line = result.stdout.splitlines()
    assert header == plain_pytorch.HEADER
    resolution, minibatch, *times, _, best, difference = line.split()
    assert (resolution, minibatch, best) == ("128", "2", "1.0") and all(float(time) > 0 for time in times)
    assert float(difference) < 1e-3


def test_without_pytorch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    result = run()
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.endswith("This comparison needs the package torch. Install it: pip install torch.\n")
