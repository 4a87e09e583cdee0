"""Data sets by name."""

import os
import shlex

import click
import tensorflow as tf

from datasets import avatars
from datasets.convert import create_dataset
from datasets.digits import digits
from datasets.errors import DatasetError
from datasets.records import is_url
from datasets.tfrecords import MultiResolutionDataset
from dnnlib.files import expand_home

# Data sets that come with the project: {name: (what they are, source, how it is stored)}.
EMBEDDED = {
    "digits": ("from scikit-learn's 1,797 handwritten digits", digits, {"workers": 1}),
    "avatars": (
        f"of {avatars.COUNT:,} avatars drawn by DiceBear, {avatars.STYLE}",
        avatars.avatars,
        {"shuffle": False},
    ),
}


def split_path(dataset, data_dir=None):
    """Tells a data set's name from the folder that it is in.

    Args:
        dataset: Name of a folder in `data_dir`, plain or plain/; or a path with a folder in it, or a URL, as
            /data/plain, ./plain, ~/sets/plain.
        data_dir: The folder of data sets, if one is given.

    Returns:
        (name, folder of data sets); the folder is `data_dir` where `dataset` is no more than a name.

    Raises:
        ValueError: `dataset` names nothing, or is a path beside a `data_dir`.
    """
    path = expand_home(dataset).rstrip("/")
    if "/" not in path and path not in ("", ".", ".."):
        return path, data_dir
    if is_url(path):
        folder, _, name = path.rpartition("/")
    else:
        path = os.path.normpath(path) if path else ""
        folder, name = os.path.split(os.path.abspath(path) if path in (".", "..") or path.endswith("/..") else path)
    if not name:
        raise ValueError(f"--dataset={dataset!r} names no data set; give its name or its folder.")
    if data_dir is not None:
        raise ValueError(
            f"--dataset={dataset} is a path, which says where the data set is, and so does --data-dir={data_dir}; give "
            f"--dataset={name}, or leave --data-dir out."
        )
    return name, folder or "."


def is_created(name, data_dir="data"):
    """Whether `open_dataset` would find the data set, without creating it; DatasetError if it is no folder."""
    path = os.path.join(data_dir, name)
    if tf.io.gfile.isdir(path):
        return True
    if tf.io.gfile.exists(path):
        raise DatasetError(
            f"{path} is a file, and a data set is a folder of .tfrecords files. Give one, or create it with "
            "python dataset_tool.py."
        )
    return False


def open_dataset(name, data_dir="data", resolution=None, max_label_size=0, max_images=None):
    """Opens `data_dir/name`; those of `EMBEDDED` are created on first use.

    Args:
        name: Name of the data set, a folder in `data_dir`.
        data_dir: Where the data sets are: a folder, or a URL that TensorFlow has a file system for.
        resolution: Side of the largest level to use; the default is the largest there is.
        max_label_size: 0 for no labels, "full" for all, n for the first n columns at most.
        max_images: Only the first so many images are used; None for all.

    Returns:
        MultiResolutionDataset.

    Raises:
        DatasetError: There is no such data set, or it cannot be used as it is.
    """
    folder = os.path.join(data_dir, name)
    if not is_created(name, data_dir):
        if name not in EMBEDDED:
            raise DatasetError(
                f"There is no data set {name!r} in {data_dir}; {_describe_existing(data_dir)}. Create it from a folder "
                f"of images with python dataset_tool.py create-from-images {shlex.quote(folder)} SOURCE, or use "
                f"{' or '.join(map(repr, EMBEDDED))}, which creates itself."
            )
        what, source, options = EMBEDDED[name]
        click.echo(f"Creating {folder} {what}, once.")
        create_dataset(folder, source(), **options)
    return MultiResolutionDataset(folder, resolution, max_label_size, max_images)


def _describe_existing(data_dir):
    paths = tf.io.gfile.glob(os.path.join(data_dir, "*", "*-r??*.tfrecords"))
    names = sorted({os.path.basename(os.path.dirname(path)) for path in paths})
    names = [name for name in names if not name.endswith(".partial")]
    return f"there is {', '.join(map(repr, names))}" if names else "there is none"
