"""What a data set holds, shown: a description, its images as PNG files, a contact sheet."""

import functools
import json
import math
import os

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from datasets.errors import DatasetError
from datasets.manifest import find_manifests
from datasets.pool import thread_map
from datasets.pyramid import CHANNELS, encode
from datasets.summary import is_one_hot
from datasets.tfrecords import MultiResolutionDataset
from dnnlib.files import check_new_folder, check_room, describe_size, new_folder
from dnnlib.image_files import image_grid, read_text, save_image, straight

_MAX_LABEL_LINES = 20
_FOLDER_IMAGES = 1000
_SAMPLES = 8  # to estimate a file's size
_SHEET_WIDTH, _SHEET_HEIGHT, _SHEET_CELL = 1920, 1080, 128


def describe(folder):
    """Returns what a data set holds, as lines of text; DatasetError if it cannot be opened."""
    dataset = MultiResolutionDataset(folder, max_label_size="full")
    paths = [os.path.join(folder, name) for name in tf.io.gfile.listdir(folder)]
    total = sum(tf.io.gfile.stat(path).length for path in paths if not tf.io.gfile.isdir(path))
    lines = [
        f"{dataset.name}: {dataset.num_images:,} images of {dataset.resolution}x{dataset.resolution}, "
        f"{CHANNELS[dataset.num_channels]}",
        *(["squeezed from pictures of {}:{}".format(*dataset.aspect)] if dataset.aspect else []),
        *(_describe_level(dataset, side) for side in dataset.resolutions),
        *_describe_labels(dataset),
        f"on disk: {describe_size(total)}, with{'' if find_manifests(folder) else 'out a'} manifest",
    ]
    return "\n".join(lines)


def _describe_level(dataset, side):
    level = dataset.level(side)
    files = f"{len(level.files)} file{'s' if len(level.files) > 1 else ''}"
    return f"    {f'{side}x{side}':<10} {level.encoding:<5} {files:<10} {describe_size(level.num_bytes)}"


def _describe_labels(dataset):
    if not dataset.label_size:
        return ["labels: none"]
    names = dataset.label_names or [str(column) for column in range(dataset.label_size)]
    if is_one_hot(dataset.labels):
        kind, facts = "classes, images of each", [f"{count:,.0f}" for count in dataset.labels.sum(axis=0)]
    else:
        kind = "columns"
        facts = [f"{column.min():.4g} to {column.max():.4g}, mean {column.mean():.4g}" for column in dataset.labels.T]
    shown = list(zip(names, facts, strict=False))[:_MAX_LABEL_LINES]
    width = max(len(name) for name, _ in shown)
    lines = [f"labels: {dataset.label_size} {kind}", *(f"    {name:<{width}} {fact}" for name, fact in shown)]
    if dataset.label_size > len(shown):
        lines.append(f"    ... and {dataset.label_size - len(shown)} more")
    return lines


def extract(folder, out, resolution=None, max_images=None):
    """Writes images as PNG files OUT/00000/00000000.png, and labels as OUT/dataset.json.

    The JSON holds {"labels": [[file, label], ...]}, where the label is a class number if all are one-hot, or a list of
    numbers otherwise: what creating a data set from a folder of images reads. Names of labels are `label_names`.

    Args:
        folder: The data set.
        out: Folder to create.
        resolution: Side of the level; the default is the largest one.
        max_images: Take the first images only; None for all.

    Returns:
        The number of images.

    Raises:
        DatasetError: The data set cannot be opened, has no such level, or a record is damaged.
        OSError: `out` exists, cannot be created, or the disk is too small.
    """
    check_new_folder(out)
    dataset = MultiResolutionDataset(folder, resolution, max_label_size="full")
    count = min(dataset.num_images, max_images or dataset.num_images)
    names = [f"{index // _FOLDER_IMAGES:05d}/{index:08d}.png" for index in range(count)]
    check_room(out, count * _png_bytes(dataset))
    with new_folder(out) as partial:
        write = functools.partial(_write_png, dataset, partial, names)
        for _ in tqdm(thread_map(write, range(count)), desc=f"Writing {out}", total=count, unit="img", disable=None):
            pass
        if dataset.label_size:
            labels = {"labels": list(zip(names, _listed(dataset.labels[:count]), strict=True))}
            if dataset.label_names:
                labels["label_names"] = dataset.label_names
            (partial / "dataset.json").write_text(json.dumps(labels), encoding="utf-8")
    return count


def _png_bytes(dataset):
    """What an image takes as a PNG file, about: the mean of a few."""
    indices = range(0, dataset.num_images, math.ceil(dataset.num_images / _SAMPLES))
    images = dataset.read_images(dataset.resolution, indices)
    return sum(len(encode(image, "png")) for image in images) // len(images)


def _listed(labels):
    """Returns labels as they stand in a JSON file."""
    classes = labels.argmax(axis=1)
    # Whoever reads classes counts columns up to the highest one, unless most of them are empty.
    as_classes = is_one_hot(labels) and classes.max() + 1 == labels.shape[1] < 2 * len(np.unique(classes)) + 1
    return (classes if as_classes else labels).tolist()


def _write_png(dataset, folder, names, index):
    path = folder / names[index]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encode(straight(dataset.read_images(dataset.resolution, [index])[0]), "png"))


def preview(folder, path, resolution=None, columns=None, rows=None):
    """Writes a contact sheet, a PNG file, of the first images.

    Args:
        folder: The data set.
        path: File to write.
        resolution: Side of the level; the default is the largest up to 128.
        columns: Images in a row; by default as many as fit 1920 pixels.
        rows: Rows of images; by default as many as fit 1080 pixels.

    Returns:
        The number of images shown.

    Raises:
        DatasetError: The data set cannot be opened, has no such level, or a record is damaged.
    """
    if os.path.lexists(path) and "contact sheet" not in read_text(path):
        raise DatasetError(f"{path} is there, and is no contact sheet; remove it, or choose another --output.")
    dataset = MultiResolutionDataset(folder)
    if resolution is None:
        resolution = max(side for side in dataset.resolutions if side <= max(_SHEET_CELL, dataset.resolutions[0]))
    columns = columns or max(1, _SHEET_WIDTH // resolution)
    rows = rows or max(1, _SHEET_HEIGHT // resolution)
    images = dataset.read_images(resolution, range(min(columns * rows, dataset.num_images)))
    save_image(
        path, image_grid(straight(images), min(columns, len(images))), {"contact sheet": os.path.abspath(folder)}
    )
    return len(images)
