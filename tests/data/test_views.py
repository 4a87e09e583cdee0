"""Views: descriptions are true, extracted images make the same data set again, and files are split and joined."""

import hashlib
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from datasets.convert import create_dataset
from datasets.errors import DatasetError
from datasets.image_folder import from_images
from datasets.reshard import reshard
from datasets.tfrecords import MultiResolutionDataset
from datasets.verify import compare, verify
from datasets.views import describe, extract, preview
from datasets.writer import MultiResolutionWriter
from dnnlib.image_files import save_image

CLASSES = np.eye(4, dtype=np.float32)[[0, 3, 1, 3, 0, 2, 3]]
ATTRIBUTES = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32)


def random_images(count, side, channels):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, channels), np.uint8)


def write(folder, images, labels=None, names=None, **options):
    with MultiResolutionWriter(folder, **options) as writer:
        for image in images:
            writer.add_image(image)
        if labels is not None:
            writer.set_labels(labels, names)
    return pathlib.Path(folder)


def opened(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_describes_images_and_files(tmp_path):
    folder = write(tmp_path / "faces", random_images(7, 16, 3), shards=2)
    lines = describe(folder).splitlines()
    assert lines[0] == "faces: 7 images of 16x16, RGB"
    assert [line.split()[:4] for line in lines[1:4]] == [
        ["4x4", "raw", "2", "files"],
        ["8x8", "raw", "2", "files"],
        ["16x16", "raw", "2", "files"],
    ]
    level = sum(path.stat().st_size for path in folder.glob("faces-r04-*"))
    assert lines[3].endswith(f" {level / 1024:.1f} KiB")
    total = sum(path.stat().st_size for path in folder.iterdir())
    assert lines[4:] == ["labels: none", f"on disk: {total / 1024:.1f} KiB, with manifest"]


def test_describes_encodings(tmp_path):
    folder = write(tmp_path / "faces", random_images(3, 8, 1), encoding="png")
    (folder / "faces-manifest.json").unlink()
    text = describe(folder)
    assert "greyscale" in text
    assert text.count(" png   1 file ") == 2
    assert text.endswith("without a manifest")


def test_describes_classes(tmp_path):
    text = describe(write(tmp_path / "faces", random_images(7, 4, 1), CLASSES, ["cat", "dog", "tortoise", "ant"]))
    assert "labels: 4 classes, images of each\n    cat      2\n    dog      1\n    tortoise 1\n    ant      3\n" in text


def test_describes_attributes(tmp_path):
    labels = np.array([[0.5, -1], [1.5, 1], [1, 1]])
    text = describe(write(tmp_path / "faces", random_images(3, 4, 1), labels))
    assert "labels: 2 columns\n    0 0.5 to 1.5, mean 1\n    1 -1 to 1, mean 0.3333\n" in text


def test_describes_twenty_columns_at_most(tmp_path):
    text = describe(write(tmp_path / "faces", random_images(3, 4, 1), np.eye(30)[:3]))
    assert "\n    19 0\n    ... and 10 more\n" in text


@pytest.mark.parametrize("channels, encoding", [(1, "raw"), (3, "png"), (3, "jpeg")])
def test_extracts_what_is_read(tmp_path, channels, encoding):
    folder = write(tmp_path / "faces", random_images(3, 16, channels), encoding=encoding)
    assert extract(folder, tmp_path / "out") == 3
    expected = MultiResolutionDataset(folder).read_images(16, range(3))
    images = [opened(tmp_path / "out" / "00000" / f"{index:08d}.png") for index in range(3)]
    np.testing.assert_array_equal(np.reshape(images, expected.shape), expected)
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_extracts_a_thousand_images_a_folder(tmp_path):
    images = np.zeros((1002, 4, 4, 1), np.uint8)
    images[:, 0, 0, 0] = np.arange(1002) % 251
    assert extract(write(tmp_path / "faces", images), tmp_path / "out") == 1002
    assert len(list((tmp_path / "out" / "00000").iterdir())) == 1000
    assert sorted(path.name for path in (tmp_path / "out" / "00001").iterdir()) == ["00001000.png", "00001001.png"]
    assert opened(tmp_path / "out" / "00001" / "00001001.png")[0, 0] == 1001 % 251


def test_extracts_some_of_a_level(tmp_path):
    folder = write(tmp_path / "faces", random_images(7, 16, 3), CLASSES)
    assert extract(folder, tmp_path / "out", resolution=8, max_images=2) == 2
    paths = sorted((tmp_path / "out").rglob("*.png"))
    expected = MultiResolutionDataset(folder).read_images(8, range(2))
    np.testing.assert_array_equal([opened(path) for path in paths], expected)
    listed = json.loads((tmp_path / "out" / "dataset.json").read_text())["labels"]
    assert listed == [["00000/00000000.png", 0], ["00000/00000001.png", 3]]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("labels", [None, CLASSES, ATTRIBUTES, np.eye(9)[:7]], ids=["none", "classes", "values", "few"])
def test_extracted_images_make_the_same_data_set(tmp_path, channels, labels):
    folder = write(tmp_path / "faces", random_images(7, 16, channels), labels)
    extract(folder, tmp_path / "out")
    create_dataset(tmp_path / "again", from_images(tmp_path / "out"), shuffle=False, workers=1)
    assert compare(folder, tmp_path / "again") == []


def test_extracts_label_names(tmp_path):
    folder = write(tmp_path / "faces", random_images(7, 4, 1), CLASSES, ["cat", "dog", "tortoise", "ant"])
    extract(folder, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert content["label_names"] == ["cat", "dog", "tortoise", "ant"]


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_extract_leaves_nothing_half_done(tmp_path):
    folder = write(tmp_path / "faces", random_images(7, 16, 3))
    damage(folder / "faces-r04.tfrecords")
    with pytest.raises(DatasetError, match=r"faces-r04.tfrecords is damaged at record 3"):
        extract(folder, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


def test_extract_replaces_nothing(tmp_path):
    folder = write(tmp_path / "faces", random_images(2, 4, 1))
    with pytest.raises(FileExistsError):
        extract(folder, folder)


@pytest.mark.parametrize("channels", [1, 3])
def test_preview(tmp_path, channels):
    images = random_images(7, 16, channels)
    folder = write(tmp_path / "faces", images)
    assert preview(folder, tmp_path / "sheet.png", columns=3, rows=2) == 6
    expected = np.concatenate([np.concatenate(list(images[3 * row : 3 * row + 3]), axis=1) for row in range(2)])
    np.testing.assert_array_equal(opened(tmp_path / "sheet.png").reshape(expected.shape), expected)


def test_preview_fits_a_screen(tmp_path):
    folder = write(tmp_path / "faces", random_images(2, 256, 1).repeat(70, axis=0))
    assert preview(folder, tmp_path / "sheet.png") == 120
    assert opened(tmp_path / "sheet.png").shape == (1024, 1920)
    assert preview(folder, tmp_path / "sheet.png", resolution=256) == 28
    assert opened(tmp_path / "sheet.png").shape == (1024, 1792)


def test_preview_of_few_images(tmp_path):
    assert preview(write(tmp_path / "faces", random_images(3, 8, 3)), tmp_path / "sheet.png") == 3
    assert opened(tmp_path / "sheet.png").shape == (8, 24, 3)


def test_preview_of_a_level_that_is_not_there(tmp_path):
    folder = write(tmp_path / "faces", random_images(2, 8, 1))
    with pytest.raises(DatasetError, match="no level of 64x64"):
        preview(folder, tmp_path / "sheet.png", resolution=64)


def test_preview_takes_the_place_of_previews_only(tmp_path):
    folder = write(tmp_path / "faces", random_images(3, 8, 3))
    path = tmp_path / "sheet.png"
    preview(folder, path)
    preview(folder, path, resolution=4)
    assert opened(path).shape == (4, 12, 3)
    save_image(path, np.zeros((4, 4), np.uint8))
    with pytest.raises(DatasetError, match=f"{path} is there, and is no contact sheet"):
        preview(folder, path)
    path.write_bytes(b"my own")
    with pytest.raises(ValueError, match="no readable PNG file"):
        preview(folder, path)
    assert path.read_bytes() == b"my own"


def digests(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.suffix in (".tfrecords", ".index", ".labels", ".txt", ".json")
    }


@pytest.mark.parametrize("encoding", ["raw", "png", "jpeg"])
def test_reshard_there_and_back(tmp_path, encoding):
    images = random_images(7, 16, 3)
    names = ["cat", "dog", "tortoise", "ant"]
    folder = write(tmp_path / "1" / "faces", images, CLASSES, names, encoding=encoding, quality=71)
    for previous, shards in ((1, 3), (3, 2), (2, 1)):
        out = tmp_path / str(shards if shards > 1 else "back") / "faces"
        assert reshard(tmp_path / str(previous) / "faces", out, shards) == 7
        assert verify(out) == (7, [], [])
        assert compare(folder, out) == []
        assert len(list(out.glob("faces-r03*.tfrecords"))) == shards
    assert digests(tmp_path / "back" / "faces") == digests(folder)


def test_reshard_takes_side_files_along(tmp_path):
    folder = write(tmp_path / "faces", random_images(3, 8, 1))
    (folder / "faces-skipped.txt").write_text("a.png\tno image\n")
    (folder / "faces-attribute-labels.txt").write_text("kept\n")
    (folder / "notes.md").write_text("not of the data set\n")
    reshard(folder, tmp_path / "people", 2)
    assert (tmp_path / "people" / "people-skipped.txt").read_text() == "a.png\tno image\n"
    assert (tmp_path / "people" / "people-attribute-labels.txt").read_text() == "kept\n"
    assert not (tmp_path / "people" / "notes.md").exists()
    assert "people-skipped.txt" in json.loads((tmp_path / "people" / "people-manifest.json").read_text())["files"]
    assert verify(tmp_path / "people") == (3, [], [])


def test_reshard_of_the_references_files(tmp_path):
    reference = pathlib.Path(__file__).parents[1] / "reference" / "data" / "dataset" / "tfr-rgb32-labels"
    reshard(reference, tmp_path / "split", 5)
    assert compare(reference, tmp_path / "split") == []


def test_reshard_stops_at_damage(tmp_path):
    folder = write(tmp_path / "faces", random_images(7, 16, 3))
    damage(folder / "faces-r03.tfrecords")
    with pytest.raises(DatasetError, match=r"faces-r03.tfrecords is damaged at record 3"):
        reshard(folder, tmp_path / "out", 2)
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


def test_reshard_refuses_more_files_than_images(tmp_path):
    folder = write(tmp_path / "faces", random_images(3, 8, 1))
    with pytest.raises(DatasetError, match="3 images cannot be spread over 4 shards"):
        reshard(folder, tmp_path / "out", 4)
    assert not (tmp_path / "out").exists()


def test_reshard_refuses_mixed_encodings(tmp_path):
    folder = write(tmp_path / "faces", random_images(3, 8, 1))
    other = write(tmp_path / "other" / "faces", random_images(3, 8, 1), encoding="png")
    (other / "faces-r02.tfrecords").replace(folder / "faces-r02.tfrecords")
    with pytest.raises(DatasetError, match="png and raw"):
        reshard(folder, tmp_path / "out", 2)


def test_reshard_refuses_missing_levels(tmp_path):
    folder = write(tmp_path / "faces", random_images(3, 16, 1))
    (folder / "faces-r03.tfrecords").unlink()
    with pytest.raises(DatasetError, match="levels of 4, 16 only"):
        reshard(folder, tmp_path / "out", 2)
