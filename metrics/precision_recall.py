"""Improved precision and recall: which part of the fakes looks real, and which part of the reals the fakes cover.

Either set of samples stands for the region within the distance of each sample to its k-th nearest neighbour.

Reference:
    Kynkaanniemi et al., Improved Precision and Recall Metric for Assessing Generative Models, 2019, section 2.
"""

import contextlib

import numpy as np
import tensorflow as tf

from metrics.features import fake_features, real_features
from metrics.frechet import read_blocks
from metrics.metric import Result, result_name

# A sample at exactly another's radius counts as inside, as the paper has it. What is told apart from that tie must
# differ by more than float32 products round: this part of a squared distance from the common mean.
ROUNDING = 2.0**-16


def precision_recall(reals, fakes, neighbours=3, block=2048):
    """Part of the fakes within the region of the reals, and part of the reals within the region of the fakes.

    Holds all features once in float32, centred, and distances of block x block samples: no n x n table. Products run in
    float32 on the GPU, if there is one.

    Args:
        reals: float32 [n, d], n > neighbours, with `shape` and slicing.
        fakes: float32 [m, d], m > neighbours, likewise.
        neighbours: k; a sample is not its own neighbour.
        block: Samples in a block; ties count as inside whatever it is.

    Returns:
        precision and recall, floats in [0, 1].

    Raises:
        ValueError: Too few samples, different dimensions, or a feature is not finite.

    Reference:
        Kynkaanniemi et al., 2019, equations 1 and 2; k = 3 in section 2.
    """
    if min(len(reals), len(fakes)) <= neighbours or neighbours < 1 or reals.shape[1] != fakes.shape[1]:
        raise ValueError(
            f"Precision and recall with {neighbours} neighbours (at least 1) take two sets of more samples than that, "
            f"of one dimension, not {reals.shape} reals and {fakes.shape} fakes; use more samples from one feature "
            "network."
        )
    reals, fakes = centred_blocks(reals, fakes, block)
    with full_float32():
        real_reach, fake_reach = region(reals, neighbours), region(fakes, neighbours)
        covered_reals = [tf.zeros(len(rows), tf.bool) for rows in reals]
        covered_fakes = [tf.zeros(len(rows), tf.bool) for rows in fakes]
        for i, real_rows in enumerate(reals):
            for j, fake_rows in enumerate(fakes):
                distances = squared_distances(real_rows, fake_rows)
                covered_fakes[j] |= tf.reduce_any(distances <= real_reach[i][:, None], axis=0)
                covered_reals[i] |= tf.reduce_any(distances <= fake_reach[j], axis=1)
    return float(np.concatenate(covered_fakes).mean()), float(np.concatenate(covered_reals).mean())


def centred_blocks(reals, fakes, block):
    """Both sets as lists of float32 tensors [block, d], less the mean of all samples.

    Distances do not change by that, but their rounding does: it grows with the distance of the samples from 0.
    """
    mean = np.zeros(reals.shape[1])
    for features in (reals, fakes):
        for _, rows in read_blocks(features, block):
            mean += rows.sum(axis=0, dtype=np.float64) / (len(reals) + len(fakes))
    return [[tf.constant(rows - mean, tf.float32) for _, rows in read_blocks(x, block)] for x in (reals, fakes)]


@contextlib.contextmanager
def full_float32():
    """Keeps GPUs from TensorFloat-32, which multiplies with 10 bits: too few for differences of near neighbours."""
    enabled = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(enabled)


def squared_norms(rows):
    return tf.reduce_sum(tf.square(rows), axis=1)


def squared_distances(a, b):
    """float32 [n, m] between rows of [n, d] and [m, d]. Rounding can leave it a little below 0."""
    return squared_norms(a)[:, None] + squared_norms(b) - 2 * tf.matmul(a, b, transpose_b=True)


def region(blocks, neighbours):
    """Squared radius of every sample, its distance to its k-th nearest neighbour, with room for rounding.

    Args:
        blocks: List of float32 [block, d].
        neighbours: k.

    Returns:
        List of float32 [block].
    """
    # The sample itself is the nearest, at 0, which is why there is one more. A pair of blocks serves both of them.
    nearest = [tf.fill((len(rows), neighbours + 1), np.float32(np.inf)) for rows in blocks]
    for i, rows in enumerate(blocks):
        for j in range(i, len(blocks)):
            distances = squared_distances(rows, blocks[j])
            nearest[i] = keep_nearest(nearest[i], distances)
            if j > i:
                nearest[j] = keep_nearest(nearest[j], tf.transpose(distances))
    radii = [distances[:, -1] for distances in nearest]
    return [radius + ROUNDING * (radius + squared_norms(rows)) for radius, rows in zip(radii, blocks, strict=True)]


def keep_nearest(nearest, distances):
    """The smallest of both, in rising order: [n, count], [n, m] -> [n, count]."""
    return -tf.math.top_k(-tf.concat([nearest, distances], axis=1), nearest.shape[1])[0]


def measure(session, network, count):
    """Precision and recall of as many generated as real images; see `Metric`."""
    found = precision_recall(real_features(session, network, count), fake_features(session, network, count))
    names = (result_name(session, name, count) for name in ("precision", "recall"))
    return Result(dict(zip(names, found, strict=True)))
