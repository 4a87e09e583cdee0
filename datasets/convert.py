"""From a source of images to a data set: decoded and reduced on all cores, written in order."""

import contextlib
import functools
import itertools
import math
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from datasets.errors import DatasetError
from datasets.naming import stored_names
from datasets.pool import num_cores, process_map
from datasets.pyramid import check_image_shape, num_levels
from datasets.records import RECORD_OVERHEAD
from datasets.source import encode_images
from datasets.writer import MultiResolutionWriter, check_shards, shuffled_order
from dnnlib.files import check_new_folder, check_room

# What one task of a worker returns, about; it bounds memory, and is large enough for the transfer not to count.
_TASK_BYTES = 2**22
_MAX_TASK_IMAGES = 256
# Images that are encoded to estimate the size of a data set of PNG or JPEG files, and the margin on top.
_SAMPLES = 8
_MARGIN = 1.1


class Plan(NamedTuple):
    """What a data set will be.

    Attributes:
        order: Numbers of the source's images in the order in which they are stored, int64 [num_images].
        shape: Shape of the images, (H, W, C).
        labels: float32 [num_images, label_size] in the same order, or None.
        label_names: What their columns mean, as it is stored, or None.
        num_bytes: What it will take of the disk, about; exact to a percent for raw pixels.
    """

    order: np.ndarray
    shape: tuple
    labels: np.ndarray | None
    label_names: list | None
    num_bytes: int


class Created(NamedTuple):
    """What `create_dataset` has made.

    Attributes:
        num_images: Number of images.
        skipped: (name, reason) of each that was skipped.
        labels, label_names: Labels of the images, float32 [num_images, label_size], and what they mean, or None.
    """

    num_images: int
    skipped: list
    labels: np.ndarray | None
    label_names: list | None


def plan_dataset(out, source, *, shuffle=True, max_images=None, encoding="raw", quality=95, shards=1, on_error="stop"):
    """Looks at a source without writing anything; arguments and errors are those of `create_dataset`.

    Returns:
        Plan.
    """
    check_new_folder(out)
    count = min(source.num_images, max_images or source.num_images)
    order = shuffled_order(count) if shuffle else np.arange(count)
    check_shards(shards, count)
    labels = _ordered_labels(source, order)
    names = None if source.label_names is None else stored_names(source.label_names, "The source")
    shape = _first_shape(source, order, on_error)
    num_bytes = _estimate_bytes(source, order, shape, encoding, quality)
    check_room(out, num_bytes, "choose another disk, or use --encoding=png or jpeg, which take less")
    return Plan(order, shape, labels, names, num_bytes)


def create_dataset(out, source, *, shards=1, workers=None, encoding="raw", quality=95, on_error="stop", **options):
    """Creates the data set `out` from a source.

    Memory does not grow with the number of images, but for what the source itself holds: each worker has one image and
    the results of its task in hand, about 4 MiB or one image with its levels, and twice as many results as there are
    workers wait at most.

    Args:
        out: Folder to create.
        source: Source.
        shards: Files that each level is spread over.
        workers: Worker processes; the default is the number of cores.
        encoding: "raw", "png" or "jpeg".
        quality: Quality of JPEGs.
        on_error: "stop" at the first image that cannot be used, or "skip" it and list it in `NAME-skipped.txt`.
        options: `shuffle`: store the images in the reference's shuffled order (the default) instead of the source's;
            `max_images`: take the first images of the source only, None for all.

    Returns:
        Created.

    Raises:
        DatasetError: An image cannot be used, or labels do not fit.
        FileExistsError: `out` exists, or the remains of a killed run do.
        OSError: The disk is too small.
    """
    plan = plan_dataset(out, source, encoding=encoding, quality=quality, shards=shards, on_error=on_error, **options)
    task_images = max(1, min(_MAX_TASK_IMAGES, _TASK_BYTES // int(math.prod(plan.shape) * 4 / 3)))
    parts = (plan.order[start : start + task_images].tolist() for start in range(0, len(plan.order), task_images))
    tasks = ([source.fetch(index) for index in part] for part in parts)
    work = functools.partial(encode_images, source.decode, plan.shape, encoding, quality)
    workers = min(workers or num_cores(), math.ceil(len(plan.order) / task_images))
    skipped, kept = [], []
    with (
        MultiResolutionWriter(out, encoding=encoding, quality=quality, shards=shards) as writer,
        contextlib.closing(process_map(work, tasks, workers)) as results,
    ):
        images = itertools.chain.from_iterable(results)
        progress = tqdm(images, desc=f"Writing {out}", total=len(plan.order), unit="img", disable=None, smoothing=0.1)
        for place, result in enumerate(progress):
            name = source.name(int(plan.order[place]))
            if not isinstance(result, DatasetError):
                writer.add_levels(plan.shape, result)
                kept.append(place)
            elif on_error == "skip":
                skipped.append((name, str(result)))
            else:
                raise DatasetError(f"{name}: {result}")
        labels = None if plan.labels is None else plan.labels[kept]
        if labels is not None:
            writer.set_labels(labels, plan.label_names)
        for suffix, text in source.files.items():
            writer.add_file(suffix, text)
        if skipped:
            writer.add_file("skipped.txt", "".join(f"{name}\t{reason}\n" for name, reason in skipped))
    return Created(len(kept), skipped, labels, plan.label_names)


def _ordered_labels(source, order):
    if source.labels is None:
        return None
    labels = np.asarray(source.labels, np.float32)
    if labels.ndim != 2 or len(labels) != source.num_images:
        raise DatasetError(
            f"There are labels of shape {list(labels.shape)} for {source.num_images} images; "
            f"they must be [{source.num_images}, label_size]. Correct the labels."
        )
    labels = labels[order]
    wrong = np.flatnonzero(~np.isfinite(labels).all(axis=1))
    if len(wrong):
        raise DatasetError(
            f"{source.name(int(order[wrong[0]]))}: its labels are not finite numbers, nor are those of "
            f"{len(wrong) - 1:,} other images. Correct the labels."
        )
    return labels


def _first_shape(source, order, on_error):
    """The shape of the first image that can be used, which all others must have."""
    error = DatasetError("The source holds no images. Give another one.")
    for index in order.tolist():
        try:
            image = source.decode(source.fetch(index))
            check_image_shape(image.shape)
            return image.shape
        except DatasetError as reason:
            error = DatasetError(f"{source.name(index)}: {reason}")
            if on_error == "stop":
                break
    raise error


def raw_bytes(side, channels):
    """What an image takes of the disk in all levels together, as raw pixels."""
    return sum(channels * (side >> halvings) ** 2 + RECORD_OVERHEAD for halvings in range(num_levels(side)))


def _estimate_bytes(source, order, shape, encoding, quality):
    """What the data set will take of the disk: computed for raw pixels, told from a few images for others."""
    side, _, channels = shape
    if encoding == "raw":
        return len(order) * raw_bytes(side, channels)
    samples = order[:: max(1, len(order) // _SAMPLES)][:_SAMPLES].tolist()
    results = encode_images(source.decode, shape, encoding, quality, [source.fetch(index) for index in samples])
    sizes = [sum(map(len, levels)) for levels in results if not isinstance(levels, DatasetError)]
    return math.ceil(len(order) * (_MARGIN * np.mean(sizes or [0]) + num_levels(side) * RECORD_OVERHEAD))
