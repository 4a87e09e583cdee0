"""Linear separability: how well linear SVMs in latent space tell what attribute classifiers see in the images.

Reference:
    Karras et al., 2018, section 4.2.
"""

import os
import warnings
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from scipy.special import entr
from sklearn.exceptions import ConvergenceWarning
from tqdm import tqdm

from datasets.pool import num_cores, process_map, thread_map
from dnnlib.linear_svm import classify_by_dual, classify_by_primal
from metrics.metric import Result
from metrics.options import DEGENERATE, SVMS
from stylegan_tf.editing.directions import PLANES
from stylegan_tf.files.results import separability_name
from stylegan_tf.images import to_uint8

# Samples, of which half are kept for each attribute.
SAMPLES = 200_000

# Where classes exclude one another: an attribute that a smaller share of the samples kept has or lacks is left out. It
# adds at most 0.0114 bits, as if a plane told it.
LEAST_SHARE = 1e-3

# Beyond it the smaller probability is 0 in float32, and somewhat further exp overflows.
_LARGEST_LOGIT = 80.0
# What a fit needs for each number it is given, in bytes: liblinear's nodes 16, float64 8, and up to four copies in
# float32 of what is fitted, waits, or is on its way to another process.
_FIT_BYTES = 40


class Attribute(NamedTuple):
    """How separable an attribute is.

    Attributes:
        name: Name of the attribute.
        positive: Share of the positive class among the samples kept.
        accuracy: Share of them that the SVM gets right; None if it was skipped.
        bits: Conditional entropy H(Y|X) of the classifier's class given the SVM's; None if it was skipped.
        skipped: Whether the attribute was left out, for all samples kept are of one class, or nearly all.
        converged: Whether the SVM did within its iterations.
    """

    name: str
    positive: float
    accuracy: float | None = None
    bits: float | None = None
    skipped: bool = False
    converged: bool = True


class Separability(NamedTuple):
    """Linear separability of a latent space.

    Attributes:
        score: 2^(sum of bits) = exp(sum of nats); 1 if every SVM tells everything.
        attributes: List of Attribute.
        planes: {name: (normal, intercept)} of the SVMs that were fitted; normal . latent + intercept is positive where
            an SVM sees the attribute.
    """

    score: float
    attributes: list
    planes: dict


def probabilities(logits):
    """Softmax of [logit, -logit]: the probabilities of an attribute's presence and absence.

    Args:
        logits: [N].

    Returns:
        float32 [N, 2].

    Reference:
        Karras et al., 2018, section 4.2.
    """
    logits = np.clip(np.asarray(logits, np.float32), -_LARGEST_LOGIT, _LARGEST_LOGIT)
    # The maximum is not subtracted first, as it usually is in a softmax: its rounding would order samples that are
    # almost certain in another way than the reference does, and which of them are kept depends on it.
    unnormalized = np.exp(np.stack([logits, -logits], axis=1))
    return unnormalized / unnormalized.sum(axis=1, keepdims=True)


def most_confident(logits, num_keep):
    """Indices of the samples with the largest probability of either class, most confident first, int64 [num_keep].

    Samples of equal probability stay in their order; many are, where float32 knows nothing between them and 1.
    """
    return np.argsort(-probabilities(logits).max(axis=1), kind="stable")[:num_keep]


def most_confident_per_class(logits, num_keep):
    """Indices as `most_confident` gives them, of each class as large a share as it has among all samples.

    Where an attribute is one of several that exclude one another, a classifier is surer of its absence than it ever is
    of its presence, and the most confident half of all samples has hardly any with the attribute (docs/metrics.md).
    """
    present = probabilities(logits).argmax(axis=1) == 0
    num_present = round(int(present.sum()) * num_keep / len(logits))
    parts = (np.flatnonzero(present), num_present), (np.flatnonzero(~present), num_keep - num_present)
    return np.concatenate([rows[most_confident(logits[rows], number)] for rows, number in parts])


def entropy(table):
    """Entropy of a distribution in bits.

    Args:
        table: Non-negative numbers of any shape; probabilities are what they are of their sum.
    """
    table = np.asarray(table, np.float64)
    return float(entr(table / table.sum()).sum() / np.log(2))


def conditional_entropy(table):
    """H(Y|X), what is left to know of Y once X is known, in bits; at least 0.

    Args:
        table: [X, Y], how often, or how probably, the SVM says X and the classifier Y.

    Reference:
        Karras et al., 2018, section 4.2.
    """
    table = np.asarray(table, np.float64)
    return max(entropy(table) - entropy(table.sum(axis=1)), 0.0)


