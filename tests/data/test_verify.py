"""Verification: good data sets pass, and whatever a user's disk or script does to one is found and named."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from datasets.errors import DatasetError
from datasets.pyramid import encode, pyramid
from datasets.records import frame, serialize
from datasets.tfrecords import MultiResolutionDataset
from datasets.verify import compare, verify
from datasets.writer import MultiResolutionWriter

REFERENCE = sorted((pathlib.Path(__file__).parents[1] / "reference" / "data" / "dataset").glob("tfr-*"))
NO_MANIFEST = "There is no manifest"


def photographs(count, side, channels=3):
    """Parts of scikit-learn's two photographs."""
    rng = np.random.default_rng(0)
    images = load_sample_images().images
    parts = []
    for index in range(count):
        y, x = rng.integers(0, 427 - side), rng.integers(0, 640 - side)
        parts.append(images[index % 2][y : y + side, x : x + side, :channels])
    return np.stack(parts)


def write(folder, images, labels=None, names=None, rebuild=lambda levels: levels, **options):
    """Writes a data set; `rebuild` may change an image's levels, from 4x4 up, before they are encoded."""
    with MultiResolutionWriter(folder, **options) as writer:
        for image in images:
            levels = rebuild(pyramid(image))
            encoding = options.get("encoding", "raw"), options.get("quality", 95)
            writer.add_levels(image.shape, [encode(level, *encoding) for level in levels])
        if labels is not None:
            writer.set_labels(labels, names)
    return pathlib.Path(folder)


@pytest.fixture
def folder(tmp_path):
    """Seven raw photographs of 32x32, with labels."""
    return write(tmp_path / "faces", photographs(7, 32), np.arange(14).reshape(7, 2), ["smile", "glasses"])


def without_manifest(folder):
    (folder / f"{folder.name}-manifest.json").unlink()
    return folder


def place(folder, side, index):
    """Returns the path of a level of one file, and where its record `index` begins and ends."""
    file = MultiResolutionDataset(folder).level(side).files[0]
    offset, size = file.place(index)
    return pathlib.Path(file.path), offset, offset + size


def overwrite(path, offset, data):
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)


def flip(path, offset):
    overwrite(path, offset, bytes([path.read_bytes()[offset] ^ 1]))


def finds(folder, *groups):
    """There must be one problem, a line, for each group of words, and contain them."""
    problems = verify(folder).problems
    assert len(problems) == len(groups), problems
    for line, words in zip(problems, groups, strict=True):
        assert "\n" not in line
        for word in words:
            assert str(word) in line


@pytest.mark.parametrize("encoding", ["raw", "png", "jpeg"])
@pytest.mark.parametrize("shards, channels", [(1, 3), (3, 1)])
def test_good(tmp_path, encoding, shards, channels):
    folder = write(tmp_path / "good", photographs(7, 32, channels), np.eye(7), encoding=encoding, shards=shards)
    assert verify(folder) == (7, [], [])


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.name)
def test_the_references_files_are_good(path):
    num_images, problems, (note,) = verify(path)
    assert num_images == MultiResolutionDataset(path).num_images
    assert problems == []
    assert NO_MANIFEST in note


def test_more_images_than_a_batch(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 256, 256, 3), np.uint8)
    folder = without_manifest(write(tmp_path / "large", images))
    assert len(list(MultiResolutionDataset(folder).batches(256))) > 1
    assert verify(folder, workers=2).problems == []


