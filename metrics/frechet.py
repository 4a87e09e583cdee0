"""The Frechet distance between two sets of features, each taken for a Gaussian: FID, when the features are Inception's.

References:
    Dowson and Landau, The Frechet distance between multivariate normal distributions, 1982 (the distance).
    Heusel et al., GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium, 2017 (FID).
    Chan, Golub and LeVeque, Algorithms for computing the sample variance, 1983 (covariance in one pass).
"""

import zipfile

import numpy as np
from scipy import linalg

from dnnlib.files import atomic_file
from metrics.features import check_count, fake_features, real_features, real_path
from metrics.metric import Result, result_name


def read_blocks(features, block):
    """Yields (index of its first row, rows) for blocks of features, all of them at most `block` rows.

    Args:
        features: float32 [n, d] with `shape` and slicing: an array, or rows on disk.
        block: Most rows to hold at a time.

    Raises:
        ValueError: A feature is NaN or infinite.
    """
    for start in range(0, len(features), block):
        rows = np.asarray(features[start : start + block])
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"The features of sample {start + finite.argmin()} of {len(features)} are not finite; "
                "check the images and the network that they come from."
            )
        yield start, rows


def mean_and_covariance(features, block=1024):
    """Sample mean and sample covariance (divided by n - 1) in float64, in one pass that holds one block at a time.

    Each block is centred on its own mean and merged as Chan et al. do, so a mean that is large beside the deviations,
    or that drifts from block to block, costs no accuracy.

    Args:
        features: float32 [n, d], n >= 2, with `shape` and slicing.
        block: Rows in a block; changes the result by rounding only.

    Returns:
        float64 [d] and float64 [d, d].

    Raises:
        ValueError: Fewer than 2 samples, or a feature is not finite.
    """
    count, dim = features.shape
    if count < 2:
        raise ValueError(f"A covariance takes at least 2 samples, not {count}; use more samples.")

    mean = np.zeros(dim)
    scatter = np.zeros((dim, dim), order="F")  # BLAS updates its upper half in place.
    for start, rows in read_blocks(features, block):
        size = len(rows)
        centred = np.empty((size + 1, dim))
        block_mean = rows.mean(axis=0, dtype=np.float64)
        np.subtract(rows, block_mean, out=centred[:size])
        # The last row stands for the distance between the means so far: scatter grows by its outer product too.
        shift = block_mean - mean
        centred[size] = np.sqrt(start * size / (start + size)) * shift
        mean += shift * (size / (start + size))
        scatter = linalg.blas.dsyrk(1.0, centred.T, beta=1.0, c=scatter, overwrite_c=True)

    scatter /= count - 1
    return mean, np.triu(scatter) + np.triu(scatter, 1).T


def frechet_distance(mean_a, cov_a, mean_b, cov_b):
    """Squared Frechet distance of two Gaussians: |mean_a - mean_b|^2 + tr(cov_a + cov_b - 2 (cov_a cov_b)^(1/2)).

    With cov = F F^T for both, cov_a cov_b has the eigenvalues of the symmetric, positive semidefinite K K^T where
    K = F_a^T F_b, so the trace of its root is the sum of their roots: everything stays real, also where covariances
    are singular because there are fewer samples than dimensions (then K is as small as the lower rank).

    Args:
        mean_a: [d].
        cov_a: [d, d], symmetric, positive semidefinite; likewise `mean_b` and `cov_b`.

    Returns:
        A float, at least 0. Rounding leaves about 1e-8 of the traces where the distance is 0.

    Raises:
        ValueError: Shapes differ, or a value is not finite.

    Reference:
        Dowson and Landau, 1982; Heusel et al., 2017, equation 6.
    """
    mean_a, cov_a, mean_b, cov_b = (np.asarray(x, np.float64) for x in (mean_a, cov_a, mean_b, cov_b))
    dim = mean_a.size
    if not (mean_a.shape == mean_b.shape == (dim,) and cov_a.shape == cov_b.shape == (dim, dim)):
        raise ValueError(
            f"Means and covariances must be [d] and [d, d] with one d, not {mean_a.shape} and {cov_a.shape} against "
            f"{mean_b.shape} and {cov_b.shape}; take both from the same feature network."
        )
    if not all(np.isfinite(x).all() for x in (mean_a, cov_a, mean_b, cov_b)):
        raise ValueError("A mean or a covariance is not finite; check the features that it comes from.")

    product = factor(cov_a).T @ factor(cov_b)
    if product.shape[0] > product.shape[1]:
        product = product.T
    eigenvalues = linalg.eigh(product @ product.T, driver="evd", eigvals_only=True, overwrite_a=True)
    root_trace = np.sqrt(np.maximum(eigenvalues, 0)).sum()
    distance = np.square(mean_a - mean_b).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * root_trace
    return max(float(distance), 0.0)


def factor(cov):
    """F [d, rank] with F F^T = cov (positive semidefinite) to rounding: pivoted Cholesky decomposition."""
    lower, pivots, rank, _ = linalg.lapack.dpstrf(cov, lower=True)
    factors = np.empty((len(cov), rank))
    factors[pivots - 1] = np.tril(lower[:, :rank])
    return factors


def measure(session, network, count, name="fid", latents=1):
    """Frechet distance between the features of as many generated as real images; see `Metric`."""
    fakes = mean_and_covariance(fake_features(session, network, count, latents))
    distance = frechet_distance(*real_statistics(session, network, count), *fakes)
    return Result({result_name(session, name, count, latents): distance})


def real_statistics(session, network, count):
    """Mean [dim] and covariance [dim, dim] of the features of real images, float64, which stay in the cache."""
    check_count(session.need_dataset(), session.options.mirror, count)
    path = real_path(session, network).with_suffix(f".{count}.npz")
    if not path.exists():
        mean, covariance = mean_and_covariance(real_features(session, network, count))
        with atomic_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, mean=mean, covariance=covariance)
    try:
        # NumPy would leave a damaged file open.
        with path.open("rb") as file, np.load(file) as arrays:
            return arrays["mean"], arrays["covariance"]
    except (EOFError, KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged; delete it, it will be computed again.") from error
