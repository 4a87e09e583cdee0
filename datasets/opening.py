"""Data sets by name."""

import os

import click
import tensorflow as tf

from datasets.convert import create_dataset
from datasets.digits import digits
from datasets.errors import DatasetError
from datasets.tfrecords import MultiResolutionDataset


def open_dataset(name, data_dir="data", resolution=None, max_label_size=0, max_images=None):
    """Opens `data_dir/name`; "digits" is created on first use.

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
    if not tf.io.gfile.isdir(folder):
        if name != "digits":
            raise DatasetError(
                f"There is no data set {name!r} in {data_dir}; {_describe_existing(data_dir)}. Create it from a folder "
                f"of images with python dataset_tool.py create-from-images {folder} SOURCE, or use 'digits', which "
                "creates itself."
            )
        click.echo(f"Creating {folder} from scikit-learn's 1,797 handwritten digits, once.")
        create_dataset(folder, digits(), workers=1)
    return MultiResolutionDataset(folder, resolution, max_label_size, max_images)


def _describe_existing(data_dir):
    paths = tf.io.gfile.glob(os.path.join(data_dir, "*", "*-r??*.tfrecords"))
    names = sorted({os.path.basename(os.path.dirname(path)) for path in paths})
    names = [name for name in names if not name.endswith(".partial")]
    return f"there is {', '.join(map(repr, names))}" if names else "there is none"
