"""Whether a data set is what it should be, and whether two hold the same."""

import functools
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from datasets.errors import DatasetError
from datasets.manifest import check_files, check_numbers, find_manifests, load_manifest
from datasets.pool import thread_map
from datasets.pyramid import box_mean, num_levels, pyramid
from datasets.tfrecords import MultiResolutionDataset

_MAX_PROBLEMS = 20
# How far, on average over its pixels, a JPEG may be from the box mean of the largest level's JPEG: the errors of both
# grow with the step of their quantisation. The most that was met in levels of scikit-learn's two photographs, in those
# of noise and of saturated blocks, and what is allowed:
#     quality        95    90    85    75    50
#     photographs   4.1   7.5   9.2  11.4  16.3
#     others        5.2   9.4  14.4  25.7  45.1
#     allowed       7.0  12.0  17.0  27.0  52.0
# Another photograph is 84 away at the median.
_JPEG_ROUNDING, _JPEG_STEP = 2, 50
_UNKNOWN_QUALITY = 75


class Verification(NamedTuple):
    """What `verify` has found.

    Attributes:
        num_images: Number of images, 0 if the data set cannot be opened.
        problems: A line for each thing that is wrong; empty if the data set is good.
        notes: Lines about what is unusual, but not wrong.
    """

    num_images: int
    problems: list
    notes: list


def verify(folder, workers=None):
    """Checks the files against the manifest, the labels, every record, and every level against the largest one.

    Levels of raw and PNG images must be the box means of the largest one, exactly. Where all that differ are within
    rounding of the level above, it is a note: the largest files have been removed, from whose pixels the others were
    computed, or another program has rounded at each level. JPEGs must be near. Images with a damaged record are
    reported, and left out of this comparison.

    Args:
        folder: The data set.
        workers: Number of threads; the default is the number of cores.

    Returns:
        Verification.

    Raises:
        DatasetError: There is no such folder.
    """
    problems, notes = [], []
    try:
        dataset = MultiResolutionDataset(folder, max_label_size="full")
    except DatasetError as error:
        if not tf.io.gfile.isdir(folder):
            raise
        dataset = None
        problems.append(str(error))
        notes.append("As the data set cannot be opened, its records were not read.")
    quality = None
    manifests = find_manifests(folder)
    if not manifests:
        notes.append("There is no manifest, so the files cannot be compared with what was written.")
    for path in manifests:
        try:
            manifest = load_manifest(path)
        except DatasetError as error:
            problems.append(str(error))
            continue
        quality = manifest.get("quality")
        problems += check_files(folder, manifest, workers)
        if dataset:
            problems += check_numbers(path, manifest, dataset)
    if dataset:
        problems += _check_levels(dataset) + _check_labels(dataset)
        found = _check_images(dataset, quality, workers)
        problems, notes = problems + found.problems, notes + found.notes
    if len(problems) > _MAX_PROBLEMS:
        problems[_MAX_PROBLEMS:] = [f"... and {len(problems) - _MAX_PROBLEMS} more problems."]
    return Verification(dataset.num_images if dataset else 0, problems, notes)


def _check_levels(dataset):
    """Returns a line for each level that is missing."""
    sides = [4 << halvings for halvings in range(num_levels(dataset.resolution))]
    return [f"{dataset.folder} has no level of {side}x{side}." for side in sides if side not in dataset.resolutions]


def _check_labels(dataset):
    """Returns a line for each problem."""
    problems = []
    wrong = np.flatnonzero(~np.isfinite(dataset.labels).all(axis=1))
    if len(wrong):
        problems.append(
            f"{dataset.file('rxx.labels')} holds no finite numbers for {len(wrong)} images; the first is {wrong[0]}."
        )
    if len(dataset.label_names or dataset.labels.T) != dataset.label_size:
        problems.append(
            f"{dataset.file('labels.txt')} names {len(dataset.label_names)} of {dataset.label_size} label columns."
        )
    return problems


