"""Metrics of generators."""

from functools import partial

from metrics import (
    frechet,
    kernel_distance,
    linear_factors,
    linear_separability,
    networks,
    perceptual_path,
    precision_recall,
)
from metrics.metric import Metric

__all__ = ["METRICS"]


def _path_length(space, ends, whole=False):
    where = f"perceptual path length in {space.upper()}, {'at the ends of paths' if ends else 'along whole paths'}"
    where += ", of whole images" if whole else ""
    measure = partial(perceptual_path.measure, space=space, ends=ends, whole=whole)
    return Metric(where, networks.lpips, measure, perceptual_path.SAMPLES, reals=False)


def _path_length_by_classifier(space, ends):
    where = f"path length in {space.upper()}, {'at the ends of paths' if ends else 'along whole paths'}"
    where += ", in a classifier's features"
    measure = partial(perceptual_path.measure, space=space, ends=ends, whole=True, name="pl_classifier")
    return Metric(where, networks.trunk_distance, measure, perceptual_path.SAMPLES, reals=False)


def _mixed_by_classifier(latents):
    summary = f"Frechet distance of a classifier's features, {latents} latents mixed in each image"
    return Metric(summary, networks.trunk, partial(frechet.measure, name="fd", latents=latents), None)


def _mixed(latents):
    summary = f"FID with {latents} latents mixed in each image (Table 2)"
    return Metric(summary, networks.inception, partial(frechet.measure, latents=latents))


# {name: metric(generator, dataset) -> {result: float}}, for snapshots of a run and for run_metrics.py. What
# looks at images with a classifier of the data set is no FID and must not be called so.
METRICS = {
    "fid50k": Metric("Frechet Inception distance", networks.inception, frechet.measure),
    "ppl_zfull": _path_length("z", ends=False),
    "ppl_wfull": _path_length("w", ends=False),
    "ppl_zend": _path_length("z", ends=True),
    "ppl_wend": _path_length("w", ends=True),
    # StyleGAN2's.
    "ppl2_wend": _path_length("w", ends=True, whole=True),
    "ls": Metric(
        "linear separability in Z and W",
        networks.classifiers,
        linear_separability.measure,
        linear_separability.SAMPLES,
        reals=False,
        keeps_planes=True,
    ),
    "factors": Metric(
        "how well z and w tell what an image shows, linearly",
        networks.classifiers,
        linear_factors.measure,
        linear_factors.SAMPLES,
        reals=False,
    ),
    "fid50k_mix2": _mixed(2),
    "fid50k_mix3": _mixed(3),
    "fid50k_mix4": _mixed(4),
    "kid50k": Metric("kernel Inception distance", networks.inception, kernel_distance.measure),
    "pr50k": Metric("precision and recall in Inception's features", networks.inception, precision_recall.measure),
    "fd_classifier": Metric(
        "Frechet distance of a classifier's features", networks.trunk, partial(frechet.measure, name="fd"), None
    ),
    "fd_classifier_mix2": _mixed_by_classifier(2),
    "fd_classifier_mix3": _mixed_by_classifier(3),
    "fd_classifier_mix4": _mixed_by_classifier(4),
    "kd_classifier": Metric(
        "kernel distance of a classifier's features", networks.trunk, partial(kernel_distance.measure, name="kd"), None
    ),
    "pr_classifier": Metric(
        "precision and recall in a classifier's features", networks.trunk, precision_recall.measure, None
    ),
    "pl_classifier_zfull": _path_length_by_classifier("z", ends=False),
    "pl_classifier_wfull": _path_length_by_classifier("w", ends=False),
    "pl_classifier_zend": _path_length_by_classifier("z", ends=True),
    "pl_classifier_wend": _path_length_by_classifier("w", ends=True),
}
