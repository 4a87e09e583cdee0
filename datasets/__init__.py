"""Data sets: the multi-resolution TFRecord format, its sources, and the training pipeline."""

import pathlib

import click

from datasets.digits import create_digits
from datasets.tfrecords import DatasetError, MultiResolutionDataset


def open_dataset(name, data_dir="data", resolution=None, max_label_size=0):
    """Opens `data_dir/name`; "digits" is created on first use.

    Args:
        name: Name of the data set, a folder in `data_dir`.
        data_dir: Where the data sets are.
        resolution: Side of the largest level to use; the default is the largest there is.
        max_label_size: 0 for no labels, "full" for all, n for the first n columns at most.

    Returns:
        MultiResolutionDataset.

    Raises:
        DatasetError: There is no such data set, or it cannot be used as it is.
    """
    folder = pathlib.Path(data_dir) / name
    if not folder.is_dir():
        if name != "digits":
            raise DatasetError(
                f"There is no data set {name!r} in {data_dir}; {_describe_existing(data_dir)}. Create it from a folder "
                f"of images with datasets.images.create_from_images({str(folder)!r}, 'FOLDER'), or use 'digits', which "
                "creates itself."
            )
        click.echo(f"Creating {folder} from scikit-learn's 1,797 handwritten digits, once.")
        create_digits(folder)
    return MultiResolutionDataset(folder, resolution, max_label_size)


def _describe_existing(data_dir):
    names = sorted({path.parent.name for path in pathlib.Path(data_dir).glob("*/*-r??.tfrecords")})
    names = [name for name in names if not name.endswith(".partial")]
    return f"there is {', '.join(map(repr, names))}" if names else "there is none"