def _check_images(dataset, quality, workers):
    """Reads every record and compares every level with the largest one; returns a Verification."""
    jpeg = "jpeg" in {dataset.level(side).encoding for side in dataset.resolutions}
    limit = _jpeg_limit(quality) if jpeg else 0
    tallies = {side: _Tally() for side in dataset.resolutions[:-1]}
    damage = []
    batches = list(dataset.batches(dataset.resolution))
    results = thread_map(functools.partial(_check_batch, dataset, jpeg), batches, workers)
    with tqdm(desc=f"Verifying {dataset.folder}", total=dataset.num_images, unit="img", disable=None) as progress:
        for batch, (indices, lines, distances) in zip(batches, results, strict=True):
            damage += lines
            for side, tally in tallies.items():
                tally.add(indices, distances[side], distances[side] > limit)
            progress.update(len(batch))
    how = f"{{:.1f}} of 255 on average, where {limit:.1f} would be near" if jpeg else "up to {:.0f} of 255"
    problems = [
        f"{_path_of(dataset, side, tally.first)}: {tally.count} of {dataset.num_images} images of {side}x{side} are no "
        f"means of the larger ones; the first is image {tally.first}, the farthest is off by "
        f"{how.format(tally.farthest)}."
        for side, tally in tallies.items()
        if tally.farthest > 1
    ]
    rounded = ", ".join(f"{side}x{side}" for side, tally in tallies.items() if tally.farthest == 1)
    note = f"Images of {rounded} are within rounding of the level above, but not the means of the largest level."
    return Verification(dataset.num_images, problems + damage, [note] if rounded else [])


def _jpeg_limit(quality):
    """Returns how far a JPEG may be from the box mean of the largest one, on average; None is an unknown quality."""
    if not isinstance(quality, int) or not 1 <= quality <= 100:
        quality = _UNKNOWN_QUALITY
    # How libjpeg scales the quantisation steps.
    step = (100 - quality) / 50 if quality >= 50 else 50 / quality
    return _JPEG_ROUNDING + _JPEG_STEP * step


def _path_of(dataset, side, index):
    files = dataset.level(side).files
    return files[index % len(files)].path


class _Tally:
    """How many images of a level are concerned, the first of them, and the farthest."""

    def __init__(self):
        self.count, self.first, self.farthest = 0, None, 0.0

    def add(self, indices, distances, concerned):
        """Adds images of higher numbers; `concerned` says which of them count."""
        if not concerned.any():
            return
        if not self.count:
            self.first = indices[int(np.argmax(concerned))]
        self.count += int(concerned.sum())
        self.farthest = max(self.farthest, float(distances[concerned].max()))


def _check_batch(dataset, jpeg, indices):
    """Returns the indices whose records are all good, a line for each damaged record, and {side: distances [N]}."""
    damage = []
    try:
        levels = {side: dataset.read_images(side, indices) for side in dataset.resolutions}
    except DatasetError:
        found = {index: _find_damage(dataset, index) for index in indices}
        damage = [line for lines in found.values() for line in lines]
        indices = [index for index, lines in found.items() if not lines]
        levels = {side: dataset.read_images(side, indices) for side in dataset.resolutions}
    return indices, damage, _distances(levels, jpeg)


def _find_damage(dataset, index):
    """Returns a line for each damaged record of an image."""
    lines = []
    for side in dataset.resolutions:
        try:
            dataset.read_images(side, [index])
        except DatasetError as error:
            lines.append(str(error))
    return lines