@pytest.mark.parametrize("encoding", ["raw", "png", "jpeg"])
@pytest.mark.parametrize("side", [4, 32])
def test_flipped_byte(tmp_path, encoding, side):
    folder = without_manifest(write(tmp_path / "faces", photographs(7, 32), encoding=encoding))
    path, start, end = place(folder, side, 3)
    flip(path, (start + end) // 2)
    finds(folder, [path, "record 3", "checksum"])


def test_flipped_byte_and_the_manifest(folder):
    path, start, end = place(folder, 16, 3)
    flip(path, (start + end) // 2)
    finds(folder, [path, "SHA-256"], [path, "record 3", "checksum"])


def test_zeroed_records(folder):
    without_manifest(folder)
    for side, index in ((32, 2), (32, 3), (8, 3)):
        path, start, end = place(folder, side, index)
        overwrite(path, start, bytes(end - start))
    finds(folder, ["r05.tfrecords", "record 2"], ["r03.tfrecords", "record 3"], ["r05.tfrecords", "record 3"])


def test_zeroed_beginning(folder):
    path, start, end = place(folder, 8, 0)
    overwrite(path, start, bytes(end - start))
    num_images, problems, notes = verify(folder)
    assert num_images == 0
    assert str(path) in problems[0] and "damaged at its beginning" in problems[0]
    assert str(path) in problems[1] and "SHA-256" in problems[1]
    assert "records were not read" in notes[0]


def test_record_of_another_size_with_good_checksums(tmp_path):
    folder = without_manifest(write(tmp_path / "faces", photographs(3, 8), encoding="png"))
    small = frame(serialize((4, 4, 3), encode(np.zeros((4, 4, 3), np.uint8), "png"), "png"))
    for path in folder.glob("*.index"):
        path.unlink()
    for path in folder.glob("*.tfrecords"):
        with open(path, "ab") as file:
            file.write(small)
    finds(folder, ["r03.tfrecords", "record 3", "no image of this level"])


def test_damage_does_not_hide_other_problems(tmp_path):
    def rebuild(levels):
        return [255 - levels[0], *levels[1:]]

    folder = without_manifest(write(tmp_path / "faces", photographs(7, 16), rebuild=rebuild))
    path, start, _ = place(folder, 8, 5)
    flip(path, start + 60)
    finds(folder, ["r02.tfrecords", "6 of 7", "image 0"], [path, "record 5"])


def test_many_problems_are_cut_short(tmp_path):
    folder = without_manifest(write(tmp_path / "faces", photographs(40, 4)))
    for index in range(5, 35):
        path, start, _ = place(folder, 4, index)
        flip(path, start + 40)
    problems = verify(folder).problems
    assert len(problems) == 21
    assert "record 24" in problems[19]
    assert problems[20] == "... and 10 more problems."


def test_swapped_files_of_equal_length(tmp_path):
    folder = without_manifest(write(tmp_path / "faces", photographs(6, 16), shards=2))
    first, second = (folder / f"faces-r03-0000{shard}-of-00002.tfrecords" for shard in range(2))
    first.rename(folder / "other")
    second.rename(first)
    (folder / "other").rename(second)
    finds(folder, [first, "6 of 6", "image 0"])


def test_swapped_images_of_a_jpeg_data_set(tmp_path):
    images = photographs(6, 64)
    levels = iter([pyramid(image)[2] for image in images[[0, 1, 3, 2, 4, 5]]])
    folder = write(tmp_path / "faces", images, rebuild=lambda own: [*own[:2], next(levels), *own[3:]], encoding="jpeg")
    finds(folder, ["r04.tfrecords", "2 of 6", "image 2", "on average"])


@pytest.mark.parametrize(
    "quality, manifest", [(25, True), (50, True), (75, True), (75, False), (95, True), (100, True)]
)
def test_jpegs_are_good_whatever_their_quality(tmp_path, quality, manifest):
    rng = np.random.default_rng(0)
    blocks = rng.choice(np.array([0, 255], np.uint8), (4, 16, 16, 3)).repeat(2, 1).repeat(2, 2)
    images = [*photographs(8, 32), *blocks, *rng.integers(0, 256, (4, 32, 32, 3), np.uint8)]
    folder = write(tmp_path / "faces", images, encoding="jpeg", quality=quality)
    assert verify(folder if manifest else without_manifest(folder)).problems == []


def test_level_rebuilt_with_lanczos(tmp_path):
    def rebuild(levels):
        levels[1] = np.asarray(Image.fromarray(levels[-1]).resize((8, 8), Image.Resampling.LANCZOS))
        return levels

    finds(write(tmp_path / "faces", photographs(5, 32), rebuild=rebuild), ["r03.tfrecords", "5 of 5", "image 0"])


def test_largest_level_removed(folder):
    (folder / "faces-r05.tfrecords").unlink()
    without_manifest(folder)
    num_images, problems, notes = verify(folder)
    assert (num_images, problems) == (7, [])
    assert "4x4, 8x8 are within rounding of the level above" in notes[1]


@pytest.mark.parametrize("rounding", [np.floor, np.rint])
def test_levels_rounded_one_after_the_other(tmp_path, rounding):
    def rebuild(levels):
        levels = levels[-1:]
        while len(levels[0]) > 4:
            image = levels[0].astype(np.int32)
            sums = image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]
            levels.insert(0, rounding(sums / 4).astype(np.uint8))
        return levels

    num_images, problems, notes = verify(write(tmp_path / "cut", photographs(5, 64), rebuild=rebuild))
    assert (num_images, problems) == (5, [])
    # The first level below the largest is the same if it is rounded to the nearest.
    assert "4x4, 8x8, 16x16" in notes[0] and "are within rounding of the level above" in notes[0]
    assert ("32x32" in notes[0]) == (rounding is np.floor)


def test_missing_middle_level(folder):
    (folder / "faces-r03.tfrecords").unlink()
    finds(without_manifest(folder), ["no level of 8x8"])


def test_missing_shard(tmp_path):
    folder = write(tmp_path / "faces", photographs(6, 8), shards=3)
    name = "faces-r03-00001-of-00003.tfrecords"
    (folder / name).unlink()
    finds(folder, ["lacks", name], [folder / name, "is missing"])


def test_truncated_file(folder):
    path = folder / "faces-r05.tfrecords"
    path.write_bytes(path.read_bytes()[:-100])
    finds(folder, [path, "truncated"], [path, "bytes", "manifest"])


def test_renamed_folder(folder):
    assert verify(folder.rename(folder.with_name("people"))) == (7, [], [])


def test_no_folder(tmp_path):
    with pytest.raises(DatasetError, match="is not a folder"):
        verify(tmp_path / "none")


def save_labels(folder, labels):
    with open(folder / "faces-rxx.labels", "wb") as file:
        np.save(file, np.asarray(labels, np.float32))


def test_labels_of_another_length(folder):
    save_labels(folder, np.zeros((6, 2)))
    finds(folder, ["labels of 6 images", "7"], ["rxx.labels", "bytes"])


def test_labels_that_are_no_numbers(folder):
    save_labels(folder, [[0, 1]] * 3 + [[0, np.nan]] + [[np.inf, 1]] * 3)
    finds(without_manifest(folder), ["rxx.labels", "4 images", "first is 3"])


def test_too_few_label_names(folder):
    (folder / "faces-labels.txt").write_text("smile\n")
    finds(without_manifest(folder), ["labels.txt", "1 of 2"])


@pytest.mark.parametrize(
    "key, value",
    [("num_images", 8), ("resolution", 64), ("num_channels", 1), ("label_size", 0), ("encoding", "png"), ("shards", 2)],
)
def test_manifest_of_other_numbers(folder, key, value):
    path = folder / "faces-manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    finds(folder, [path, key, value])


@pytest.mark.parametrize("key, value, word", [("bytes", 5, "bytes"), ("sha256", "0" * 64, "SHA-256")])
def test_manifest_of_other_files(folder, key, value, word):
    path = folder / "faces-manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["faces-r03.tfrecords"][key] = value
    path.write_text(json.dumps(manifest))
    finds(folder, [folder / "faces-r03.tfrecords", word])


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"files": 3}', '{"files": {"faces-r02.tfrecords": 3}}'])
def test_manifest_that_is_none(folder, content):
    path = folder / "faces-manifest.json"
    path.write_text(content)
    finds(folder, [path, "no manifest"])


