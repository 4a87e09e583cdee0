"""The kernel distance against its value by hand and against closed forms on Gaussians."""

import numpy as np
import pytest

from metrics.kernel_distance import kernel_distance


def expected_kernel(mean_a, cov_a, mean_b, cov_b):
    """E (x.y / d + 1)^3 of independent x ~ N(mean_a, cov_a) and y ~ N(mean_b, cov_b).

    Given y, u = x.y is normal with mean mean_a.y and variance y^T cov_a y, which gives its moments.
    """
    dim = len(mean_a)
    first = mean_a @ mean_b
    spread = mean_a @ cov_b @ mean_a
    quadratic = mean_b @ cov_a @ mean_b + np.trace(cov_a @ cov_b)
    second = first**2 + spread + quadratic
    third = first**3 + 3 * first * spread + 3 * (first * quadratic + 2 * mean_a @ cov_b @ cov_a @ mean_b)
    return 1 + 3 * first / dim + 3 * second / dim**2 + third / dim**3


def expected_distance(a, b):
    return expected_kernel(*a, *a) + expected_kernel(*b, *b) - 2 * expected_kernel(*a, *b)


def statistic(reals, fakes):
    """The unbiased estimator pair by pair, as it is written in Gretton et al., lemma 6."""
    reals, fakes = np.asarray(reals, np.float64), np.asarray(fakes, np.float64)

    def kernel(x, y):
        return (x @ y / len(x) + 1) ** 3

    def within(samples):
        return np.mean([kernel(x, y) for i, x in enumerate(samples) for j, y in enumerate(samples) if i != j])

    return within(reals) + within(fakes) - 2 * np.mean([kernel(x, y) for x in reals for y in fakes])


def features(count, dim, seed):
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def test_by_hand():
    # Kernel: (0, 1) -> 1 within the reals, (1, 2) -> 27 within the fakes, 1, 1, 8 and 27 between them.
    reals, fakes = np.float32([[0], [1]]), np.float32([[1], [2]])
    assert kernel_distance(reals, fakes) == pytest.approx(1 + 27 - 2 * 37 / 4, rel=1e-12)


def test_all_samples_are_one_subset():
    reals, fakes = features(9, 5, 0), features(9, 5, 1) + 1
    assert kernel_distance(reals, fakes) == pytest.approx(statistic(reals, fakes), rel=1e-12)
    assert kernel_distance(reals, fakes, seed=3, subsets=7) == pytest.approx(kernel_distance(reals, fakes), rel=1e-12)


@pytest.mark.parametrize(("count", "subset_size"), [(12, 5), (12, 1000), (8, 1000)])
def test_subsets_have_the_mean_of_all_pairs(count, subset_size):
    # A draw with replacement would pair samples with themselves; samples far from 0 make that count.
    reals, fakes = features(12, 3, 0) + 2, features(count, 3, 1)
    values = [kernel_distance(reals, fakes, seed, 50, subset_size) for seed in range(20)]
    error = np.std(values) / np.sqrt(len(values))
    exact = statistic(reals, fakes)
    assert error < 0.02 * exact
    assert np.mean(values) == pytest.approx(exact, abs=4 * error + 1e-9)


GAUSSIANS = {
    "other mean": ([0.5, 0.0, -0.2], [1.5, 0.5, 0.3], np.eye(3), np.eye(3)),
    "other covariance": ([0.5, 1.0, 0.0], [0.5, 1.0, 0.0], np.eye(3), [[3, 1, 0], [1, 2, 0.5], [0, 0.5, 0.2]]),
    "same": ([1.0, 1.0, 0.5], [1.0, 1.0, 0.5], np.diag([1, 0.5, 2]), np.diag([1, 0.5, 2])),
}


@pytest.mark.parametrize("name", GAUSSIANS)
def test_gaussians(name):
    mean_a, mean_b, cov_a, cov_b = (np.asarray(x, np.float64) for x in GAUSSIANS[name])
    generator = np.random.default_rng(0)
    reals = generator.multivariate_normal(mean_a, cov_a, size=(1500, 40)).astype(np.float32)
    fakes = generator.multivariate_normal(mean_b, cov_b, size=(1500, 40)).astype(np.float32)
    values = [kernel_distance(x, y) for x, y in zip(reals, fakes, strict=True)]
    error = np.std(values) / np.sqrt(len(values))
    exact = expected_distance((mean_a, cov_a), (mean_b, cov_b))
    assert abs(np.mean(values) - exact) < 4 * error
    assert error < (0.03 * exact if name != "same" else 0.04)


def test_the_closed_form_itself():
    generator = np.random.default_rng(0)
    root = generator.normal(size=(2, 2, 2)) / 2
    mean = generator.normal(size=(2, 2))
    x, y = (generator.normal(size=(1_000_000, 2)) @ root[i].T + mean[i] for i in range(2))
    values = ((x * y).sum(axis=1) / 2 + 1) ** 3
    exact = expected_kernel(mean[0], root[0] @ root[0].T, mean[1], root[1] @ root[1].T)
    error = values.std() / 1000
    assert error < 0.01 * exact
    assert abs(values.mean() - exact) < 4 * error


def test_seeds():
    reals, fakes = features(30, 4, 0), features(25, 4, 1)
    first = kernel_distance(reals, fakes, seed=1, subsets=3, subset_size=10)
    assert first == kernel_distance(reals, fakes, seed=1, subsets=3, subset_size=10)
    assert first != kernel_distance(reals, fakes, seed=2, subsets=3, subset_size=10)


def test_wrong_features():
    reals = features(10, 4, 0)
    with pytest.raises(ValueError, match=r"at least 2 samples .* not \(10, 4\) reals and \(1, 4\) fakes"):
        kernel_distance(reals, reals[:1])
    with pytest.raises(ValueError, match=r"one dimension, not \(10, 4\) reals and \(10, 3\) fakes"):
        kernel_distance(reals, reals[:, :3])
    fakes = reals.copy()
    fakes[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"features of sample 3 of 10 are not finite"):
        kernel_distance(reals, fakes)
