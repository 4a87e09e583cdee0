"""Picture files in a folder, a .zip or a list: which are taken, what they become, their labels, what is refused."""

import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.errors import DatasetError
from datasets.image_folder import from_images


def save(path, *shape, seed=0):
    """Writes random pixels, [H, W] or [H, W, C], and returns them as [H, W, C]."""
    image = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return image.reshape(*shape[:2], -1)


def save_all(folder, *names, shape=(8, 8, 3)):
    return [save(folder / name, *shape, seed=number) for number, name in enumerate(names)]


def zipped(folder, path, below=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.rglob("*"):
            archive.write(file, below + file.relative_to(folder).as_posix())
    return path


def loaded(source):
    decode = pickle.loads(pickle.dumps(source.decode))
    return [decode(pickle.loads(pickle.dumps(source.fetch(index)))) for index in range(source.num_images)]


def names(source, root):
    return [os.path.relpath(source.name(index), root) for index in range(source.num_images)]


def refused(source, *words, **options):
    with pytest.raises(DatasetError) as error:
        from_images(source, **options)
    for word in words:
        assert str(word) in str(error.value)
    assert "\n" not in str(error.value)


TREE = ["b/2.png", "b.PNG", "a-b/1.png", "b/1.tiff", "a/x/3.webp", "c.bmp", "d.jpeg"]
SORTED = ["a/x/3.webp", "a-b/1.png", "b/1.tiff", "b/2.png", "b.PNG", "c.bmp", "d.jpeg"]


@pytest.fixture
def tree(tmp_path):
    """A folder of all types, and of what must be ignored; and its images in order."""
    folder = tmp_path / "in"
    images = dict(zip(TREE, save_all(folder, *TREE), strict=True))
    for junk in ("notes.txt", "._a.png", ".thumbnails/a.png", "__MACOSX/a.png"):
        (folder / junk).parent.mkdir(exist_ok=True)
        (folder / junk).write_bytes(b"no image")
    (folder / "folder.png").mkdir()
    return folder, [images[name] for name in SORTED]


def check_tree(source, images):
    for name, image, expected in zip(SORTED, loaded(source), images, strict=True):
        if not name.endswith(("webp", "jpeg")):  # those have losses
            np.testing.assert_array_equal(image, expected)
        assert (image.shape, image.dtype) == ((8, 8, 3), np.uint8)


def test_folder(tree):
    folder, images = tree
    source = from_images(str(folder), labels="none")
    assert names(source, folder) == SORTED
    assert (source.labels, source.label_names) == (None, None)
    assert source.left_out == {"of type .txt": 1, "hidden": 3}
    check_tree(source, images)


@pytest.mark.parametrize("below", ["", "in/", "home/in/"])
def test_zip(tree, below):
    folder, images = tree
    path = zipped(folder, folder.with_name("in.zip"), below)
    source = from_images(path, labels="none")
    assert names(source, path / below) == SORTED
    assert source.left_out == {"of type .txt": 1, "hidden": 3}
    check_tree(source, images)


def test_zip_that_has_changed(tmp_path):
    for seed in (1, 2):
        image = save(tmp_path / "in" / "a.png", 8, 8, 3, seed=seed)
        (tmp_path / "in.zip").unlink(missing_ok=True)
        source = from_images(zipped(tmp_path / "in", tmp_path / "in.zip"))
        np.testing.assert_array_equal(loaded(source)[0], image)


def test_list(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    first, second, third = save_all(tmp_path, "z/a.png", "elsewhere/b.png", "home/c.png")
    path = tmp_path / "z" / "list.txt"
    path.write_text(
        f"\ufeff# faces\n\n  a.png  \r\n{tmp_path}/elsewhere/b.png\n~/c.png\n../z/a.png\n", encoding="utf-8"
    )
    (tmp_path / "z" / "dataset.json").write_text("not for lists")
    source = from_images(path)
    np.testing.assert_array_equal(loaded(source), [first, second, third, first])
    assert source.labels is None
    assert source.name(1) == f"{tmp_path}/elsewhere/b.png"
    path.write_text("a.png\nmissing.png\n")
    refused(path, "missing.png: ", "No such file")


def test_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save_all(tmp_path / "in", "a.png")
    assert from_images("~/in").num_images == 1


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n", b"a\0b"])
def test_what_is_no_source(tmp_path, content):
    refused(tmp_path / "missing", "does not exist")
    (tmp_path / "one.png").write_bytes(content)
    refused(tmp_path / "one.png", "one.png", "neither a folder, a .zip nor a text file")


def test_no_images(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    refused(tmp_path / "in", tmp_path / "in", "holds no images")
    refused(zipped(tmp_path / "in", tmp_path / "in.zip"), "holds no images")
    refused(tmp_path / "in" / "notes.txt", "not an image: ", "No such file")
    (tmp_path / "empty.txt").write_text("# nothing\n")
    refused(tmp_path / "empty.txt", "holds no images")


@pytest.mark.parametrize("keep", [30, -30])
def test_damaged_zip(tmp_path, keep):
    save_all(tmp_path / "in", "a.png")
    path = zipped(tmp_path / "in", tmp_path / "in.zip")
    path.write_bytes(path.read_bytes()[:keep])
    refused(path, path, "no readable .zip")


def test_damaged_member(tmp_path):
    """A wrong byte that the picture's own checks would not find: a stored bitmap."""
    image = save(tmp_path / "a.bmp", 64, 64, 3)
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.write(tmp_path / "a.bmp", "a.bmp")
    data = bytearray((tmp_path / "in.zip").read_bytes())
    position = data.index(image[4, :4, ::-1].tobytes())
    data[position] ^= 1
    (tmp_path / "in.zip").write_bytes(data)  # the header is sound
    source = from_images(tmp_path / "in.zip")
    with pytest.raises(DatasetError, match=r"^it cannot be read from the .zip \(Bad CRC-32"):
        source.decode(source.fetch(0))


def test_locked_member(tmp_path):
    save_all(tmp_path / "in", "a.png")
    path = zipped(tmp_path / "in", tmp_path / "in.zip")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # in the directory's entry: the file is encrypted
    path.write_bytes(data)
    refused(path, f"{path}/a.png: it cannot be read from the .zip", "password")


# Colour


@pytest.mark.parametrize("colour, channels", [(False, 1), (True, 3)])
def test_greyscale_only_if_all_are(tmp_path, colour, channels):
    grey = save(tmp_path / "a.png", 8, 8)
    if colour:
        save(tmp_path / "b.png", 8, 8, 3)
    image = loaded(from_images(tmp_path))[0]
    np.testing.assert_array_equal(image, np.repeat(grey, channels, axis=2))


def test_palette_counts_as_colour_and_grey_alpha_as_grey(tmp_path):
    save(tmp_path / "a" / "1.png", 8, 8, 2)
    assert loaded(from_images(tmp_path / "a", background="white"))[0].shape == (8, 8, 1)
    Image.fromarray(save(tmp_path / "b" / "1.png", 8, 8, 3)).quantize(4).save(tmp_path / "a" / "2.png")
    assert [image.shape for image in loaded(from_images(tmp_path / "a", background="white"))] == [(8, 8, 3)] * 2


def test_background(tmp_path):
    save(tmp_path / "a.png", 8, 8, 4)
    source = from_images(tmp_path)
    with pytest.raises(DatasetError, match="--background=white"):
        source.decode(source.fetch(0))
    refused(tmp_path, "--background=whit ", background="whit")
    assert (
        loaded(from_images(tmp_path, background="white"))[0].mean()
        > loaded(from_images(tmp_path, background="black"))[0].mean()
    )


# Size


@pytest.mark.parametrize(
    "width, height, options, words",
    [
        (16, 8, {}, ["16x8", "--crop=center"]),
        (16, 8, {"resolution": 8}, ["16x8", "--crop=center"]),
        (12, 12, {}, ["12x12", "power of two", "--resolution=8"]),
        (20, 12, {"crop": "center"}, ["12x12 once 20x12 is cropped", "--resolution=8"]),
        (2, 2, {}, ["2x2", "smallest"]),
        (100, 100, {"resolution": 128}, ["100x100, smaller than --resolution=128", "smaller resolution"]),
        (200, 100, {"resolution": 128, "crop": "center"}, ["100x100 once 200x100 is cropped", "--resolution=128"]),
    ],
)
def test_sizes_that_do_not_fit(tmp_path, width, height, options, words):
    save(tmp_path / "in" / "a.png", height, width, 3)
    refused(tmp_path / "in", tmp_path / "in" / "a.png: it is ", *words, **options)


@pytest.mark.parametrize("resolution", [0, 2, 100, -8])
def test_resolution(tmp_path, resolution):
    save(tmp_path / "a.png", 8, 8, 3)
    refused(tmp_path, "--resolution", "power of two", resolution, resolution=resolution)


def test_crop(tmp_path):
    wide, tall = save(tmp_path / "a.png", 8, 13, 3), save(tmp_path / "b.png", 12, 8, 3, seed=1)
    cropped = loaded(from_images(tmp_path, crop="center"))
    np.testing.assert_array_equal(cropped, [wide[:, 2:10], tall[2:10]])


def test_resize(tmp_path):
    image = save(tmp_path / "a.png", 32, 48, 3)
    box = loaded(from_images(tmp_path, resolution=16, crop="center", resize="box"))[0]
    sums = image[:, 8:40].reshape(16, 2, 16, 2, 3).sum(axis=(1, 3), dtype=int)
    np.testing.assert_array_equal(box, (sums + 2) // 4)
    lanczos = loaded(from_images(tmp_path, resolution=16, crop="center"))[0]
    square = Image.fromarray(image[:, 8:40])
    np.testing.assert_array_equal(lanczos, square.resize((16, 16), Image.Resampling.LANCZOS))


def test_unequal_sizes(tmp_path):
    save(tmp_path / "a.png", 32, 32, 3)
    save_all(tmp_path, "b.png", "c.png", shape=(16, 16, 3))
    refused(tmp_path, "a.png: it is 32x32, but most images are 16x16", "--resolution=16")
    assert [image.shape for image in loaded(from_images(tmp_path, resolution=16))] == [(16, 16, 3)] * 3
    save(tmp_path / "c.png", 64, 64, 3)
    save(tmp_path / "d.png", 64, 64, 3)
    refused(tmp_path, "a.png: it is 32x32, but most images are 64x64", "--resolution=32")


def test_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(loaded(from_images(tmp_path))[0], np.rot90(image, -1))


# Misfits


def test_misfits_stop_or_are_left_to_the_conversion(tmp_path):
    image = save(tmp_path / "c.png", 64, 64)
    save(tmp_path / "d.png", 64, 64)
    save(tmp_path / "e.png", 32, 32, 3)
    save(tmp_path / "f.png", 64, 32)
    (tmp_path / "a.png").write_bytes(b"no image")
    (tmp_path / "b.png").write_bytes((tmp_path / "c.png").read_bytes()[:2000])
    refused(tmp_path, f"{tmp_path / 'a.png'}: it is no image")
    source = from_images(tmp_path, on_error="skip")
    results = []
    for index in range(source.num_images):
        try:
            results.append(source.decode(source.fetch(index)))
        except DatasetError as error:
            assert "a.png" not in str(error)
            results.append(str(error).split(".")[0])
    np.testing.assert_array_equal(results.pop(2), image)
    assert results.pop(2).shape == (64, 64, 1)
    assert results[0] == "it is no image, or its first bytes are damaged"
    assert results[1].startswith("it cannot be read (")
    assert results[2] == "it is a colour image, but greyscale is expected"
    assert results[3] == "it is 32x64, not square"


def test_other_size_in_the_conversion(tmp_path):
    save_all(tmp_path, "a.png", "b.png")
    save(tmp_path / "c.png", 16, 16, 3)
    source = from_images(tmp_path, on_error="skip")
    with pytest.raises(DatasetError, match=r"^it is 16x16, but most images are 8x8\."):
        source.decode(source.fetch(2))


def test_nothing_fits(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    (tmp_path / "b.png").write_bytes(b"no image")
    refused(tmp_path, f"{tmp_path / 'a.png'}: it is no image", on_error="skip")


def test_headers_only(tmp_path, monkeypatch):
    """The check of 70,000 files must not decode them."""
    save(tmp_path / "in" / "a.png", 64, 128, 3)
    save(tmp_path / "in" / "b.jpg", 64, 64, 3)
    zipped(tmp_path / "in", tmp_path / "in.zip")

    def load(picture):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    for source in (tmp_path / "in", tmp_path / "in.zip"):
        assert from_images(source, crop="center").num_images == 2


# Labels


@pytest.mark.parametrize("pack", [Path, lambda folder: zipped(folder, folder.with_suffix(".zip"), "in/")])
def test_class_folders(tmp_path, pack):
    save_all(tmp_path / "in", "dog/a.png", "cat/x/b.png", "cat/c.png")
    source = from_images(pack(tmp_path / "in"))
    np.testing.assert_array_equal(source.labels, [[1, 0], [1, 0], [0, 1]])
    assert (source.labels.dtype, source.label_names) == (np.float32, ["cat", "dog"])
    assert from_images(pack(tmp_path / "in"), labels="none").labels is None


@pytest.mark.parametrize(
    "files", [["a/1.png", "a/2.png"], ["00000/1.png", "01000/2.png", "3.png"], ["00000/1.png", "01000/2.png"]]
)
def test_folders_that_are_no_classes(tmp_path, files):
    save_all(tmp_path, *files)
    source = from_images(tmp_path)
    assert (source.labels, source.label_names) == (None, None)


def test_folders_of_a_list_are_no_classes(tmp_path):
    save_all(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "list.txt").write_text("a/1.png\nb/2.png\n")
    assert from_images(tmp_path / "list.txt").labels is None


def test_digits_as_classes(tmp_path):
    save_all(tmp_path, "00000/1.png", "7/2.png")
    assert from_images(tmp_path).label_names == ["00000", "7"]


def write_labels(folder, *pairs):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({"labels": pairs, "more": 1}))


@pytest.mark.parametrize("pack", [Path, lambda folder: zipped(folder, folder.with_suffix(".zip"), "in/")])
def test_dataset_json(tmp_path, pack):
    save_all(tmp_path / "in", "b/2.png", "b/1.png", "a.png")
    write_labels(tmp_path / "in", ["b/2.png", 3], ["a.png", 0], ["b/1.png", 1])
    source = from_images(pack(tmp_path / "in"))
    np.testing.assert_array_equal(source.labels, np.eye(4)[[0, 1, 3]])
    assert (source.labels.dtype, source.label_names) == (np.float32, ["0", "1", "2", "3"])
    assert from_images(pack(tmp_path / "in"), labels="none").labels is None


def test_root_of_a_zip_with_one_folder_of_images(tmp_path):
    save_all(tmp_path / "in", "00000/1.png")
    write_labels(tmp_path / "in", ["00000/1.png", 1])
    source = from_images(zipped(tmp_path / "in", tmp_path / "in.zip"))
    np.testing.assert_array_equal(source.labels, [[0, 1]])


def test_vector_labels(tmp_path):
    save_all(tmp_path, "a.png", "b.png")
    write_labels(tmp_path, ["b.png", [1, -2.5]], ["a.png", [0.25, 3]])
    source = from_images(tmp_path)
    np.testing.assert_array_equal(source.labels, [[0.25, 3], [1, -2.5]])
    assert (source.labels.dtype, source.label_names) == (np.float32, None)


def test_null_labels_win_over_class_folders(tmp_path):
    save_all(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "dataset.json").write_text('{"labels": null}')
    assert from_images(tmp_path).labels is None


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[]", b"{}", b'{"labels": {"a.png": 1}}'])
def test_no_labels_file(tmp_path, content):
    save_all(tmp_path, "a.png")
    (tmp_path / "dataset.json").write_bytes(content)
    refused(tmp_path, tmp_path / "dataset.json")
    assert from_images(tmp_path, labels="none").num_images == 1


@pytest.mark.parametrize(
    "pairs, words",
    [
        ([["a.png", 0]], ["no label for 2 images", "first is b.png"]),
        ([["a.png", 0], ["b.png", 0], ["c.png", 0], ["y", 0], ["x", 0]], ["2 images that are not there", "first is x"]),
        ([["a.png", 0], ["b.png", 0], ["c.png", 0], ["a.png", 1]], ["a.png twice"]),
        ([["a.png", 0], ["b.png"], ["c.png", 0]], ['["b.png"]']),
        ([["a.png", 0], ["b.png", "cat"], ["c.png", 0]], ['b.png with "cat"']),
        ([["a.png", 0], ["b.png", True], ["c.png", 0]], ["b.png with true"]),
        ([["a.png", 0], ["b.png", -1], ["c.png", 0]], ["b.png with -1"]),
        ([["a.png", 0], ["b.png", 10**9], ["c.png", 0]], ["b.png with 1000000000"]),
        ([["a.png", 0], ["b.png", [0]], ["c.png", 0]], ["b.png with [0]"]),
        ([["a.png", [0]], ["b.png", [0, 1]], ["c.png", [0]]], ["b.png with [0, 1]"]),
        ([["a.png", [0]], ["b.png", [float("nan")]], ["c.png", [0]]], ["b.png with [NaN]"]),
        ([["a.png", [0]], ["b.png", [10**400]], ["c.png", [0]]], ["b.png with [1000"]),
        ([["a.png", None], ["b.png", 0], ["c.png", 0]], ["a.png with null"]),
        ([["a.png", []], ["b.png", []], ["c.png", []]], ["a.png with []"]),
    ],
)
def test_labels_that_do_not_fit(tmp_path, pairs, words):
    save_all(tmp_path, "a.png", "b.png", "c.png")
    write_labels(tmp_path, *pairs)
    refused(tmp_path, tmp_path / "dataset.json", *words)


def write_named(folder, content):
    """Two images in `folder`, and a dataset.json."""
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / name)
    (folder / "dataset.json").write_text(json.dumps(content))


def test_names_of_classes_also_of_those_without_images(tmp_path):
    write_named(tmp_path, {"labels": [["a.png", 1], ["b.png", 0]], "label_names": ["cat", "dog", "eel"]})
    source = from_images(tmp_path)
    assert source.label_names == ["cat", "dog", "eel"]
    np.testing.assert_array_equal(source.labels, [[0, 1, 0], [1, 0, 0]])


def test_names_of_columns(tmp_path):
    write_named(tmp_path, {"labels": [["a.png", [1, 0.5]], ["b.png", [0, 2]]], "label_names": ["x", "y"]})
    assert from_images(tmp_path).label_names == ["x", "y"]


@pytest.mark.parametrize(
    "labels, names",
    [
        ([0, 1], ["cat"]),
        ([0, 1], "cat"),
        ([0, 1], [1, 2]),
        ([[1, 0.5], [0, 2]], ["x"]),
        ([[1, 0.5], [0, 2]], ["x", "y", "z"]),
    ],
)
def test_names_that_do_not_fit(tmp_path, labels, names):
    pairs = [list(pair) for pair in zip(["a.png", "b.png"], labels, strict=True)]
    write_named(tmp_path, {"labels": pairs, "label_names": names})
    with pytest.raises(DatasetError, match="label_names"):
        from_images(tmp_path)
