"""Source: Flickr-Faces-HQ, 70,000 faces as PNG files, https://github.com/NVlabs/ffhq-dataset."""

import functools
import json
import re
from pathlib import Path

from datasets.errors import DatasetError
from datasets.image_folder import read_file
from datasets.listing import list_pictures, numbered
from datasets.source import Source

_FILE = re.compile(r"(\d{5})\.png")
# The published split, which the metadata spells out: the first 60,000 images are for training.
_SPLITS = {"all": range(70_000), "training": range(60_000), "validation": range(60_000, 70_000)}


def ffhq(source, *, metadata=None, split="all"):
    """Returns the Source of FFHQ, RGB, in the order of the images' numbers.

    A set that has not been downloaded to its end is accepted if only the last images are missing.

    Args:
        source: The folder images1024x1024 (or thumbnails128x128), a folder with images1024x1024 in it, or a .zip of
            either; the files 00000.png to 69999.png may be in any folders.
        metadata: Published ffhq-dataset-v2.json, whose categories then make the split.
        split: "all", "training" or "validation".

    Raises:
        DatasetError: There are no images of the split, one is missing, or the metadata does not fit.
    """
    listing = list_pictures(source).within("images1024x1024")
    indices = numbered(listing, _FILE, "00000.png")
    wanted = _SPLITS[split] if metadata is None else _category(metadata, split, indices)
    found = [number for number in wanted if number in indices]
    if not found:
        raise DatasetError(f"{source} holds none of the images of --split={split}. Give all images, or another split.")
    if found[-1] != wanted[len(found) - 1]:
        missing = next(number for number in wanted if number not in indices)
        raise DatasetError(
            f"{source} holds {len(found):,} images of --split={split} up to {found[-1]:05d}.png, but {missing:05d}.png "
            "is missing. Complete the download."
        )
    listing = listing.subset(indices.values(), "not called as 00000.png")
    # The same files again, by their new indices.
    indices = dict(zip(indices, range(len(listing)), strict=True))
    listing = listing.subset((indices[number] for number in found), f"that are not of --split={split}")
    decode = functools.partial(read_file, channels=3)
    missing = len(wanted) - len(found)
    notes = (f"the last {missing:,} of the {len(wanted):,} images are not there",) if missing else ()
    return Source(len(listing), listing.name, listing.fetch, decode, notes=notes, left_out=listing.left_out)


def _category(metadata, split, numbers):
    """Returns the sorted numbers that the metadata puts into a split; it must know all `numbers`."""
    path = Path(metadata).expanduser()
    try:
        categories = {int(number): entry["category"] for number, entry in json.loads(path.read_bytes()).items()}
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise DatasetError(
            f'{path} is not FFHQ\'s metadata, {{"0": {{"category": ...}}, ...}}. '
            "Give the published ffhq-dataset-v2.json."
        ) from error
    unknown = sorted(numbers.keys() - categories.keys())
    if unknown:
        raise DatasetError(
            f"{path} has no entry for {len(unknown):,} images, the first is {unknown[0]:05d}.png. "
            "Give the published ffhq-dataset-v2.json."
        )
    return sorted(number for number, category in categories.items() if split in ("all", category))
