"""How well z and w tell, linearly, what an image shows: ours, for data sets whose images are made of known factors.

An image's value of a factor is the one that the classifier finds most likely. On one half of the samples, a linear
function of the latent is fitted to each value's indicator by least squares; on the other half, the value whose function
is largest is compared with the classifier's. Linear separability asks of each value by itself whether a plane cuts it
off; this asks whether the factor can be read.
"""

from typing import NamedTuple

import numpy as np

from metrics.linear_separability import classified_samples
from metrics.metric import Result

SAMPLES = 20_000


class Told(NamedTuple):
    """How well a factor is told.

    Attributes:
        name: Name of the factor.
        accuracy: Share of the samples that were not fitted whose value is told.
        guessing: Share of them that have the value most frequent in the others.
        score: Share told of what guessing gets wrong, (accuracy - guessing) / (1 - guessing); 0 where nothing is wrong.
    """

    name: str
    accuracy: float
    guessing: float
    score: float


def linear_factor(name, latents, values):
    """Fits the first half of the samples and tells the factor of the others.

    Args:
        name: Name of the factor.
        latents: float [N, dim].
        values: Number of the value of each sample, integers [N].

    Returns:
        Told.
    """
    half = len(latents) // 2
    inputs = np.concatenate([latents, np.ones([len(latents), 1])], axis=1, dtype=np.float64)
    weights, *_ = np.linalg.lstsq(inputs[:half], np.eye(values.max() + 1)[values[:half]], rcond=None)
    accuracy = float(np.mean((inputs[half:] @ weights).argmax(axis=1) == values[half:]))
    guessing = float(np.mean(values[half:] == np.bincount(values[:half]).argmax()))
    return Told(name, accuracy, guessing, (accuracy - guessing) / (1 - guessing) if guessing < 1 else 0.0)


def factor_values(logits, columns):
    """Which value of a factor each sample has: the largest of its logits, or whether the only one is positive.

    Args:
        logits: Of all attributes, [N, attributes].
        columns: Those of the factor.

    Returns:
        Integers [N].
    """
    return logits[:, columns].argmax(axis=1) if len(columns) > 1 else (logits[:, columns[0]] > 0).astype(int)


def measure(session, classifiers, count):
    """The mean score of all factors in Z and in W; see `Metric`. An attribute is a factor of two values."""
    *latents, logits = classified_samples(session, classifiers, count)
    values = {name: factor_values(logits, columns) for name, columns in classifiers.groups.items()}
    in_z, in_w = ([linear_factor(name, space, found) for name, found in values.items()] for space in latents)
    means = {f"factors_{space}": float(np.mean([f.score for f in told])) for space, told in (("z", in_z), ("w", in_w))}
    width = max(len("mean score"), *map(len, values))
    lines = [f"{'factor':<{width}}  guessing   accuracy in Z, W   score in Z, W"]
    for z, w in zip(in_z, in_w, strict=True):
        accuracies = f"{z.accuracy:7.1%}  {w.accuracy:7.1%}"
        lines.append(f"{z.name:<{width}}  {z.guessing:8.1%}   {accuracies}   {z.score:6.3f} {w.score:6.3f}")
    lines.append(f"{'mean score':<{width + 31}} {means['factors_z']:6.3f} {means['factors_w']:6.3f}")
    details = {space: [factor._asdict() for factor in told] for space, told in (("z", in_z), ("w", in_w))}
    return Result(means, details, lines)
