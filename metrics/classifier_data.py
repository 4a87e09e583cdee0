"""What attribute classifiers learn from: the images of a labelled data set, and which of its attributes each has."""

import math
from typing import NamedTuple
from unicodedata import normalize

import numpy as np

from datasets.pipeline import epoch_order
from datasets.summary import is_one_hot
from metrics.attribute_classifier import MAX_RESOLUTION, TRUNK, file_name

_HELD_OUT_SEED, _HELD_OUT_PARTS = 0, 10
# A level that is no larger is kept in memory.
_KEEP_BYTES = 2**30
# Small minibatches are read together until they have this size or number.
_READ_BYTES, _READ_MINIBATCHES = 2**21, 64


class Job(NamedTuple):
    """A network to be trained.

    Attributes:
        file: Its files' name.
        attributes: The attributes of its outputs, or the values of its factor, FACTOR=VALUE.
        columns: Their label columns.
        factor: Name of the factor whose values it tells apart; None for attributes.
    """

    file: str
    attributes: list[str]
    columns: list[int]
    factor: str | None = None


def make_jobs(dataset, attributes=None, shared_trunk=False):
    """The networks that classify some attributes, a list of Job.

    Args:
        dataset: MultiResolutionDataset with labels; an attribute is present where its column is above 0.5.
        attributes: Names, of factors where the data set has these; None for all.
        shared_trunk: Whether one network classifies all of them.

    Raises:
        ValueError: There is no such attribute, or all images to train on are alike in it.
    """
    names = attribute_names(dataset)
    factors = factors_of(names, dataset.labels > 0.5)
    columns_of = factors or {name: [column] for column, name in enumerate(names)}
    # Unicode writes letters with accents in two ways, and keyboards differ in it: either will do.
    written = {normalize("NFC", name): name for name in columns_of}
    chosen = [written.get(normalize("NFC", name), name) for name in attributes or columns_of]
    if unknown := [name for name in chosen if name not in columns_of]:
        raise ValueError(f"{dataset.folder} has no attribute {unknown[0]!r}; it has {', '.join(columns_of)}.")
    columns = sorted({column for name in chosen for column in columns_of[name]})
    trained, _ = split(dataset.num_images)
    present = dataset.labels[trained] > 0.5
    for name in chosen if factors else ():
        if present[:, factors[name]].any(axis=0).sum() < 2:
            raise ValueError(
                f"The images of {dataset.folder} to train on all have the same {name}, and a classifier needs two "
                "values; choose others with --attributes."
            )
    for column in () if factors else columns:
        if len(np.unique(present[:, column])) < 2:
            raise ValueError(
                f"The images of {dataset.folder} to train on are all alike in attribute {names[column]!r}, and a "
                "classifier needs two classes; choose others with --attributes."
            )
    if shared_trunk:
        return [Job(TRUNK, [names[column] for column in columns], columns)]
    if factors:
        chosen = [factor for factor in factors if factor in chosen]
        return [
            Job(file_name(factor), [names[column] for column in factors[factor]], factors[factor], factor)
            for factor in chosen
        ]
    return [Job(file_name(names[column]), [names[column]], [column]) for column in columns]


def factors_of(names, present):
    """Label columns by what they are values of, {factor: columns}; None if not all are values of a factor.

    They are where all names are FACTOR=VALUE, and each image has one value of each factor.

    Args:
        names: Names of the columns.
        present: bool [N, label_size].
    """
    factors = {}
    for column, name in enumerate(names):
        factors.setdefault(name.partition("=")[0], []).append(column)
    known = all("=" in name for name in names) and all(is_one_hot(present[:, columns]) for columns in factors.values())
    return factors if known else None


def attribute_names(dataset):
    """Names of the label columns, a list; attribute-00, ... where they have none.

    Raises:
        ValueError: The data set has no labels, or names that do not fit them.
    """
    if not dataset.label_size:
        raise ValueError(
            f"{dataset.folder} has no labels for classifiers to learn from; create it again from a source with labels."
        )
    names = dataset.label_names or [f"attribute-{column:02d}" for column in range(dataset.label_size)]
    if len(names) != dataset.label_size or len({*names} - {""}) != dataset.label_size:
        raise ValueError(
            f"{dataset.file('labels.txt')} must give each of the {dataset.label_size} label columns a name of its own; "
            "correct it, or remove it for numbers."
        )
    return names


def split(num_images):
    """Indices of the images to train on, and of the tenth held out: the same for all attributes and settings."""
    order = epoch_order(num_images, num_images, _HELD_OUT_SEED, epoch=0)
    held_out = -(-num_images // _HELD_OUT_PARTS)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


class LabelledImages:
    """The images of a data set at the classifiers' resolution, and which attributes each has.

    Args:
        dataset: MultiResolutionDataset with labels.

    Attributes:
        shape: Shape of an image, a tuple.
        resolution: Its side.
        present: Whether image i has the attribute of column j, bool [num_images, label_size].
        trained, held_out: Indices of images, see `split`.

    Raises:
        DatasetError: The data set has no level of this resolution.
    """

    def __init__(self, dataset):
        self.dataset = dataset
        self.resolution = min(dataset.resolution, MAX_RESOLUTION)
        self.shape = tuple(dataset.level(self.resolution).shape)
        self.present = dataset.labels > 0.5
        self.trained, self.held_out = split(dataset.num_images)
        self.kept = dataset.num_images * math.prod(self.shape) <= _KEEP_BYTES

    def read(self, indices):
        """uint8 [N, R, R, C]; DatasetError if a record is damaged."""
        if self.kept:
            return self.dataset.keep_level(self.resolution)[indices]
        return self.dataset.read_images(self.resolution, indices)

    def parts(self, indices, minibatch):
        """Splits indices, [N], into arrays of as many minibatches as are read at a time, the last one shorter."""
        minibatches = min(_READ_MINIBATCHES, max(1, _READ_BYTES // (minibatch * math.prod(self.shape))))
        size = minibatches * minibatch
        return [indices[start : start + size] for start in range(0, len(indices), size)]


def training_parts(images, columns, settings, random):
    """Yields (images, present), uint8 [K, minibatch, R, R, C] and bool [K, minibatch, columns], for one training.

    Args:
        images: LabelledImages, of which every one to train on comes once an epoch.
        columns: Columns of the labels.
        settings: ClassifierSettings.
        random: numpy.random.RandomState.
    """
    total = images_seen(settings)
    epochs = -(-total // len(images.trained))
    order = np.concatenate([random.permutation(images.trained) for _ in range(epochs)])[:total]
    for indices in images.parts(order, settings.minibatch):
        part = images.read(indices)
        if settings.mirror:
            mirror = random.random_sample(len(part)) < 0.5
            part[mirror] = part[mirror, :, ::-1]
        present = images.present[indices][:, columns]
        yield part.reshape(-1, settings.minibatch, *images.shape), present.reshape(-1, settings.minibatch, len(columns))


def images_seen(settings):
    """Images that a network is trained on: whole minibatches."""
    return math.ceil(settings.total_kimg * 1000 / settings.minibatch) * settings.minibatch
