"""The same data set in another number of files."""

import contextlib
import os
import re

import tensorflow as tf
from tqdm import tqdm

from datasets.errors import DatasetError
from datasets.manifest import find_manifests, load_manifest
from datasets.pyramid import num_levels
from datasets.records import open_file, parse, read_record
from datasets.tfrecords import MultiResolutionDataset
from datasets.writer import MultiResolutionWriter, check_shards
from dnnlib.files import check_new_folder, check_room

# What the writer makes itself.
_WRITTEN = re.compile(r"-(r\d\d.*\.(tfrecords|index)|rxx\.labels|labels\.txt|manifest\.json)")


def reshard(folder, out, shards):
    """Writes the data set `out`: the images of another, as they are encoded, in `shards` files a level.

    Args:
        folder: The data set.
        out: Folder to create.
        shards: Files that each level is spread over; 1 joins them.

    Returns:
        The number of images.

    Raises:
        DatasetError: The data set cannot be opened, a record is damaged, a level is missing or encoded differently.
        FileExistsError: `out` exists.
    """
    dataset = MultiResolutionDataset(folder, max_label_size="full")
    check_shards(shards, dataset.num_images)
    levels = [dataset.level(side) for side in dataset.resolutions]
    encodings = sorted({level.encoding for level in levels})
    if len(encodings) > 1:
        raise DatasetError(f"{folder} has levels of {' and '.join(encodings)}; they must be alike. Create it again.")
    if len(levels) != num_levels(dataset.resolution):
        sides = ", ".join(map(str, dataset.resolutions))
        raise DatasetError(f"{folder} has levels of {sides} only. Copy the missing ones, or create it again.")
    check_new_folder(out)
    check_room(out, sum(level.num_bytes for level in levels))
    qualities = [load_manifest(path).get("quality") for path in find_manifests(folder)]
    with (
        MultiResolutionWriter(out, encodings[0], qualities[0] if qualities else None, shards) as writer,
        contextlib.ExitStack() as stack,
    ):
        readers = [[stack.enter_context(open_file(file.path)) for file in level.files] for level in levels]
        for index in tqdm(range(dataset.num_images), desc=f"Writing {out}", unit="img", disable=None):
            data = [_read(level, files, index) for level, files in zip(levels, readers, strict=True)]
            writer.add_levels(tuple(levels[-1].shape), data)
        if dataset.label_size:
            writer.set_labels(dataset.labels, dataset.label_names)
        for name in tf.io.gfile.listdir(dataset.folder):
            suffix = name.removeprefix(dataset.name)
            if name.startswith(f"{dataset.name}-") and not _WRITTEN.fullmatch(suffix):
                copy = writer.partial / f"{writer.folder.name}{suffix}"
                tf.io.gfile.copy(os.path.join(dataset.folder, name), str(copy))
    return dataset.num_images


def _read(level, files, index):
    """Returns the bytes of an image, as they are in its record."""
    number, shard = divmod(index, len(files))
    file = level.files[shard]
    record = read_record(files[shard], *file.place(number))
    example = parse(record) if record is not None else None
    if example is None or (example[0], example[2]) != (level.shape, level.encoding):
        raise DatasetError(f"{file.path} is damaged at record {number}. Create or copy the file again.")
    return example[1]
