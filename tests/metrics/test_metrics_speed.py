"""The metrics benchmark runs, and what it compares agrees."""

import pytest

from benchmarks.metrics_speed import STAGES, make_latents, measure_frechet, measure_memory, measure_separability
from metrics.linear_separability import separability


def test_frechet(capsys):
    ours, theirs = measure_frechet(200, 16)
    assert ours == pytest.approx(theirs, rel=1e-6)
    assert "times faster" in capsys.readouterr().out


def test_separability(capsys):
    ours, theirs = measure_separability(1000, 16, 2)
    assert ours == pytest.approx(theirs, rel=0.02)
    assert "times faster" in capsys.readouterr().out


def test_attributes_are_neither_separable_nor_hidden():
    latents, logits = make_latents(2000, 16, 4)
    for attribute in separability(latents, logits, "abcd", 1000).attributes:
        assert 0.75 < attribute.accuracy < 0.99


def test_memory(tmp_path, monkeypatch):
    monkeypatch.delitem(STAGES, "precision and recall")
    (peak,) = measure_memory(tmp_path, 4000, 64).values()
    # At least a block of 1,024 rows in float64; and not what the imports took.
    assert 0.5 < peak < 100
