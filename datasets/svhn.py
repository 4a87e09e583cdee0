"""Source: SVHN, the Street View House Numbers, format 2 (cropped digits): 73,257 training images.

The images are kept in memory once, 225 MB. Reading the file needs the package scipy.

Reference:
    Netzer et al., 2011, "Reading Digits in Natural Images with Unsupervised Feature Learning";
    http://ufldl.stanford.edu/housenumbers/.
"""

import pathlib

import numpy as np

from datasets.errors import DatasetError
from datasets.source import Source
from dnnlib.optional import import_optional

_PAGE = "http://ufldl.stanford.edu/housenumbers/"


def svhn(path):
    """Returns the Source of SVHN's cropped digits: 32x32x3, with one-hot labels, float32 [N, 10]; column d is digit d.

    Args:
        path: Folder of `train_32x32.mat`, or one of the published files, such as `extra_32x32.mat`.

    Raises:
        DatasetError: The file is missing, damaged or something else, or scipy is not installed.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        path = path / "train_32x32.mat"
    if not path.is_file():
        raise DatasetError(f"There is no file {path}. Download train_32x32.mat from {_PAGE} and give its folder.")
    images, classes = _read(path)
    return Source(
        num_images=images.shape[-1],
        name=lambda index: f"{path}, image {index}",
        fetch=lambda index: images[..., index],
        decode=_decode,
        # The class of the digit 0 is 10.
        labels=np.eye(10, dtype=np.float32)[classes % 10],
        label_names=[str(digit) for digit in range(10)],
        origin=f"from {path}",
    )


def _decode(image):
    """The file holds what is needed: uint8 [32, 32, 3]."""
    return image


def _read(path):
    """Returns the images, uint8 [32, 32, 3, N], and their classes, integers [N] from 1 to 10."""
    scipy_io = import_optional("scipy.io", "Reading SVHN's .mat files", "data")
    try:
        contents = scipy_io.loadmat(path, variable_names=("X", "y"))
    except Exception as error:  # scipy's reader raises errors of many kinds for files that are cut or damaged
        reason = " ".join(str(error).split())
        raise DatasetError(
            f"{path} cannot be read as a .mat file ({reason}). Download it again from {_PAGE}."
        ) from error
    images, classes = (np.asarray(contents.get(key)) for key in ("X", "y"))
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[:3] != (32, 32, 3) or not images.size:
        raise DatasetError(
            f"{path} holds no images 'X', uint8 [32, 32, 3, N], as SVHN's cropped digits (format 2) do. "
            f"Download it from {_PAGE}."
        )
    if classes.size != images.shape[-1]:
        raise DatasetError(
            f"{path} holds {images.shape[-1]} images 'X', but {classes.size} labels 'y'. "
            f"Download it again from {_PAGE}."
        )
    if not np.isin(classes, range(1, 11)).all():
        raise DatasetError(f"{path} holds labels 'y' other than 1 to 10. Download it again from {_PAGE}.")
    return images, classes.ravel().astype(int)