def separability(latents, logits, names, num_keep, svm="primal", degenerate="skip", workers=None, per_class=False):
    """Fits a linear SVM for each attribute, on the samples that its classifier is most confident of.

    Args:
        latents: z or w of each sample, float32 [N, dim].
        logits: The classifiers' outputs, float32 [N, attributes]; positive where an image has the attribute.
        names: Names of the attributes.
        num_keep: Samples to keep for each attribute.
        svm: "primal", or "reference" for the reference's dual solver with its 1,000 iterations, in which it may stop
            before the optimum. Both seek the same one; where there are about as many samples as dimensions, or more,
            the primal solver finds it sooner.
        degenerate: What becomes of attributes with one class among the samples kept: "skip" leaves them out, "perfect"
            counts them as told without error, as the reference does.
        workers: SVMs to fit at a time; by default as many as there are cores and half of the memory holds.
        per_class: Whether the most confident are kept of each class by itself, and attributes of which next to none are
            kept (`LEAST_SHARE`) are left out as well: for attributes that exclude one another. Ours, not the paper's.

    Returns:
        Separability.

    Raises:
        ValueError: Shapes do not fit, a number is not finite, there are fewer than `num_keep` samples, or all
            attributes would be skipped.
    """
    if svm not in SVMS or degenerate not in DEGENERATE:
        raise ValueError(f"svm is one of {SVMS} and degenerate one of {DEGENERATE}, not {svm!r} and {degenerate!r}.")
    latents, logits = np.asarray(latents, np.float32), np.asarray(logits, np.float32)
    check(latents, logits, names, num_keep)

    keep = most_confident_per_class if per_class else most_confident
    kept = [keep(column, num_keep) for column in logits.T]
    # Class 0 is the attribute's presence.
    targets = [probabilities(column[rows]).argmax(axis=1) for column, rows in zip(logits.T, kept, strict=True)]
    least = max(1, LEAST_SHARE * num_keep if per_class and degenerate == "skip" else 0)
    mixed = [least <= classes.sum() <= num_keep - least for classes in targets]
    if not any(mixed) and degenerate == "skip":
        raise ValueError(
            f"For each of the {len(names)} attributes, all {num_keep:,} samples kept are of one class, or nearly, so "
            "there is nothing to separate; measure a network whose images differ, or take more samples."
        )
    tasks = [(rows, classes) for rows, classes, both in zip(kept, targets, mixed, strict=True) if both]
    classified = iter(classify_all(latents, tasks, svm, workers or most_workers(num_keep, latents.shape[1])))
    attributes, planes = [], {}
    for name, classes, both in zip(names, targets, mixed, strict=True):
        if both:
            fit = next(classified)
            found = compare(fit.outputs, classes, fit.converged)
            planes[name] = (-fit.normal).tolist(), -fit.intercept
        else:
            found = {"skipped": True} if degenerate == "skip" else {"accuracy": 1.0, "bits": 0.0}
        attributes.append(Attribute(name, 1 - float(classes.mean()), **found))
    return Separability(2.0 ** sum(attribute.bits or 0.0 for attribute in attributes), attributes, planes)


def check(latents, logits, names, num_keep):
    """ValueError unless the arguments of `separability` fit each other."""
    if latents.ndim != 2 or logits.shape != (len(latents), len(names)):
        raise ValueError(
            f"Latents must be [N, dim] and logits [N, {len(names)}], one column an attribute; "
            f"received {latents.shape} and {logits.shape}."
        )
    if not 1 <= num_keep <= len(latents):
        raise ValueError(f"Cannot keep {num_keep:,} of {len(latents):,} samples; take more samples, or keep fewer.")
    for what, values in (("latents", latents), ("logits", logits)):
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"The {what} of sample {finite.argmin()} are not finite numbers; check the network they come from."
            )


