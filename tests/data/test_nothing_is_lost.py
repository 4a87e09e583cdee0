"""Odd sources of pictures: nothing in them is dropped without a word, and a folder and a .zip of it are read alike."""

import io
import json
import os
import shutil
import struct
import zipfile
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from datasets.convert import create_dataset, plan_dataset
from datasets.errors import DatasetError
from datasets.image_folder import from_images
from datasets.naming import ordered_classes, readable
from datasets.pictures import read_picture
from datasets.summary import summarize
from datasets.tfrecords import MultiResolutionDataset


def picture(format="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)).save(buffer, format, **options)
    return buffer.getvalue()


PNG = picture()


def labels_file(pairs, **more):
    return json.dumps({"labels": pairs, **more}).encode()


def write(folder, files):
    """Writes {name: bytes}, or names of pictures, below a folder; a name may be bytes."""
    files = files if isinstance(files, dict) else dict.fromkeys(files, PNG)
    for name, content in files.items():
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
    return folder


def zipped(folder, separator="/"):
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                info = zipfile.ZipInfo("x")
                info.filename = str(file.relative_to(folder.parent)).replace("/", separator)
                archive.writestr(info, file.read_bytes())
    return path


def classes_of(source):
    """{name of a class: images of it}, or None."""
    if source.labels is None:
        return None
    return dict(zip(source.label_names, source.labels.sum(axis=0).astype(int).tolist(), strict=True))


def refused(source, *words, **options):
    with pytest.raises(DatasetError) as error:
        from_images(source, **options)
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


PACKS = {
    "folder": lambda folder: folder,
    "zip": zipped,
    "zip of Windows": lambda folder: zipped(folder, "\\"),
}
NUMBERED = [["0.png", 0], ["1.png", 1]]
TREES = {
    "class folders": (["a/0.png", "b/0.png", "b/1.png"], {"a": 1, "b": 2}),
    "class folders one down": (["in/a/0.png", "in/b/0.png"], {"a": 1, "b": 1}),
    "class folders with more": ({"a/0.png": PNG, "b/x/0.png": PNG, "readme.txt": b""}, {"a": 1, "b": 1}),
    "labels": ({"0.png": PNG, "1.png": PNG, "dataset.json": labels_file(NUMBERED)}, {"0": 1, "1": 1}),
    "labels one down": (
        {"x/0.png": PNG, "x/1.png": PNG, "x/dataset.json": labels_file(NUMBERED)},
        {"0": 1, "1": 1},
    ),
    "labels far down": (
        {"x/y/0.png": PNG, "x/y/1.png": PNG, "x/y/dataset.json": labels_file(NUMBERED)},
        {"0": 1, "1": 1},
    ),
    "labels in another case": ({"0.png": PNG, "1.png": PNG, "Dataset.JSON": labels_file(NUMBERED)}, {"0": 1, "1": 1}),
    "labels beside the folder": (
        {"x/0.png": PNG, "x/1.png": PNG, "dataset.json": labels_file(NUMBERED)},
        {"0": 1, "1": 1},
    ),
    "labels in a folder of their own": (
        {"x/0.png": PNG, "x/1.png": PNG, "meta/dataset.json": labels_file([["x/0.png", 0], ["x/1.png", 1]])},
        {"0": 1, "1": 1},
    ),
    "labels with Windows' separators": (
        {"x/0.png": PNG, "y/1.png": PNG, "dataset.json": labels_file([["x\\0.png", 0], [".\\y\\1.png", 1]])},
        {"0": 1, "1": 1},
    ),
    "labels with names in another case, or with other letters of the same look": (
        {"A.PNG": PNG, "\u00e9.png": PNG, "dataset.json": labels_file([["a.png", 0], ["e\u0301.png", 1]])},
        {"0": 1, "1": 1},
    ),
    "labels that are names": (
        {"0.png": PNG, "1.png": PNG, "dataset.json": labels_file([["0.png", "dog"], ["1.png", "cat"]])},
        {"cat": 1, "dog": 1},
    ),
    "labels that are names of numbers": (
        {f"{n}.png": PNG for n in range(3)}
        | {"dataset.json": labels_file([["0.png", "10"], ["1.png", "9"], ["2.png", "9"]])},
        {"9": 2, "10": 1},
    ),
    "labels that are some of the names": (
        {"0.png": PNG, "dataset.json": labels_file([["0.png", "dog"]], label_names=["cat", "dog"])},
        {"cat": 0, "dog": 1},
    ),
    "one empty class": (
        {f"{n}.png": PNG for n in (1, 2, 3)} | {"dataset.json": labels_file([[f"{n}.png", n] for n in (1, 2, 3)])},
        {"0": 0, "1": 1, "2": 1, "3": 1},
    ),
    "sparse classes": (
        {f"{n}.png": PNG for n in (7, 40_000)} | {"dataset.json": labels_file([["7.png", 7], ["40000.png", 40_000]])},
        {"7": 1, "40000": 1},
    ),
    "leading zeros": (["01/0.png", "002/0.png", "10/0.png", "1/0.png"], {"01": 1, "1": 1, "002": 1, "10": 1}),
    "one folder": (["a/0.png", "a/1.png"], None),
    "folders that only divide": (["00000/0.png", "00001/1.png"], None),
}


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("tree", TREES)
def test_labels_are_found_wherever_they_are(tmp_path, tree, pack):
    files, expected = TREES[tree]
    source = from_images(PACKS[pack](write(tmp_path / "in", files)))
    found = classes_of(source)
    assert (found, list(found or ())) == (expected, list(expected or ()))
    assert source.origin  # where they are from, or why there are none


REFUSED = {
    "stray": (
        ["a/0.png", "b/0.png", "cover.png"],
        ["2 folders", "without a class: 1, the first is cover.png", "--labels=none"],
    ),
    "two files of labels": (
        {"a/0.png": PNG, "a/dataset.json": b"{}", "b/0.png": PNG, "b/dataset.json": b"{}"},
        ["a/dataset.json and ", "b/dataset.json both"],
    ),
    "two cases of one name": (
        {"0.png": PNG, "Dataset.json": labels_file([["0.png", 0]]), "dataset.json": labels_file([["0.png", 0]])},
        ["Dataset.json and ", "--labels=none"],
    ),
    "counted from 1": (
        {"0.png": PNG, "dataset.json": labels_file([["0.png", 2]], label_names=["cat", "dog"])},
        ["2 label_names, of classes 0 to 1", "class 2"],
    ),
    "other files": (
        {"0.png": PNG, "dataset.json": labels_file([["/home/me/0.png", 2]])},
        ["no label for 1 images, the first is 0.png", "lists 1 that are not there, the first is /home/me/0.png"],
    ),
    "none of the names": (
        {"0.png": PNG, "dataset.json": labels_file([["0.png", "Dog"]], label_names=["cat", "dog"])},
        ["'Dog'", "none of its label_names"],
    ),
    "two classes of one name": (
        {"0.png": PNG, "dataset.json": labels_file([["0.png", 0]], label_names=["cat", "cat"])},
        ["two classes or columns called 'cat'"],
    ),
    "nothing but others": ({"a.zip": b"PK", "b.heic": b"x"}, ["holds no images", "1 of type .zip", "1 of type .heic"]),
}


@pytest.mark.parametrize("pack", ["folder", "zip"])
@pytest.mark.parametrize("tree", REFUSED)
def test_what_could_mean_two_things_is_refused(tmp_path, tree, pack):
    files, words = REFUSED[tree]
    folder = write(tmp_path / "in", files)
    refused(PACKS[pack](folder), *words)


def test_ids_of_images_are_no_classes(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.image_labels._FEW_CLASSES", 3)
    write(tmp_path, [f"{n}.png" for n in range(5)])
    (tmp_path / "dataset.json").write_bytes(labels_file([[f"{n}.png", 10_000 * n] for n in range(5)]))
    refused(tmp_path, "5 classes for 5 images", "--labels=none")


# Links


def linked(folder):
    """Class folders of which two are links, with links that lead in circles, and nowhere else."""
    write(folder / "in", ["cat/0.png", "cat/1.png"])
    write(folder / "elsewhere", ["dog/0.png", "emu/0.png"])
    for name in ("dog", "emu"):
        os.symlink(f"../elsewhere/{name}", folder / "in" / name)
    os.symlink("../../elsewhere/dog/0.png", folder / "in" / "cat" / "2.png")
    for name, target in {"self": ".", "up": "..", "root": "/", "again": "cat", "dog2": "dog"}.items():
        os.symlink(target, folder / "in" / name)
    os.symlink("..", folder / "elsewhere" / "emu" / "back")
    return folder / "in"


def test_links_are_followed_once(tmp_path):
    source = from_images(linked(tmp_path))
    assert classes_of(source) == {"cat": 3, "dog": 1, "emu": 1}
    # The folder that "back" leads to is read, without those in it that have been.
    assert source.left_out == {"linking to folders that are read anyway, the first again": 7}


def test_links_that_lead_nowhere(tmp_path):
    write(tmp_path, ["a/0.png", "b/0.png"])
    os.symlink("missing", tmp_path / "c")
    refused(tmp_path, f"{tmp_path / 'c'} is a link that leads nowhere")
    os.remove(tmp_path / "c")
    os.symlink("d", tmp_path / "c")
    os.symlink("c", tmp_path / "d")
    refused(tmp_path, "is a link that leads nowhere")
    os.remove(tmp_path / "c")
    os.rename(tmp_path / "d", tmp_path / "a" / "1.png")
    refused(tmp_path, "1.png: it cannot be read")
    assert from_images(tmp_path, on_error="skip").num_unusable == 1


def test_links_in_a_zip_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr("in/cat/0.png", PNG)
        link = zipfile.ZipInfo("in/dog")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "../elsewhere/dog")
    refused(tmp_path / "in.zip", "in/dog is a link")


def test_members_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr("in/0.png", PNG)
        archive.writestr("./in/0.png", PNG)
    refused(tmp_path / "in.zip", "in/0.png is in the .zip twice")


def test_devices_are_no_pictures(tmp_path):
    write(tmp_path, ["0.png"])
    os.mkfifo(tmp_path / "1.png")
    source = from_images(tmp_path)
    assert (source.num_images, sum(source.left_out.values())) == (1, 1)


# Suffixes


FORMATS = {
    "PNG": ["a.png", "a.PNG", "a.apng", "a", "a.jpg", "a.png!large", "a.bin"],
    "JPEG": ["a.jpeg", "a.jfif", "a.jpe", "a.JIF", "a.mpo", "a.jpg_large", "a.jpg?x=1"],
    "GIF": ["a.gif", "a.part"],
    "AVIF": ["a.avif", "a.avif.1"],
    "WEBP": ["a.webp", "a.image"],
    "BMP": ["a.bmp"],
    "DIB": ["a.dib"],
    "TIFF": ["a.tif", "a.TIFF"],
    "JPEG2000": ["a.jp2", "a.JPX", "a.x"],
    "PPM": ["a.ppm", "a.pnm"],
    "QOI": ["a.qoi"],
}


@pytest.mark.parametrize("format, name", [(format, name) for format, names in FORMATS.items() for name in names])
def test_what_is_a_picture(tmp_path, format, name):
    if format == "QOI" and "QOI" not in Image.SAVE:
        pytest.skip("Pillow cannot write QOI")
    source = from_images(write(tmp_path, {name: picture(format)}))
    assert (source.num_images, source.left_out) == (1, {})
    assert source.decode(source.fetch(0)).shape == (8, 8, 3)


def test_what_is_left_out_is_counted(tmp_path):
    others = ("a.txt", "b.TXT", "c.heic", "LICENSE", ".DS_Store", "__MACOSX/._0.png", ".cache/0.png", "x.dng")
    files = {"0.png": PNG} | dict.fromkeys(others, b"II*\0 raw")
    folder = write(tmp_path / "in", files)
    expected = {"of type .txt": 2, "of type .heic": 1, "without suffix": 1, "hidden": 3, "of type .dng": 1}
    for pack in PACKS.values():
        assert from_images(pack(folder)).left_out == expected
    source = from_images(folder)
    line = summarize(1, None, None, source, skipped=0)
    assert line == (
        "1 image, no labels (there is no dataset.json, and there are no folders of two classes); left out: 3 hidden, "
        "2 of type .txt, 1 without suffix, 1 of type .heic, 1 of type .dng"
    )


def test_class_folders_without_pictures_are_told(tmp_path):
    folder = write(tmp_path / "in", {"a/0.png": PNG, "b/0.png": PNG, "c/0.heic": b"x", "d/e/0.svg": b"<svg>"})
    for pack in PACKS.values():
        source = from_images(pack(folder))
        assert classes_of(source) == {"a": 1, "b": 1}
        assert source.notes == ("no classes, as there are no images in them: c, d",)


def test_animated_gifs_are_said(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "0.gif", save_all=True, append_images=frames[1:])
    source = from_images(tmp_path)
    assert source.decode(source.fetch(0))[0, 0].tolist() == [255, 0, 0]
    assert source.notes == ("animated GIFs of which the first frame was taken: 1",)


def test_summary_of_classes(tmp_path):
    files = {f"{n}.png": PNG for n in (1, 2)} | {"dataset.json": labels_file([["1.png", 1], ["2.png", 2]])}
    source = from_images(write(tmp_path, files))
    plan = plan_dataset(tmp_path / "out", source, max_images=1)
    assert summarize(1, plan.labels, plan.label_names, source) == (
        f"1 image, 1 class: 1 (1); without images: 0, 2 (from {tmp_path}/dataset.json); left out: 1 beyond --max-images"
    )


# Order


@pytest.mark.parametrize(
    "expected",
    [
        ["0", "1", "2", "10"],
        ["00", "01", "2", "010"],
        ["-10", "-2", "0", "0.25", "0.5", "3"],
        ["class-2", "class-10"],
        ["a", "b", "c"],
        ["01", "1", "x1", "x02", "x10y9", "x10y10"],
        ["9" * 30, "1" + "0" * 30],
        ["Zoo", "ape"],
    ],
)
def test_order_of_classes(expected):
    assert ordered_classes(set(expected)) == sorted(expected, key=expected.index)


# Bits


def save_bits(path, bits):
    values = np.random.default_rng(bits).integers(0, 2**bits, (8, 8)).astype(np.uint16)
    values[0, :2] = 0, 2**bits - 1
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return values


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 15])
def test_few_bits_in_16(tmp_path, bits, suffix):
    values = save_bits(tmp_path / "in" / f"0.{suffix}", bits)
    most = 2**bits - 1
    refused(tmp_path / "in", f"0.{suffix}: 16 bits a value, but values from 0 to {most}", f"--levels=0-{most} ")
    source = from_images(tmp_path / "in", value_range=(0, most))
    expected = np.floor(values * (255 / most) + 0.5)
    np.testing.assert_array_equal(source.decode(source.fetch(0))[:, :, 0], expected)
    assert source.notes == (f"files of 16 bits that were scaled from 0-{most} to 0-255: 1",)
    source = from_images(tmp_path / "in", value_range=(0, 65535))
    np.testing.assert_array_equal(source.decode(source.fetch(0))[:, :, 0], np.rint(values / 257))
    source = from_images(tmp_path / "in", value_range=(0, 100))
    with pytest.raises(DatasetError, match="beyond --levels=0-100"):
        source.decode(source.fetch(0))


