"""Source: the HDF5 files of Progressive GAN, which hold every resolution of a data set; the largest is read.

Images are read from the file one by one, as they are needed. This needs the package h5py.

Reference:
    Karras et al., 2017, "Progressive Growing of GANs for Improved Quality, Stability, and Variation".
"""

import pathlib

import numpy as np

from datasets.errors import DatasetError
from datasets.source import Source
from dnnlib.optional import import_optional


def from_hdf5(path):
    """Returns the Source of an HDF5 file with datasets `data4x4`, `data8x8`, ..., uint8 [N, C, H, W].

    Labels, numbers [N, L], come from the file `NAME-labels.npy` or `NAME-Labels.npy` beside `NAME.h5`, if there is one.

    Args:
        path: The HDF5 file.

    Raises:
        DatasetError: A file is missing, damaged or something else, labels do not match, or h5py is not installed.
    """
    path = pathlib.Path(path)
    images = _largest(path)
    labels_path, labels = _read_labels(path, len(images))
    # An open dataset keeps its file open.
    return Source(
        num_images=len(images),
        name=lambda index: f"{path}, {images.name.lstrip('/')}, image {index}",
        fetch=lambda index: _fetch(images, index),
        decode=_decode,
        labels=labels,
        origin=f"from {labels_path}" if labels_path else "there is no NAME-labels.npy",
    )


def _fetch(images, index):
    """Returns an image, uint8 [C, H, W], or the error for `_decode` to raise, where images that fail are handled."""
    try:
        return images[index]
    except OSError as error:
        return DatasetError(f"it cannot be read ({_one_line(error)}). Copy or download the file again.")


def _decode(planes):
    if isinstance(planes, DatasetError):
        raise planes
    return planes.transpose(1, 2, 0)


def _largest(path):
    """Returns the h5py.Dataset of the largest images in a file."""
    h5py = import_optional("h5py", "Reading HDF5 files", "data")
    if not path.is_file():
        raise DatasetError(f"{path} is not a file. Give an HDF5 file in Progressive GAN's format.")
    try:
        file = h5py.File(path, "r")
        levels = [file[name] for name in file if name.startswith("data")]
    except (OSError, KeyError, RuntimeError) as error:
        raise DatasetError(f"{path} cannot be read as HDF5 ({_one_line(error)}). Copy or download it again.") from error
    levels = [level for level in levels if isinstance(level, h5py.Dataset)]
    if not levels:
        raise DatasetError(
            f"{path} holds no datasets data4x4, data8x8, ... Give an HDF5 file in Progressive GAN's format."
        )
    for level in levels:
        if level.ndim != 4 or level.dtype != np.uint8:
            raise DatasetError(
                f"{path} holds {level.name.lstrip('/')} as {level.dtype} {list(level.shape)}; it must be uint8 "
                "[N, C, H, W]. Give an HDF5 file in Progressive GAN's format."
            )
    return max(levels, key=lambda level: level.shape[-1])


def _read_labels(path, count):
    """Returns the path of the labels beside an HDF5 file, and them, [N, L]; or None twice."""
    candidates = [path.with_name(f"{path.stem}-{word}.npy") for word in ("labels", "Labels")]
    labels_path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if labels_path is None:
        return None, None
    try:
        labels = np.load(labels_path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(
            f"{labels_path} cannot be read as a NumPy file of numbers ({_one_line(error)}). Repair or remove it."
        ) from error
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "biuf" or labels.ndim != 2:
        raise DatasetError(f"{labels_path} holds no numbers [N, label_size]. Correct or remove it.")
    if len(labels) != count:
        raise DatasetError(
            f"{labels_path} holds labels of {len(labels)} images, but {path} {count} images. Correct or remove it."
        )
    return labels_path, labels


def _one_line(error):
    return " ".join(str(error).split())