def test_labels_added_later_contradict_the_manifest(tmp_path):
    folder = write(tmp_path / "faces", photographs(4, 8))
    save_labels(folder, np.zeros((4, 3)))
    finds(folder, ["label_size 0", "3"])


def test_compare_sees_through_encodings_and_files(tmp_path, folder):
    options = {"labels": np.arange(14).reshape(7, 2), "names": ["smile", "glasses"]}
    other = write(tmp_path / "other", photographs(7, 32), encoding="png", shards=3, **options)
    assert compare(folder, other) == []


def test_compare_finds_one_changed_pixel(tmp_path):
    images = photographs(7, 32)
    changed = images.copy()
    changed[4, 20, 9, 1] ^= 64
    a, b = write(tmp_path / "a", images), write(tmp_path / "b", changed)
    differences = compare(a, b)
    assert [line.split(":")[0] for line in differences] == ["4x4", "8x8", "16x16", "32x32"]
    assert all("1 of 7 images" in line and "first is image 4" in line for line in differences)
    assert all(f"by up to {4**level} of 255" in line for level, line in enumerate(differences))


def test_compare_says_how_far_jpegs_are(tmp_path):
    images = photographs(7, 32)
    a, b = write(tmp_path / "a", images), write(tmp_path / "b", images, encoding="jpeg")
    decoded = MultiResolutionDataset(b).read_images(32, range(7))
    difference = np.abs(decoded.astype(int) - images)
    line = compare(a, b)[-1]
    assert f"7 of 7 images differ; the first is image 0. They differ by up to {difference.max()} of 255" in line
    assert f"mean over all images is {difference.mean():.3g}." in line


def test_compare_heeds_the_order(tmp_path):
    images = photographs(6, 8)
    differences = compare(write(tmp_path / "a", images), write(tmp_path / "b", images[[0, 1, 3, 2, 4, 5]]))
    assert len(differences) == 2
    assert all("2 of 6 images differ; the first is image 2" in line for line in differences)


def test_compare_tells_other_numbers(tmp_path):
    images = photographs(6, 8)
    labels = np.eye(6)
    a = write(tmp_path / "a", images, labels, list("uvwxyz"))
    b = write(tmp_path / "b", [pyramid(image)[0] for image in images[:5]], labels[[0, 2, 1, 3, 4]], list("uvwxyä"))
    assert compare(a, b) == [
        "Number of images: 6 and 5.",
        "Resolutions: (4, 8) and (4,).",
        "Label names: u, v, w, ... and u, v, w, ....",
        "Labels: 2 of 5 images differ; the first is image 1.",
    ]


def test_compare_tells_other_kinds(tmp_path):
    a = write(tmp_path / "a", photographs(3, 8, 3), np.zeros((3, 2)))
    b = write(tmp_path / "b", photographs(3, 8, 1))
    assert compare(a, b) == ["Channels: 3 and 1.", "Label columns: 2 and 0.", "Label names: 0, 1 and none."]


def test_compare_stops_at_damage(tmp_path, folder):
    other = write(tmp_path / "other", photographs(7, 32))
    path, start, _ = place(other, 32, 3)
    flip(path, start + 100)
    with pytest.raises(DatasetError, match=r"other-r05.tfrecords is damaged at record 3"):
        compare(folder, other)
