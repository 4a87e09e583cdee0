"""Perceptual path length: how much the image changes as the latents move a little, and how evenly.

Reference:
    Karras et al., 2018, section 4.1.
"""

import numpy as np
import tensorflow as tf
from keras import ops

from metrics.metric import Result
from metrics.samples import Purpose
from stylegan_tf.images import reduce
from stylegan_tf.pictures.interpolation import lerp, slerp
from stylegan_tf.runtime.draws import uniform

# Paths of a measurement.
SAMPLES = 100_000

# The step along the path.
EPSILON = 1e-4

# Side of the images that LPIPS sees, at most.
MAX_SIZE = 256


def path_distances(generator, lpips, z0, z1, t, labels=None, noise=None, *, space, crop):
    """Perceptual distances of the images at `t` and at `t` + epsilon on N paths, over epsilon squared.

    Args:
        generator: A generator of any family. It does not truncate.
        lpips: Function of two batches of images, float [N, H, W, C] in [0, 255], that gives [N] distances.
        z0, z1: Both ends of the paths, [N, latent_size], standard normal.
        t: Where on the paths, [N], in [0, 1].
        labels: [N, label_size], or None.
        noise: Noise images, [N, R, R, 1] each, which both images of a pair share; None for the stored ones.
        space: "z" for arcs in Z, "w" for straight lines in W.
        crop: "face" for the faces only, "none" for whole images.

    Returns:
        Distances, [N], and the images at `t`, whole, float [N, R, R, C] in [-1, 1].
    """
    w = _path_in_z(generator, z0, z1, t, labels) if space == "z" else _path_in_w(generator, z0, z1, t, labels)
    images = generator.synthesis(w, noise=[_twice(image) for image in noise] if noise else None)
    seen = crop_face(images) if crop == "face" else images
    seen = reduce(seen * 127.5 + 127.5, MAX_SIZE)
    return lpips(*ops.split(seen, 2)) / EPSILON**2, ops.split(images, 2)[0]


def _path_in_z(generator, z0, z1, t, labels):
    """w at both ends of a step on the arc, [2 N, num_layers, dlatent_size]."""
    t = ops.concatenate([t, t + EPSILON])[:, None]
    return generator.mapping(slerp(_twice(z0), _twice(z1), t), None if labels is None else _twice(labels))


def _path_in_w(generator, z0, z1, t, labels):
    """w at both ends of a step on the line, [2 N, num_layers, dlatent_size]."""
    w = generator.mapping(ops.concatenate([z0, z1]), None if labels is None else _twice(labels))
    t = ops.concatenate([t, t + EPSILON])[:, None, None]
    return lerp(*(_twice(end) for end in ops.split(w, 2)), t)


def _twice(x):
    """A batch and the same batch again."""
    return ops.concatenate([x, x], axis=0)


def crop_face(images):
    """The part of aligned portraits, [N, H, H, C], that the face fills: [N, H / 2, H / 2, C]; H a multiple of 8."""
    c = images.shape[1] // 8
    return images[:, 3 * c : 7 * c, 2 * c : 6 * c]


def mean_without_outliers(distances):
    """Path length: the mean of those distances, [N], that are left by `without_outliers`."""
    return float(np.mean(without_outliers(distances), dtype=np.float64))


def without_outliers(distances):
    """The distances, [N], from the 1st percentile to the 99th, both rounded outwards to a distance and included.

    Raises:
        ValueError: There is none, or one is not a finite number.
    """
    distances = np.asarray(distances)
    if not len(distances) or not np.isfinite(distances).all():
        raise ValueError(
            f"{np.count_nonzero(~np.isfinite(distances))} of {len(distances)} perceptual distances are not finite "
            "numbers, so there is no path length; look at the network's images."
        )
    low = np.percentile(distances, 1, method="lower")
    high = np.percentile(distances, 99, method="higher")
    return distances[(low <= distances) & (distances <= high)]


def measure(session, lpips, count, space, ends, whole=False, name=None):
    """Perceptual path length; see `Metric`.

    Args:
        space: "z" or "w".
        ends: Whether to look at the ends of paths only, t = 0, instead of anywhere.
        whole: Whether to look at whole images, whatever the options say: "ppl2", StyleGAN2's.
        name: What the result is called if `lpips` is another distance; its numbers are no PPL.
    """
    samples, crop = session.samples, "none" if whole else session.options.crop

    def distances(indices):
        t = samples.draw(uniform, [], indices, Purpose.TIME)
        found, images = path_distances(
            session.generator,
            lpips,
            samples.z(indices),
            samples.z(indices, Purpose.SECOND_Z),
            tf.zeros_like(t) if ends else t,
            samples.labels(indices),
            samples.noise(indices),
            space=space,
            crop=crop,
        )
        return found[:, None], images

    where = f"{space}{'end' if ends else 'full'}"
    rows = session.sample_rows(f"ppl_{where}", 1, distances, count, network=lpips.hash, crop=crop)
    name = name or ("ppl2" if whole else "ppl")
    return Result({f"{name}_{where}": mean_without_outliers(rows[:][:, 0])}, {"crop": crop})