def most_workers(num_keep, dim):
    """How many SVMs to fit at a time: as many as there are cores and half of the machine's memory holds."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(num_cores(), memory // 2 // (_FIT_BYTES * num_keep * dim)))


def classify_all(latents, tasks, svm, workers):
    """Fits an SVM for each task; returns a list of Fit.

    Args:
        latents: float32 [N, dim].
        tasks: List of (indices of the samples, their classes).
        svm: "primal" or "reference".
        workers: Fits at a time.
    """
    samples = ((latents[rows], classes) for rows, classes in tasks)
    with warnings.catch_warnings():
        # Which SVMs did not converge is told in the results. Threads share this filter.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if svm == "reference":
            classified = process_map(classify_by_dual, samples, workers)
        else:
            classified = thread_map(classify_by_primal, samples, workers)
        return list(tqdm(classified, "linear SVMs", len(tasks), unit="SVM", leave=False, disable=None))


def compare(outputs, classes, converged):
    """What an SVM's outputs tell of the classifier's classes, both 0 or 1 [num_keep], as fields of `Attribute`."""
    table = np.bincount(2 * outputs + classes, minlength=4).reshape(2, 2)
    return {
        "accuracy": float(np.trace(table) / len(classes)),
        "bits": conditional_entropy(table),
        "converged": converged,
    }


def table_lines(z, w):
    """Lines of a table of both spaces, to be read.

    Args:
        z: Separability of z.
        w: Separability of w, for the same samples and attributes.
    """
    width = max(len("attribute"), *(len(attribute.name) for attribute in z.attributes))
    lines = [f"{'attribute':<{width}}  positive   accuracy in Z, W   bits in Z, W"]
    for in_z, in_w in zip(z.attributes, w.attributes, strict=True):
        line = f"{in_z.name:<{width}}  {in_z.positive:8.1%}"
        if in_z.skipped:
            how_many = "all" if in_z.positive in (0, 1) else "next to all"
            lines.append(f"{line}   skipped: {how_many} samples kept are of one class")
        else:
            lines.append(f"{line}   {in_z.accuracy:7.1%}  {in_w.accuracy:7.1%}   {in_z.bits:6.4f} {in_w.bits:6.4f}")
    lines.append(f"{'2^(sum of bits)':<{width + 28}} {z.score:9.4f} {w.score:6.4f}")
    skipped = [attribute.name for attribute in z.attributes if attribute.skipped]
    if skipped:
        lines.append(
            f"Of {len(z.attributes)} attributes, {len(z.attributes) - len(skipped)} are in the sum, without "
            f"{', '.join(skipped)}: not to be compared with a sum of all."
        )
    rare = [item.name for item in z.attributes if not item.skipped and _is_rare(item)]
    if rare:
        lines.append(
            f"Counted, but next to all samples kept are of one class, so they add next to nothing: {', '.join(rare)}."
        )
    for space, found in (("Z", z), ("W", w)):
        stopped = [attribute.name for attribute in found.attributes if not attribute.converged]
        if stopped:
            lines.append(f"SVMs in {space} that stopped before they converged: {len(stopped)} ({', '.join(stopped)})")
    return lines


def _is_rare(attribute):
    return not LEAST_SHARE <= attribute.positive <= 1 - LEAST_SHARE


def classified_samples(session, classifiers, count):
    """What samples are made of, and what classifiers see in them: (z, w, logits), each float32 [count, size]."""
    samples, generator = session.samples, session.generator
    shrink = generator.resolution // classifiers.resolution

    def classify(indices):
        w = samples.w(indices)
        images = samples.images(indices, w)
        logits = classifiers(to_uint8(images, shrink=shrink))
        return tf.concat([samples.z(indices), w[:, -1], logits], axis=1), images

    sizes = [generator.latent_size, generator.dlatent_size, len(classifiers.names)]
    rows = session.sample_rows("attributes", sum(sizes), classify, count, network=classifiers.hash)
    return np.split(rows[:], np.cumsum(sizes)[:2], axis=1)


def measure(session, classifiers, count):
    """Linear separability in Z and W, from one set of samples for all attributes; see `Metric`."""
    z, w, logits = classified_samples(session, classifiers, count)
    options, per_class = session.options, classifiers.exclusive
    in_z, in_w = (
        separability(latents, logits, classifiers.names, count // 2, options.svm, options.degenerate, None, per_class)
        for latents in (z, w)
    )
    details = {
        space: [attribute._asdict() for attribute in found.attributes] for space, found in (("z", in_z), ("w", in_w))
    }
    details["kept"] = f"the most confident half of {'each class' if per_class else 'all samples'}"
    values = {
        separability_name(space, [attribute.skipped for attribute in found.attributes], per_class): found.score
        for space, found in (("z", in_z), ("w", in_w))
    }
    planes = {space: planes_of(found) for space, found in (("z", in_z), ("w", in_w))}
    return Result(values, details, table_lines(in_z, in_w), planes)


def planes_of(found):
    """{each of `directions.PLANES`: array} of a Separability."""
    accuracies = [attribute.accuracy for attribute in found.attributes if attribute.name in found.planes]
    normals, intercepts = zip(*found.planes.values(), strict=True) if found.planes else ((), ())
    arrays = np.array(list(found.planes)), np.float32(normals), np.array(intercepts), np.array(accuracies)
    return dict(zip(PLANES, arrays, strict=True))
