"""Mean and covariance against NumPy's, the Frechet distance against closed forms on Gaussians."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.frechet import frechet_distance, mean_and_covariance


class Rows:
    """Features that can only be sliced, as those on disk; remembers how many rows it was asked for at most."""

    def __init__(self, rows):
        self.rows, self.shape, self.largest = rows, rows.shape, 0

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, rows):
        assert isinstance(rows, slice) and rows.step is None
        self.largest = max(self.largest, rows.stop - rows.start)
        return self.rows[rows]


def gaussian(seed, dim, rank=None):
    """A random mean [dim] and covariance [dim, dim] of a rank."""
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(dim, rank or dim))
    return generator.normal(size=dim), root @ root.T


def drifting_features(count, dim, offset=0):
    drift = np.linspace(-5, 5, count)[:, None]
    return (np.random.default_rng(0).normal(size=(count, dim)) + drift + offset).astype(np.float32)


@pytest.mark.parametrize("block", [1, 7, 100, 1024])
@pytest.mark.parametrize("offset", [0, 1e4])
def test_mean_and_covariance(block, offset):
    features = drifting_features(101, 6, offset)
    rows = Rows(features)
    mean, cov = mean_and_covariance(rows, block)
    assert mean.dtype == cov.dtype == np.float64 and rows.largest <= block
    np.testing.assert_allclose(mean, features.mean(axis=0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(cov, np.cov(features, rowvar=False, dtype=np.float64), rtol=1e-10)
    np.testing.assert_array_equal(cov, cov.T)


def test_mean_and_covariance_hold_one_block():
    features = drifting_features(20_000, 32)
    tracemalloc.start()
    mean_and_covariance(features, block=256)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < features.nbytes / 4


def test_one_dimension():
    assert frechet_distance([1.0], [[4.0]], [4.0], [[25.0]]) == pytest.approx(3**2 + (2 - 5) ** 2)


def test_commuting_covariances():
    a, b = np.array([1.0, 4.0, 9.0, 0.0]), np.array([16.0, 4.0, 0.0, 0.25])
    expected = np.square(np.sqrt(a) - np.sqrt(b)).sum()
    assert frechet_distance(np.zeros(4), np.diag(a), np.zeros(4), np.diag(b)) == pytest.approx(expected)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    a, b = (rotation @ np.diag(x) @ rotation.T for x in (a, b))
    assert frechet_distance(np.zeros(4), a, np.zeros(4), b) == pytest.approx(expected)


def test_non_commuting_covariances():
    a, b = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[1.0, 0.0], [0.0, 4.0]])
    assert not np.allclose(a @ b, b @ a)
    # For 2 x 2, (trace of the root)^2 = trace + 2 root of the determinant: here 10 + 2 sqrt(12).
    expected = (3 - 1) ** 2 + 4 + 5 - 2 * np.sqrt(10 + 2 * np.sqrt(12))
    assert frechet_distance([3.0, 0.0], a, [1.0, 0.0], b) == pytest.approx(expected, rel=1e-12)


@given(st.lists(st.floats(-10, 10), min_size=8, max_size=8))
def test_any_two_by_two_covariances(values):
    roots = np.reshape(values, (2, 2, 2))
    a, b = (root @ root.T for root in roots)
    determinant = np.square(np.linalg.det(roots)).prod()
    expected = np.trace(a) + np.trace(b) - 2 * np.sqrt(np.trace(a @ b) + 2 * np.sqrt(determinant))
    assert frechet_distance(np.zeros(2), a, np.zeros(2), b) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("rank", [12, 5, 1])
def test_covariances_of_a_linear_map(rank):
    # x -> C x with C positive definite moves N(0, A) to N(0, C A C) at the least cost, E |x - C x|^2.
    _, a = gaussian(1, 12, rank)
    _, c = gaussian(2, 12)
    cost = np.eye(12) - c
    expected = np.trace(cost @ a @ cost)
    assert frechet_distance(np.zeros(12), a, np.zeros(12), c @ a @ c) == pytest.approx(expected, rel=1e-6)


def test_covariances_without_common_directions():
    a, b = np.zeros((6, 6)), np.zeros((6, 6))
    a[:3, :3], b[3:, 3:] = gaussian(1, 3)[1], gaussian(2, 3)[1]
    expected = np.trace(a) + np.trace(b)
    assert frechet_distance(np.zeros(6), a, np.zeros(6), b) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(np.zeros(6), a, np.ones(6), np.zeros((6, 6))) == pytest.approx(6 + np.trace(a))


@pytest.mark.parametrize("scale", [1e-4, 1, 1e4])
@pytest.mark.parametrize("count", [2, 30, 200])
def test_fewer_samples_than_dimensions(count, scale):
    features = scale * np.random.default_rng(0).normal(size=(count, 64)) * np.geomspace(1, 1e-3, 64)
    mean, cov = mean_and_covariance(features.astype(np.float32))
    trace = np.trace(cov)
    assert frechet_distance(mean, cov, mean, cov) <= 1e-6 * trace
    assert frechet_distance(mean, cov, mean, 9 * cov) == pytest.approx((3 - 1) ** 2 * trace, rel=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 8), st.floats(0.01, 100))
def test_invariances(seed, dim, rank, scale):
    (mean_a, cov_a), (mean_b, cov_b) = gaussian([seed, 1], dim, rank), gaussian([seed, 2], dim)
    distance = frechet_distance(mean_a, cov_a, mean_b, cov_b)
    near = pytest.approx(distance, rel=1e-5, abs=1e-5)
    assert frechet_distance(mean_b, cov_b, mean_a, cov_a) == near
    assert frechet_distance(mean_a + 3, cov_a, mean_b + 3, cov_b) == near

    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0]
    rotated = ((rotation @ mean, rotation @ cov @ rotation.T) for mean, cov in ((mean_a, cov_a), (mean_b, cov_b)))
    assert frechet_distance(*next(rotated), *next(rotated)) == near

    scaled = frechet_distance(scale * mean_a, scale**2 * cov_a, scale * mean_b, scale**2 * cov_b)
    assert scaled / scale**2 == near


def test_wrong_features():
    features = np.ones((10, 3), np.float32)
    with pytest.raises(ValueError, match=r"at least 2 samples, not 1;"):
        mean_and_covariance(features[:1])
    features[7, 1] = np.nan
    with pytest.raises(ValueError, match=r"features of sample 7 of 10 are not finite"):
        mean_and_covariance(features, block=4)
    features[7, 1] = np.inf
    with pytest.raises(ValueError, match=r"features of sample 7 of 10 are not finite"):
        mean_and_covariance(features)


def test_wrong_gaussians():
    mean, cov = np.zeros(3), np.eye(3)
    with pytest.raises(ValueError, match=r"not \(3,\) and \(3, 3\) against \(2,\) and \(2, 2\); take both"):
        frechet_distance(mean, cov, np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match=r"with one d"):
        frechet_distance(mean, cov, mean, np.eye(3)[:2])
    with pytest.raises(ValueError, match=r"not finite"):
        frechet_distance(mean, cov, mean, cov * np.nan)
    with pytest.raises(ValueError, match=r"not finite"):
        frechet_distance(mean + np.inf, cov, mean, cov)