def test_one_file_alone_does_not_tell_the_range(tmp_path):
    dark, bright = save_bits(tmp_path / "0.png", 12), save_bits(tmp_path / "1.png", 16)
    source = from_images(tmp_path)
    for index, values in enumerate((dark, bright)):
        np.testing.assert_array_equal(source.decode(source.fetch(index))[:, :, 0], np.rint(values / 257))
    with pytest.raises(DatasetError, match="values from 0 to 4095 only"):
        read_picture(tmp_path / "0.png")


def test_few_bits_in_colour(tmp_path):
    """Pillow reads the high bytes of 16-bit colour, and cannot write it: a PNG made by hand."""
    values = np.random.default_rng(0).integers(0, 4096, (8, 8, 3)).astype(">u2")
    write_colour(tmp_path / "0.png", values)
    refused(tmp_path, "0.png: 16 bits a value, but values from ")
    source = from_images(tmp_path, value_range=(0, 4095))
    with pytest.raises(DatasetError, match="--levels cannot scale them"):
        source.decode(source.fetch(0))
    write_colour(tmp_path / "0.png", values * 16)
    source = from_images(tmp_path)
    np.testing.assert_array_equal(source.decode(source.fetch(0)), values * 16 // 256)


def write_colour(path, values):
    """Writes big-endian uint16 [H, W, 3] as a PNG file of 16 bits a value."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.tobytes() for row in values.astype(">u2"))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows))]
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in (*chunks, (b"IEND", b"")):
            file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))


def test_levels_need_16_bits(tmp_path):
    refused(write(tmp_path, ["0.png"]), "8 bits a value", value_range=(0, 4095))


# Names


ODD = [b"c\xff", b"a\nb", b"tab\there", b"\x1b[31mred", "line\u2028break".encode(), b'it\'s "quoted" $HOME', b" b "]


@pytest.mark.parametrize("name", ODD)
def test_any_name_is_converted(tmp_path, name):
    write(tmp_path / "in", [name + b"/0" + name + b".png", b"d/0.png", b"d/1" + name])
    (tmp_path / "in" / "d" / "broken.png").write_bytes(b"")
    source = from_images(tmp_path / "in", on_error="skip")
    created = create_dataset(tmp_path / "out", source, on_error="skip", workers=1)
    assert (created.num_images, len(created.skipped)) == (3, 1)
    dataset = MultiResolutionDataset(tmp_path / "out", max_label_size="full")
    shown = readable(os.fsdecode(name))
    assert sorted(dataset.label_names) == sorted([shown, "d"])
    assert shown.isprintable() and shown.encode()
    line = summarize(created.num_images, created.labels, created.label_names, source, 1)
    assert f"{shown} (1)" in line and line.encode() and "\n" not in line


def test_odd_names_that_cannot_be_read_are_told(tmp_path):
    write(tmp_path, {b"a\xff\n.png": b""})
    refused(tmp_path, "a\\xff\\n.png: it is no image")
    refused(tmp_path / "a\udcff", "a\\xff does not exist")


def test_list_of_odd_names(tmp_path):
    write(tmp_path, [b"c\xff.png", b"d.png"])
    (tmp_path / "list.txt").write_bytes(b"c\xff.png\nd.png\n")
    source = from_images(tmp_path / "list.txt")
    assert [source.decode(source.fetch(index)).shape for index in range(2)] == [(8, 8, 3)] * 2


def test_names_of_labels_stay_beside_their_columns(tmp_path):
    names = ["a\nb", "c\x0cd", "e\u2028f", ""]
    pairs = [[f"{n}.png", n] for n in range(4)]
    write(
        tmp_path / "in", {f"{n}.png": PNG for n in range(4)} | {"dataset.json": labels_file(pairs, label_names=names)}
    )
    create_dataset(tmp_path / "out", from_images(tmp_path / "in"), workers=1)
    dataset = MultiResolutionDataset(tmp_path / "out", max_label_size="full")
    assert dataset.label_names == ["a\\nb", "c\\x0cd", "e\\u2028f", ""]


# Data that are not finite, and data sets that cannot be made


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_labels_that_are_not_finite(tmp_path, value):
    write(tmp_path / "in", ["0.png", "1.png"])
    labels = np.array([[0.0], [value]])
    source = replace(from_images(tmp_path / "in"), labels=labels)
    with pytest.raises(DatasetError, match=r"1\.png: its labels are not finite"), np.errstate(over="ignore"):
        plan_dataset(tmp_path / "out", source)
    create_dataset(tmp_path / "out", from_images(tmp_path / "in"), workers=1)
    np.save(tmp_path / "out" / "labels.npy", labels)
    shutil.move(tmp_path / "out" / "labels.npy", tmp_path / "out" / "out-rxx.labels")
    for size in (0, "full"):
        with pytest.raises(DatasetError, match=r"out-rxx\.labels holds no finite numbers for 1 images; the first is 1"):
            MultiResolutionDataset(tmp_path / "out", max_label_size=size)


def test_folders_that_cannot_be_made(tmp_path):
    os.symlink("nowhere", tmp_path / "out")
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "closed").mkdir(mode=0o500)
    source = from_images(write(tmp_path / "in", ["0.png"]))
    places = {"out": "is a link that leads nowhere", "file/out": "is no folder", "out/x": "is no folder"}
    if os.geteuid():
        places["closed/x"] = "must not be written to"
    for place, words in places.items():
        with pytest.raises(OSError, match=words):
            plan_dataset(tmp_path / place, source)
