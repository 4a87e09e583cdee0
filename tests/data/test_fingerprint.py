"""Fingerprints: the same for the same images, however they are stored, and another for any others."""

import numpy as np
import pytest

from datasets.errors import DatasetError
from datasets.fingerprint import fingerprint
from datasets.tfrecords import MultiResolutionDataset, MultiResolutionWriter


def images(count=6, side=16):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)


def dataset_of(folder, pixels, **options):
    with MultiResolutionWriter(folder, **options) as writer:
        for image in pixels:
            writer.add_image(image)
    return MultiResolutionDataset(folder)


def test_same_images_in_another_folder_and_in_several_files(tmp_path):
    one, several = dataset_of(tmp_path / "one", images()), dataset_of(tmp_path / "several", images(), shards=3)
    assert fingerprint(one) == fingerprint(several) == fingerprint(one, 16)
    assert len(fingerprint(one)) == 64


@pytest.mark.parametrize("change", ["a box of one image", "the order", "one image less"])
def test_other_images(tmp_path, change):
    changed = images()
    if change == "a box of one image":
        changed[3, :4, :4] //= 2
    changed = {"the order": changed[::-1], "one image less": changed[:-1]}.get(change, changed)
    before, after = dataset_of(tmp_path / "before", images()), dataset_of(tmp_path / "after", changed)
    assert fingerprint(before) != fingerprint(after)


def test_levels_and_encodings_differ(tmp_path):
    raw, png = dataset_of(tmp_path / "raw", images()), dataset_of(tmp_path / "png", images(), encoding="png")
    assert len({fingerprint(raw), fingerprint(raw, 8), fingerprint(png)}) == 3


def test_damage_and_levels_that_are_missing(tmp_path):
    dataset = dataset_of(tmp_path / "data", images())
    with pytest.raises(DatasetError, match="no level of 32x32"):
        fingerprint(dataset, 32)
    path = tmp_path / "data" / "data-r02.tfrecords"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="is damaged at record"):
        fingerprint(dataset)
