"""The kernel distance between two sets of features: KID, when the features are Inception's.

Reference:
    Binkowski et al., Demystifying MMD GANs, 2018, section 4 (KID); Gretton et al., A Kernel Two-Sample Test, 2012,
    lemma 6 (the unbiased estimator).
"""

import numpy as np

from metrics.features import fake_features, real_features
from metrics.frechet import read_blocks
from metrics.metric import Result, result_name


def kernel_distance(reals, fakes, seed=0, subsets=100, subset_size=1000):
    """Mean over random subsets of the unbiased squared maximum mean discrepancy, kernel (x.y / d + 1)^3, in float64.

    A subset is drawn without replacement, of one size for both sets: `subset_size`, or all samples of the smaller set
    where it has fewer. Where that takes all samples of both sets, every subset would be the same and is computed once.

    Args:
        reals: float32 [n, d], n >= 2, with `shape` and slicing; held as it is (float32), all of it.
        fakes: float32 [m, d], m >= 2, likewise.
        seed: Of the generator that draws the subsets.
        subsets: How many subsets of each set.
        subset_size: Samples in a subset.

    Returns:
        A float; unbiased, so it is around 0, and may be negative, where both sets have one distribution.

    Raises:
        ValueError: Fewer than 2 samples, different dimensions, or a feature is not finite.
    """
    size = min(len(reals), len(fakes), subset_size)
    if size < 2 or reals.shape[1] != fakes.shape[1]:
        raise ValueError(
            f"The kernel distance takes two sets of at least 2 samples of one dimension, not {reals.shape} reals and "
            f"{fakes.shape} fakes in subsets of {subset_size}; use more samples from one feature network."
        )
    reals, fakes = (next(rows for _, rows in read_blocks(x, len(x))) for x in (reals, fakes))
    if size == len(reals) == len(fakes):
        subsets = 1

    generator = np.random.default_rng(seed)
    distances = []
    for _ in range(subsets):
        some_reals = reals[generator.choice(len(reals), size, replace=False)]
        some_fakes = fakes[generator.choice(len(fakes), size, replace=False)]
        distances.append(squared_mmd(np.concatenate([some_reals, some_fakes], dtype=np.float64)))
    return float(np.mean(distances))


def squared_mmd(samples):
    """Unbiased squared maximum mean discrepancy between the first and the second half of float64 [2 m, d]."""
    size, dim = len(samples) // 2, samples.shape[1]
    base = samples @ samples.T
    base /= dim
    base += 1
    kernel = base * base
    kernel *= base
    same = kernel[:size, :size].sum() + kernel[size:, size:].sum() - np.trace(kernel)
    return same / (size * (size - 1)) - 2 * kernel[:size, size:].mean()


def measure(session, network, count, name="kid"):
    """Kernel distance between the features of as many generated as real images; see `Metric`."""
    reals, fakes = real_features(session, network, count), fake_features(session, network, count)
    return Result({result_name(session, name, count): kernel_distance(reals, fakes, session.options.seed)})
