"""Features of generated and real images through a feature network, computed once for all metrics that compare them.

A feature network is an object with `hash`, the SHA-256 of what it computes with, `dim`, and `__call__`: uint8 images
[N, H, W, C] to features, float32 [N, dim].
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from metrics.rows import fill_rows
from metrics.session import digest
from stylegan_tf.images import to_uint8
from stylegan_tf.runtime.replicas import distributed


def fake_features(session, network, count, latents=1):
    """Features of generated images with random noise, without truncation unless the options ask for it.

    Args:
        session: Session.
        network: Feature network.
        count: Number of images.
        latents: Latents that are mixed in an image (paper, Table 2).

    Returns:
        Rows, [count, network.dim].

    Raises:
        ValueError: The network has fewer styles than latents to mix, or is broken.
    """
    psi, layers = session.options.truncation_psi, session.generator.num_layers
    if latents > layers:
        raise ValueError(
            f"The network has {layers} styles, and {latents} latents take turns at {latents} at least; measure one "
            "with more layers."
        )

    def features(indices):
        w = session.samples.w(indices, latents)
        if psi is not None:
            w = session.generator.truncate(w, psi)
        images = session.samples.images(indices, w)
        return network(to_uint8(images)), images

    facts = {"network": network.hash, "latents": latents, "psi": psi}
    return session.sample_rows("features", network.dim, features, count, **facts)


def check_count(dataset, mirror, count):
    """ValueError if a data set has not as many images, or, mirrored, half as many, as asked for."""
    if count > dataset.num_images * (1 + mirror):
        raise ValueError(
            f"{dataset.folder} holds {dataset.num_images} images{' and their mirror images' * mirror}, "
            f"and {count} are to be compared; run_metrics.py --num-samples={dataset.num_images} compares fewer."
        )


def real_features(session, network, count):
    """Features of real images, which stay in the cache.

    Which images are taken, and which of them are mirrored, is the same for every seed and for every network. Mirrored
    data sets of fewer images than asked for, such as CelebA-HQ, show some of them again, the other way round.

    Args:
        session: Session.
        network: Feature network.
        count: Number of images, all of them different.

    Returns:
        Rows, [count, network.dim].
    """
    dataset = session.need_dataset()
    check_count(dataset, session.options.mirror, count)
    # RandomState, whose stream NumPy has promised never to change.
    order = np.random.RandomState(0).permutation(dataset.num_images)
    mirrored = np.random.RandomState(1).random_sample(dataset.num_images) >= 0.5
    on_devices = distributed(session.strategy, network)

    def read(indices):
        rounds, places = np.divmod(indices, dataset.num_images)
        images = dataset.read_images(session.generator.resolution, order[places])
        if session.options.mirror:
            flip = mirrored[places] ^ (rounds % 2 == 1)
            images[flip] = images[flip, :, ::-1]
        return images

    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = {}

        def compute(indices):
            images = ahead.pop(indices[0], None) or pool.submit(read, indices)
            ahead[indices[-1] + 1] = pool.submit(read, indices + len(indices))
            return on_devices(images.result())

        path = real_path(session, network)
        return fill_rows(path, count, network.dim, compute, session.batch, "features of real images")


def real_path(session, network):
    """File of the features of real images."""
    facts = {"images": session.dataset_hash, "network": network.hash, "mirror": session.options.mirror}
    return session.cache / "reals" / f"{session.dataset.name}-{digest(facts)[:16]}.f32"
