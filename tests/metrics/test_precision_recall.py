"""Precision and recall of constructed clouds, and against distances computed pair by pair in float64."""

import numpy as np
import pytest
import tensorflow as tf

from metrics.precision_recall import precision_recall


def cloud(count, dim, seed, scale=1.0):
    return np.random.default_rng(seed).normal(scale=scale, size=(count, dim)).astype(np.float32)


def on_a_line(positions, dim=1, offset=0.0):
    """Points at the given distances along a random direction, [n, dim]."""
    direction = np.random.default_rng(0).normal(size=dim)
    points = np.asarray(positions, np.float64)[:, None] * direction / np.linalg.norm(direction) + offset
    return points.astype(np.float32)


def brute_force(reals, fakes, neighbours):
    """The paper's equations 1 and 2 on the n x m table of float64 differences."""

    def distances(a, b):
        return np.linalg.norm(a[:, None].astype(np.float64) - b[None].astype(np.float64), axis=2)

    def covered(samples, centres):
        own = distances(centres, centres)
        np.fill_diagonal(own, np.inf)
        radii = np.sort(own, axis=1)[:, neighbours - 1]
        return np.mean([any(row <= radii) for row in distances(samples, centres)])

    return covered(fakes, reals), covered(reals, fakes)


@pytest.mark.parametrize("block", [40, 64, 2048])
@pytest.mark.parametrize(("neighbours", "offset"), [(1, 0), (3, 0), (3, 1000), (5, 0)])
def test_against_brute_force(neighbours, offset, block):
    reals, fakes = cloud(150, 8, 0) + offset, cloud(130, 8, 1, scale=0.8) + offset + np.float32(0.4)
    expected = brute_force(reals, fakes, neighbours)
    assert min(expected) > 0.05 and max(expected) < 0.99 and expected[0] != expected[1]
    assert precision_recall(reals, fakes, neighbours, block) == pytest.approx(expected, abs=1e-12)
    assert precision_recall(fakes, reals, neighbours, block) == pytest.approx(expected[::-1], abs=1e-12)


def test_identical_sets():
    samples = cloud(50, 16, 0)
    assert precision_recall(samples, samples, block=20) == (1.0, 1.0)
    assert precision_recall(samples, samples[::-1], block=20) == (1.0, 1.0)


def test_sets_far_apart():
    assert precision_recall(cloud(50, 16, 0), cloud(40, 16, 1) + 100) == (0.0, 0.0)


def test_fakes_inside_a_part_of_the_reals():
    reals = on_a_line([*range(8), *range(100, 124)])
    fakes = on_a_line(np.arange(8) + 0.1)
    assert precision_recall(reals, fakes, neighbours=1) == (1.0, 8 / 32)


def test_reals_inside_a_part_of_the_fakes():
    reals = on_a_line(np.arange(8) + 0.1)
    fakes = on_a_line([*range(8), *range(100, 124)])
    assert precision_recall(reals, fakes, neighbours=1) == (8 / 32, 1.0)


def test_a_sample_is_not_its_own_neighbour():
    # Were it one, the fakes' radii would be 0 for k = 1, and 10 rather than 30 for k = 2.
    reals, fakes = on_a_line([-9, 5, 19, 55, 70]), on_a_line([0, 10, 30])
    assert precision_recall(reals, fakes, neighbours=1)[1] == 3 / 5
    assert precision_recall(reals, fakes, neighbours=2)[1] == 4 / 5


@pytest.mark.parametrize("dim", [1, 2048])
@pytest.mark.parametrize("block", [1, 3, 2048])
def test_ties_are_inside(block, dim):
    # Radius 2 everywhere: the fake at 4 is at exactly that distance of the real at 2, the one at 6 is not.
    reals, fakes = on_a_line([0, 2], dim, offset=1.0), on_a_line([4, 6], dim, offset=1.0)
    assert precision_recall(reals, fakes, neighbours=1, block=block) == (0.5, 0.5)


@pytest.mark.parametrize("block", [16, 100, 2048])
def test_duplicates_cover_their_copies_only(block):
    # Every real is there twice, so its radius is 0: rounding must neither lose the copies nor let others in.
    reals = np.tile(cloud(60, 2048, 0), (2, 1))
    fakes = np.concatenate([reals[:30], cloud(60, 2048, 1)])
    assert precision_recall(reals, fakes, neighbours=1, block=block)[0] == 30 / 90


def test_tensor_float_32_is_off_for_this_only(monkeypatch):
    seen = []
    config = tf.config.experimental
    monkeypatch.setattr(
        "metrics.precision_recall.region",
        lambda blocks, _: seen.append(config.tensor_float_32_execution_enabled()) or [tf.zeros(len(blocks[0]))],
    )
    before = config.tensor_float_32_execution_enabled()
    try:
        for enabled in (True, False):
            config.enable_tensor_float_32_execution(enabled)
            precision_recall(cloud(5, 2, 0), cloud(5, 2, 1))
            assert config.tensor_float_32_execution_enabled() == enabled
    finally:
        config.enable_tensor_float_32_execution(before)
    assert seen == [False] * 4


def test_wrong_features():
    samples = cloud(10, 4, 0)
    with pytest.raises(ValueError, match=r"with 3 neighbours .* not \(10, 4\) reals and \(3, 4\) fakes"):
        precision_recall(samples, samples[:3])
    assert precision_recall(samples[:4], samples[:4]) == (1.0, 1.0)
    with pytest.raises(ValueError, match=r"with 0 neighbours \(at least 1\)"):
        precision_recall(samples, samples, neighbours=0)
    with pytest.raises(ValueError, match=r"of one dimension, not \(10, 4\) reals and \(10, 3\) fakes"):
        precision_recall(samples, samples[:, :3])
    broken = samples.copy()
    broken[9, 0] = np.inf
    with pytest.raises(ValueError, match=r"features of sample 9 of 10 are not finite"):
        precision_recall(samples, broken, block=4)
