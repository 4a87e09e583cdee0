"""The networks that metrics look at images with, opened for a session; those of small data sets are trained."""

from functools import partial
from pathlib import Path

import click

from metrics.attribute_classifier import (
    MAX_RESOLUTION,
    TrunkFeatures,
    classifiers_folder,
    feature_maps,
    find_classifiers,
    has_classifiers,
    load_classifiers,
)
from metrics.classifier_training import RECIPES, settings_of, train_classifiers
from stylegan_tf.editing.distances import FeatureDistance
from stylegan_tf.perception import weights
from stylegan_tf.perception.inception import Inception
from stylegan_tf.perception.lpips import LPIPS
from stylegan_tf.recipes.presets import split_size
from stylegan_tf.runtime.replicas import count_gpus_of

# Data sets without labels, and whose classifiers see in them what is asked (paper, section 4.2).
_CLASSIFIED_BY = {"ffhq": "celebahq"}


def files_of(network, options):
    """The published files that `inception` or `lpips` is opened from: [(RemoteFile, the user's copy or None)]."""
    if network is inception:
        return [(weights.INCEPTION, options.inception)]
    if network is lpips:
        return [(weights.VGG16, options.vgg16), (weights.LPIPS, options.lpips)]
    return []


def inception(session):
    """Inception of FID, KID, precision and recall."""
    ((file, path),) = files_of(inception, session.options)
    return Inception(weights.obtain(file, session.cache, path))


def lpips(session):
    """The perceptual distance of path lengths."""
    paths = [weights.obtain(file, session.cache, path) for file, path in files_of(lpips, session.options)]
    with session.strategy.scope():
        return LPIPS(*paths)


def classifiers(session):
    """The attribute classifiers of linear separability, one network each."""
    return open_classifiers(session, shared_trunk=False)


def trunk(session):
    """Features of the classifier that tells all attributes at once."""
    return TrunkFeatures(open_classifiers(session, shared_trunk=True))


class TrunkDistance:
    """How far apart two batches of images are by what a shared trunk sees in them, at all its resolutions.

    Args:
        classifiers: `AttributeClassifiers` of a shared trunk.

    Attributes:
        hash: SHA-256 of what it computes with, hexadecimal.
    """

    def __init__(self, classifiers):
        (network,) = classifiers.networks
        self.hash = classifiers.hash
        self.distance = FeatureDistance("classifier", partial(feature_maps, network))

    def __call__(self, images_a, images_b):
        """Distances, float [N], of images in [0, 255], float [N, R, R, C]."""
        return self.distance.between(*map(self.distance.features, (images_a, images_b)))


def trunk_distance(session):
    """The distance of path lengths where it is not LPIPS, that of the classifier that tells all attributes at once."""
    return TrunkDistance(open_classifiers(session, shared_trunk=True))


def classifier_distance(folder, generator):
    """How far apart images like a generator's are by what classifiers see in them.

    Args:
        folder: Folder of classifiers; the one of all attributes is taken, if there is one, else all of them.
        generator: A generator.

    Raises:
        ValueError: See `load_classifiers`.
    """
    one_each = not has_classifiers(folder, shared_trunk=True) and has_classifiers(folder)
    resolution = min(generator.resolution, MAX_RESOLUTION)
    opened = load_classifiers(folder, resolution, generator.num_channels, shared_trunk=not one_each).networks
    return FeatureDistance("classifier", lambda images: [x for net in opened for x in feature_maps(net, images)])


def classifiers_of(session, shared_trunk, report=None):
    """The folder of the classifiers that the options name, or else of those of the session's data set, which are
    trained if they are not there and it is one of `RECIPES`; for `report` see `train_small_classifiers`."""
    if session.options.classifiers is not None:
        return Path(session.options.classifiers)
    folder = folder_for(session.need_dataset(), session.options)
    if session.dataset.name in RECIPES and not has_classifiers(folder, shared_trunk):
        train_small_classifiers(session, folder, shared_trunk, report)
    return folder


def folder_for(dataset, options):
    """Where the classifiers of a data set are kept, or those of the one whose are taken for it."""
    name, _ = split_size(dataset.name)
    return classifiers_folder(options.cache_dir, _CLASSIFIED_BY.get(name, dataset.name))


def check_classifiers(network, dataset, options):
    """ValueError if `network` is one of BY_CLASSIFIERS, and those that it would open for a data set are missing."""
    trained_here = options.classifiers is None and dataset.name in RECIPES
    if network in BY_CLASSIFIERS and not trained_here:
        folder = options.classifiers or folder_for(dataset, options)
        side = min(dataset.resolution, MAX_RESOLUTION)
        find_classifiers(folder, side, dataset.num_channels, shared_trunk=network is not classifiers)


def open_classifiers(session, shared_trunk):
    """The classifiers that the options name, or those of the session's data set.

    Raises:
        ValueError: There are none, and it is not one of `RECIPES`, whose classifiers are trained here within minutes.
    """
    folder = classifiers_of(session, shared_trunk)
    resolution = min(session.generator.resolution, MAX_RESOLUTION)
    with session.strategy.scope():
        return load_classifiers(folder, resolution, session.generator.num_channels, shared_trunk)


def train_small_classifiers(session, folder, shared_trunk, report=None):
    """Trains what is missing of the classifiers of a small data set, and says so.

    Args:
        session: Session.
        folder: Folder of the classifiers.
        shared_trunk: See `train_classifiers`.
        report: Function of what is done, in a few words, and which share of it is; what it raises ends the training.
    """
    name = session.dataset.name
    what = f"one classifier of all labels of {name}" if shared_trunk else f"the classifiers of {name}"
    click.echo(f"There are no classifiers in {folder}: training {what}, once.", err=True)
    settings = settings_of(name, shared_trunk)
    num_gpus = count_gpus_of(session.generator)
    progress = report and partial(report, f"Training {what}, once")
    train_classifiers(session.labelled_dataset, folder, settings, None, num_gpus, shared_trunk, progress)


# What opens classifiers of the data set.
BY_CLASSIFIERS = (classifiers, trunk, trunk_distance)
