"""FFHQ, CelebA and CelebA-HQ as they are published: order, splits, crop, attributes, what is refused."""

import json
import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image

from datasets.celeba import celeba, celebahq
from datasets.errors import DatasetError
from datasets.ffhq import ffhq
from datasets.source import encode_images


def save(folder, numbers, form="{:05d}.png", shape=(8, 8, 3)):
    """Writes an image for each number, flat in the value of the number, and returns the folder."""
    for number in numbers:
        path = folder / form.format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full(shape, number % 251, np.uint8)).save(path)
    return folder


def values(source):
    """What the images of `save` show, having gone through pickle as on their way to a worker."""
    decode = pickle.loads(pickle.dumps(source.decode))
    return [int(decode(source.fetch(index))[0, 0, 0]) for index in range(source.num_images)]


def refused(function, *words):
    with pytest.raises(DatasetError) as error:
        function()
    for word in words:
        assert str(word) in str(error.value)
    assert "\n" not in str(error.value)


def zipped(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.*"), reverse=True):
            archive.write(file, file.relative_to(folder.parent))
    return path


@pytest.fixture
def faces(tmp_path):
    """The ends of FFHQ's two splits, in the published folders."""
    folder = tmp_path / "ffhq" / "images1024x1024"
    save(folder / "60000", [60000, 60001])
    return save(folder / "00000", range(3)).parent


def test_ffhq(faces):
    save(faces.parent / "thumbnails128x128", range(5))
    save(faces.parent, [0], "ffhq-teaser.png")
    for source in (faces, faces.parent, zipped(faces.parent, faces.with_suffix(".zip"))):
        assert values(ffhq(source, split="training")) == [0, 1, 2]
        assert values(ffhq(source, split="validation")) == [60000 % 251, 60001 % 251]
    source = ffhq(faces.parent / "thumbnails128x128")
    assert values(source) == [0, 1, 2, 3, 4]
    assert source.name(3) == str(faces.parent / "thumbnails128x128" / "00003.png")
    assert source.decode(source.fetch(0)).shape == (8, 8, 3)
    assert source.labels is None


def test_ffhq_is_ordered_by_number_not_by_path(tmp_path):
    save(tmp_path / "a", [1, 3])
    save(tmp_path / "b", [0, 2])
    assert values(ffhq(tmp_path)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "function, name, height, width",
    [(ffhq, "{:05d}.png", 8, 8), (celebahq, "{}.jpg", 8, 8), (celeba, "{:06d}.jpg", 218, 178)],
)
def test_grey_photographs_become_rgb(tmp_path, function, name, height, width):
    source = function(save(tmp_path, [0], name, (height, width)))
    assert source.decode(source.fetch(0)).shape[2] == 3


def test_ffhq_with_a_hole(faces):
    refused(lambda: ffhq(faces), "5 images", "--split=all up to 60001.png", "00003.png is missing", "Complete")
    (faces / "00000" / "00000.png").unlink()
    refused(lambda: ffhq(faces, split="training"), "2 images", "00000.png is missing")
    assert ffhq(faces, split="validation").num_images == 2


def test_ffhq_without_the_split(tmp_path):
    save(tmp_path, range(3))
    refused(lambda: ffhq(tmp_path, split="validation"), tmp_path, "none", "--split=validation")


def test_ffhq_twice_and_not_at_all(tmp_path):
    save(tmp_path / "thumbnails128x128", range(2))
    save(tmp_path / "other", range(2))
    refused(lambda: ffhq(tmp_path), "other/00000.png", "thumbnails128x128/00000.png", "same number")
    save(tmp_path / "digits", range(2), "{}.png")
    refused(lambda: ffhq(tmp_path / "digits"), tmp_path / "digits", "names like 00000.png")


def write_metadata(path, **categories):
    path.write_text(json.dumps({number: {"category": name, "image": {}} for number, name in categories.items()}))
    return path


def test_ffhq_metadata(tmp_path):
    save(tmp_path / "in", range(12))
    categories = {str(number): "validation" if number in (1, 10) else "training" for number in reversed(range(13))}
    metadata = write_metadata(tmp_path / "ffhq.json", **categories)
    assert values(ffhq(tmp_path / "in", metadata=metadata, split="validation")) == [1, 10]
    assert values(ffhq(tmp_path / "in", metadata=metadata, split="training")) == [0, *range(2, 10), 11]
    assert values(ffhq(tmp_path / "in", metadata=str(metadata))) == list(range(12))
    (tmp_path / "in" / "00004.png").unlink()
    assert values(ffhq(tmp_path / "in", metadata=metadata, split="validation")) == [1, 10]
    refused(lambda: ffhq(tmp_path / "in", metadata=metadata, split="training"), "00004.png is missing")


def test_ffhq_metadata_that_does_not_fit(tmp_path):
    save(tmp_path / "in", range(3))
    metadata = write_metadata(tmp_path / "ffhq.json", **{"0": "training"})
    refused(lambda: ffhq(tmp_path / "in", metadata=metadata), metadata, "no entry for 2 images", "00001.png")
    for content in ("{", "[]", '{"a": {"category": "training"}}', '{"0": {}}', '{"0": 1}'):
        metadata.write_text(content)
        refused(lambda: ffhq(tmp_path / "in", metadata=metadata), metadata, "ffhq-dataset-v2.json")


def test_celeba_crop(tmp_path):
    """CelebA's columns 25 to 152 and rows 57 to 184, from a picture that shows where it was cut."""
    folder = tmp_path / "celeba" / "img_align_celeba"
    rows, columns = np.mgrid[:218, :178].astype(np.uint8)
    folder.mkdir(parents=True)
    Image.fromarray(np.stack([rows, columns, 0 * rows], axis=2)).save(folder / "000002.jpg", quality=100, subsampling=0)
    save(folder, [1], "{:06d}.jpg", (218, 178, 3))
    save(tmp_path / "celeba" / "img_celeba", [1, 2], "{:06d}.jpg", (300, 200, 3))
    for place in (folder, folder.parent, zipped(folder, tmp_path / "celeba.zip")):
        source = celeba(place)
        assert values(source)[0] == 1
        image = source.decode(source.fetch(1)).astype(int)
        assert image.shape == (128, 128, 3)
        np.testing.assert_allclose(image[:, :, 0].mean(axis=1), np.arange(57, 185), atol=0.4)
        np.testing.assert_allclose(image[:, :, 1].mean(axis=0), np.arange(25, 153), atol=0.4)


def test_celeba_of_another_size(tmp_path):
    save(tmp_path, [1], "{:06d}.jpg", (178, 218, 3))
    source = celeba(tmp_path)
    refused(lambda: source.decode(source.fetch(0)), "218x178", "178x218")
    refused(lambda: celeba(save(tmp_path / "png", [1], "{:06d}.png")), "names like 000001.jpg")


@pytest.fixture
def hq(tmp_path):
    """CelebA-HQ as published with masks, which are no images of faces."""
    folder = tmp_path / "CelebAMask-HQ"
    save(folder / "CelebAMask-HQ-mask-anno" / "0", [0], "{:05d}_hair.png")
    save(folder / "CelebAMask-HQ-mask-anno" / "0", [0], "{}.png")
    save(folder / "CelebA-HQ-img", range(12), "{}.png")
    return folder


NAMES = ["Bald", "Smiling", "Young"]


def write_attributes(path, count=13, names=NAMES, form="{}.jpg  {}"):
    rows = [form.format(n, " ".join("1" if n >> bit & 1 else "-1" for bit in range(3))) for n in reversed(range(13))]
    path.write_text("\n".join([str(count), " ".join(names), *rows]) + "\n")
    return path


def test_celebahq(hq):
    for place in (hq, hq / "CelebA-HQ-img", zipped(hq, hq.with_suffix(".zip"))):
        source = celebahq(place)
        assert values(source) == list(range(12))
        assert (source.labels, source.label_names) == (None, None)
    jpegs = celebahq(save(hq / "jpeg", range(3), "{}.jpg", (16, 16, 3)))
    assert jpegs.decode(jpegs.fetch(2)).shape == (16, 16, 3)


def test_celebahq_attributes(hq):
    source = celebahq(hq, attributes=write_attributes(hq / "list_attr.txt"))
    np.testing.assert_array_equal(source.labels, [[n & 1, n >> 1 & 1, n >> 2 & 1] for n in range(12)])
    assert (source.labels.dtype, source.label_names) == (np.float32, NAMES)


def test_celebahq_attributes_that_do_not_fit(hq):
    path = hq / "list_attr.txt"
    for options, words in (
        ({"count": 14}, ["14 images", "13"]),
        ({"names": NAMES[:2]}, ["line 3", "2 values"]),
        ({"form": "{:06d}.jpg {}"}, ["no line for 12 images", "0.png"]),
        ({"form": "{}.jpg {} 0"}, ["line 3"]),
        ({"form": "1.jpg {1}"}, ["twice"]),
    ):
        write_attributes(path, **options)
        refused(lambda: celebahq(hq, attributes=path), path, *words)
    for content in ("", "x\n", "3\n"):
        path.write_text(content)
        refused(lambda: celebahq(hq, attributes=path), path, "no list of attributes")
    with pytest.raises(FileNotFoundError, match=r"missing\.txt"):
        celebahq(hq, attributes=hq / "missing.txt")


@pytest.mark.parametrize("function, name", [(ffhq, "{:05d}.png"), (celebahq, "{}.png")])
def test_faces_that_are_not_square(tmp_path, function, name):
    save(tmp_path, [0], name, (8, 16, 3))
    source = function(tmp_path)
    (error,) = encode_images(source.decode, (16, 16, 3), "raw", 95, [source.fetch(0)])
    refused(lambda: (_ for _ in ()).throw(error), "square", "16x8")
