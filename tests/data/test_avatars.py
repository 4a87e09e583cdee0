"""Avatars: the same pictures everywhere, each with all that it was drawn from; only under free licences."""

import hashlib
import sys

import numpy as np
import pytest
from test_package import EXTRAS

from datasets import avatars as drawing
from datasets import opening
from datasets.avatars import PACKAGES, avatars
from datasets.errors import DatasetError
from datasets.tfrecords import MultiResolutionDataset


def images_of(source):
    return np.stack([source.decode(source.fetch(index)) for index in range(source.num_images)])


@pytest.fixture(scope="module")
def source():
    return avatars(count=40)


def chosen(source, factor):
    """The values of a factor in all avatars."""
    columns = [column for column, name in enumerate(source.label_names) if name.startswith(f"{factor}=")]
    values = np.array([source.label_names[column].partition("=")[2] for column in columns])
    return values[source.labels[:, columns].argmax(axis=1)]


@pytest.mark.parametrize(
    "style, resolution, expected",
    [
        ("voxel-art", 64, "69c9ee62a31d8e32"),
        ("voxel-art", 16, "fe4b9f83085ef41f"),
        ("critters", 32, "f67d45a6efdd8f33"),
    ],
)
def test_pictures_are_the_same_everywhere(style, resolution, expected):
    images = images_of(avatars(style, 3, resolution))
    assert (images.shape, images.dtype) == ((3, resolution, resolution, 3), np.uint8)
    assert hashlib.sha256(images.tobytes()).hexdigest()[:16] == expected


def test_an_avatar_does_not_depend_on_how_many_are_drawn(source):
    np.testing.assert_array_equal(images_of(avatars(count=2)), images_of(source)[:2])


def test_processes_draw_the_same(monkeypatch, source):
    monkeypatch.setattr(drawing, "_TASK_IMAGES", 3)
    parallel = avatars(count=7, workers=2)
    np.testing.assert_array_equal(images_of(parallel), images_of(source)[:7])
    for factor in ("top", "skinColor", "glasses"):
        np.testing.assert_array_equal(chosen(parallel, factor), chosen(source, factor)[:7])


def test_every_factor_of_every_avatar_is_known(source):
    factors = {name.partition("=")[0] for name in source.label_names}
    assert factors >= {"top", "glasses", "outfit", "hairColor", "hatColor", "skinColor", "backgroundColor"}
    assert "animation" not in factors  # "none" in all of them
    factor_of = np.array([name.partition("=")[0] for name in source.label_names])
    for factor in factors:
        np.testing.assert_array_equal(source.labels[:, factor_of == factor].sum(axis=1), 1)
    assert source.labels.any(axis=0).all()


def test_labels_say_what_is_seen(source):
    """The corner shows the background's colour; hats have a colour, and hair none."""
    corners = images_of(source)[:, 0, 0]
    assert [bytes(corner).hex() for corner in corners] == list(chosen(source, "backgroundColor"))
    hats = np.isin(chosen(source, "top"), ["cap", "beanie", "animalEars", "bunnyEars"])
    assert 0 < hats.sum() < len(hats)
    np.testing.assert_array_equal(chosen(source, "hatColor") != "none", hats)
    with_jacket = np.isin(chosen(source, "outfit"), ["jacket", "tie", "coat", "dress", "suit"])
    np.testing.assert_array_equal(chosen(source, "jacketColor") != "none", with_jacket)


def test_one_avatar_has_no_labels():
    assert avatars(count=1).labels is None


@pytest.mark.parametrize("style", ["avataaars", "initials", "voxelart"])
def test_styles_that_are_refused(style):
    with pytest.raises(DatasetError) as error:
        avatars(style, 1)
    assert style in str(error.value) and " critters, " in str(error.value)
    assert "bottts" not in str(error.value).replace(f" {style} ", "")


@pytest.mark.parametrize("module", ["dicebear", "dicebear_styles", "resvg_py"])
def test_missing_packages(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    command = "pip install dicebear-core==10.7.0 dicebear-styles==10.6.0 resvg-py==0.5.0"
    with pytest.raises(ValueError, match=command):
        avatars(count=1)


def test_versions_are_pinned():
    assert {f"{package}=={version}" for package, version in PACKAGES.items()} < set(EXTRAS["data"])


def test_other_versions_are_told(monkeypatch, source):
    assert source.notes == ()
    monkeypatch.setitem(PACKAGES, "resvg-py", "0.4.0")
    (note,) = avatars(count=1).notes
    assert "resvg-py 0.4.0; 0.5.0 is here" in note


def test_it_creates_itself(monkeypatch, tmp_path, source, capsys):
    what, _, options = opening.EMBEDDED["avatars"]
    monkeypatch.setitem(opening.EMBEDDED, "avatars", (what, lambda: source, options))
    data = opening.open_dataset("avatars", str(tmp_path), max_label_size="full")
    assert capsys.readouterr().out == (
        f"Creating {tmp_path / 'avatars'} of 10,000 avatars drawn by DiceBear, voxel-art, once.\n"
    )
    np.testing.assert_array_equal(data.read_images(64, range(40)), images_of(source))
    np.testing.assert_array_equal(data.labels, source.labels)
    assert data.label_names == source.label_names
    text = (tmp_path / "avatars" / "avatars-license.txt").read_text()
    assert "CC0 1.0" in text and text.endswith("dicebear-core==10.7.0 dicebear-styles==10.6.0 resvg-py==0.5.0\n")
    assert MultiResolutionDataset(tmp_path / "avatars").num_images == 40
