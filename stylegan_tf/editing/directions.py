"""Directions of latent space along which one thing in the image changes: of attributes, and found without labels."""

import zipfile
from typing import NamedTuple

import numpy as np
from filelock import FileLock

from dnnlib.files import acquired, atomic_file

# What run_metrics.py --metric=ls leaves beside its results: for each network the planes of its SVMs, by its hash.
FILE = "directions.npz"
PLANES = ("names", "normals", "intercepts", "accuracies")
# What an attribute's value is called that means that it is missing.
_WITHOUT = "=none"
# A direction that keeps less of its length than this is that of what is held.
_LEAST = 1e-3


class Directions(NamedTuple):
    """Directions in one latent space.

    Attributes:
        names: What they are called, a list.
        normals: float [N, size], of length 1.
        remarks: What is known of each, in a few words, a list.
    """

    names: list
    normals: np.ndarray
    remarks: list

    def find(self, name):
        """The direction called so, [size]; `glasses` is also the opposite of `glasses=none`.

        Raises:
            ValueError: There is none.
        """
        for called, sign in ((name, 1), (name + _WITHOUT, -1)):
            if called in self.names:
                return sign * self.normals[self.names.index(called)]
        raise ValueError(f"There is no direction {name}; --list names those that there are.")

    def joined(self, others):
        """These and others of the same space."""
        return Directions(
            self.names + others.names,
            np.concatenate([self.normals, others.normals]),
            self.remarks + others.remarks,
        )


def principal_components(w, count):
    """The directions in which w varies most, largest variance first.

    Args:
        w: Samples, [N, dlatent_size].
        count: How many directions.

    Returns:
        Directions, called pca-0, pca-1, ...

    Reference:
        Härkönen et al., 2020, "GANSpace: Discovering Interpretable GAN Controls".
    """
    variances, axes = _largest(np.cov(w, rowvar=False), count)
    shares = variances / np.var(w, axis=0, ddof=1).sum()
    return Directions(
        [f"pca-{i}" for i in range(len(axes))], axes, [f"{share:.1%} of w's variance" for share in shares]
    )


def closed_form(generator, layers, count):
    """The directions in which w changes the styles of some layers most, largest change first.

    The unit directions n that maximise |A n| are the eigenvectors of A'A, with A the weights of all affine maps from w
    to these layers' styles.

    Args:
        generator: A generator with styles.
        layers: Slice of its layers.
        count: How many directions.

    Returns:
        Directions, called sefa-0, sefa-1, ...

    Reference:
        Shen and Zhou, 2021, "Closed-Form Factorization of Latent Semantics in GANs", equation 5.
    """
    weights = np.concatenate(
        [
            np.asarray(dense.kernel) * dense.coefficient
            for layer in generator.synthesis.styles[layers]
            for dense in layer
        ],
        axis=1,
    ).astype(np.float64)
    values, axes = _largest(weights @ weights.T, count)
    shares = values / np.sum(weights**2)
    return Directions(
        [f"sefa-{i}" for i in range(len(axes))], axes, [f"{share:.1%} of the styles' change" for share in shares]
    )


def _largest(matrix, count):
    """The largest eigenvalues of a symmetric matrix, and their vectors, [count, size], turned to one of two signs."""
    values, vectors = np.linalg.eigh(matrix)
    values, axes = values[::-1][:count], vectors.T[::-1][:count]
    signs = np.sign(np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1))
    return values, axes * signs


def holding(normal, held):
    """The part of a direction along which other attributes do not change: orthogonal to their normals, of length 1.

    Args:
        normal: [size], of length 1.
        held: Normals, [N, size]; N may be 0.

    Raises:
        ValueError: There is no such part.

    Reference:
        Shen et al., 2020, "Interpreting the Latent Space of GANs for Semantic Face Editing" (conditional
        manipulation).
    """
    axes, _ = np.linalg.qr(np.asarray(held, np.float64).T) if len(held) else (np.zeros([len(normal), 0]), None)
    rest = normal - axes @ (axes.T @ normal)
    length = np.linalg.norm(rest)
    if length < _LEAST:
        raise ValueError("Nothing is left of the direction when all of those are held; hold fewer.")
    return rest / length


def write_planes(path, network_hash, planes):
    """Keeps the planes of a network's SVMs in a file, beside those of other networks and in place of its own.

    Args:
        path: Path of the .npz file.
        network_hash: See `files.identity.network_hash`.
        planes: {"z" or "w": {each of PLANES: array}}.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    with acquired(lock, f"writing {path}"):
        others = {} if not path.exists() else _read(path)
        kept = {key: array for key, array in others.items() if not key.startswith(f"{network_hash}/")}
        kept |= {
            f"{network_hash}/{space}/{name}": array for space, found in planes.items() for name, array in found.items()
        }
        with atomic_file(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **kept)


def has_planes(path, network_hash):
    """Whether a file has the planes of a network."""
    return path.exists() and f"{network_hash}/w/names" in _read(path)


def read_planes(path, network_hash, space):
    """The directions of the attributes that linear separability has told apart.

    Args:
        path: Path of the file, which need not be there.
        network_hash: See `files.identity.network_hash`.
        space: "z" or "w".

    Returns:
        Directions; None if they are not known.
    """
    if not has_planes(path, network_hash):
        return None
    arrays = _read(path)
    names, normals, _, accuracies = (arrays[f"{network_hash}/{space}/{name}"] for name in PLANES)
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    return Directions(names.tolist(), normals, [f"told by a plane in {accuracy:.1%}" for accuracy in accuracies])


def _read(path):
    try:
        with open(path, "rb") as file, np.load(file) as arrays:
            return dict(arrays)
    except (OSError, ValueError, zipfile.BadZipFile):
        raise ValueError(f"{path} is damaged; remove it, and measure again: run_metrics.py --metric=ls.") from None