def _distances(levels, jpeg):
    """Returns how far the images of each level are from what they should be, {side: float [N]}, except the largest.

    Of JPEGs, the mean distance from the box means of the largest level; else 0 where they are equal, and the largest
    distance from the level above, but at least 1, where they are not.

    Args:
        levels: {side: uint8 [N, R, R, C]}, ascending.
        jpeg: Whether a level holds JPEGs.
    """
    # [R, R, N, C]: the pyramid of a batch is that of one image with more channels.
    levels = {side: np.moveaxis(images, 0, 2) for side, images in levels.items()}
    expected = {len(images): images for images in pyramid(levels[max(levels)])}
    distances = {}
    for side in list(levels)[:-1]:
        if jpeg:
            distances[side] = _difference(levels[side], expected[side]).mean(axis=(0, 1, 3))
            continue
        distance = np.zeros(levels[side].shape[2])
        unequal = (levels[side] != expected[side]).any(axis=(0, 1, 3))
        if unequal.any():
            above = levels[min(larger for larger in levels if larger > side)][:, :, unequal]
            while len(above) > side:
                above = box_mean(above.astype(np.float32))
            difference = _difference(levels[side][:, :, unequal], np.rint(above).astype(np.uint8))
            distance[unequal] = np.maximum(1, difference.max(axis=(0, 1, 3)))
        distances[side] = distance
    return distances


def _difference(a, b):
    return np.abs(a.astype(np.int16) - b)


def compare(a, b, workers=None):
    """Compares the content of two data sets, image by image in file order, whatever their encoding and files.

    Args:
        a: Folder of a data set.
        b: Folder of another.
        workers: Number of threads; the default is the number of cores.

    Returns:
        A line for each difference; an empty list if there is none.

    Raises:
        DatasetError: One cannot be opened, or has a damaged record.
    """
    a, b = (MultiResolutionDataset(folder, max_label_size="full") for folder in (a, b))
    differences = [
        f"{title}: {getattr(a, attribute)} and {getattr(b, attribute)}."
        for title, attribute in _COMPARED.items()
        if getattr(a, attribute) != getattr(b, attribute)
    ]
    names = [dataset.label_names or list(map(str, range(dataset.label_size))) for dataset in (a, b)]
    if names[0] != names[1]:
        differences.append(f"Label names: {_shorten(names[0])} and {_shorten(names[1])}.")
    count = min(a.num_images, b.num_images)
    if a.label_size == b.label_size:
        unequal = np.flatnonzero((a.labels[:count] != b.labels[:count]).any(axis=1))
        if len(unequal):
            differences.append(f"Labels: {len(unequal)} of {count} images differ; the first is image {unequal[0]}.")
    if a.num_channels == b.num_channels:
        for side in sorted({*a.resolutions} & {*b.resolutions}):
            differences += _compare_level(a, b, side, count, workers)
    return differences


_COMPARED = {
    "Number of images": "num_images",
    "Resolutions": "resolutions",
    "Channels": "num_channels",
    "Label columns": "label_size",
}


def _shorten(names):
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") or "none"


def _compare_level(a, b, side, count, workers):
    tally, total = _Tally(), 0.0
    batches = [batch[: count - batch[0]] for batch in a.batches(side) if batch[0] < count]
    results = thread_map(functools.partial(_compare_batch, a, b, side), batches, workers)
    with tqdm(desc=f"Comparing {side}x{side}", total=count, unit="img", disable=None) as progress:
        for batch, (farthest, sums) in zip(batches, results, strict=True):
            tally.add(batch, farthest, farthest > 0)
            total += float(sums.sum())
            progress.update(len(batch))
    if not tally.count:
        return []
    mean = total / (count * np.prod(a.level(side).shape))
    return [
        f"{side}x{side}: {tally.count} of {count} images differ; the first is image {tally.first}. "
        f"They differ by up to {tally.farthest:.0f} of 255; the mean over all images is {mean:.3g}."
    ]


def _compare_batch(a, b, side, indices):
    """Returns the largest and the sum of the absolute differences of each image, [N]."""
    difference = _difference(a.read_images(side, indices), b.read_images(side, indices))
    return difference.max(axis=(1, 2, 3)), difference.sum(axis=(1, 2, 3))
