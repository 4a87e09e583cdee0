"""The door to data sets, as a user meets it: what each command makes and says, and what it says to wrong input."""

import errno
import hashlib
import json
import re
import shlex
import shutil
import sys
import zipfile

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from processes import start_python
from sklearn.datasets import load_digits
from tiny_formats import (
    noise,
    save_images,
    write_celeba,
    write_celebahq,
    write_cifar10,
    write_cifar100,
    write_faces,
    write_ffhq,
    write_hdf5,
    write_lsun,
    write_mnist,
    write_svhn,
)

import dataset_tool
import run_training
from datasets import convert, views
from datasets.avatars import avatars
from datasets.digits import enlarge
from datasets.opening import open_dataset
from datasets.tfrecords import MultiResolutionDataset, shuffled_order

COMMANDS = dataset_tool.main.commands
CREATE = [name for name in COMMANDS if name.startswith("create-")]


def invoke(*arguments):
    """The door in this process."""
    return CliRunner().invoke(dataset_tool.main, list(map(str, arguments)), prog_name="dataset_tool.py")


def run(*arguments, exit_code=0):
    """Runs a command that should work, and returns what it prints; nothing goes to stderr without a terminal."""
    if "create" in str(arguments[0]) or arguments[0] == "align-faces":
        arguments = *arguments, "--workers=1"
    result = invoke(*arguments)
    assert result.exit_code == exit_code, (result.output, result.exception)
    assert result.stderr == ""
    return result.stdout


def state(folder):
    """What every file in a folder holds."""
    return {
        path: hashlib.sha256(path.read_bytes()).digest() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def rejects(folder, arguments, *words):
    """Asserts that the door refuses with exit code 2 and one line that holds the words, and leaves nothing behind."""
    before = state(folder)
    result = invoke(*arguments)
    assert result.exit_code == 2, (result.output, result.exception)
    assert (result.stdout, result.stderr.count("\n")) == ("", 1), result.output
    assert result.stderr.startswith("Error: ") and result.stderr.endswith("\n")
    for word in words:
        assert str(word) in result.stderr
    assert state(folder) == before


def assert_holds(folder, images, labels=None, names=None, shuffle=True):
    """Asserts what a data set holds, given the images and labels in the order of their source."""
    dataset = MultiResolutionDataset(folder, max_label_size="full")
    order = shuffled_order(len(images)) if shuffle else np.arange(len(images))
    assert dataset.num_images == len(images)
    assert dataset.resolutions == tuple(4 << level for level in range((len(images[0]) // 4).bit_length()))
    np.testing.assert_array_equal(dataset.read_images(dataset.resolution, range(len(images))), images[order])
    assert dataset.label_size == (0 if labels is None else labels.shape[1])
    if labels is not None:
        np.testing.assert_array_equal(dataset.labels, labels[order])
    assert dataset.label_names == names


def one_hot(classes, size):
    return np.eye(size, dtype=np.float32)[np.asarray(classes)]


DIGITS = list("0123456789")


# Images of one's own.


@pytest.fixture(scope="module")
def cats(tmp_path_factory):
    """Folder `cats` with eight images of 16x16 in two folders, and the data set `data/cats` of it."""
    folder = tmp_path_factory.mktemp("own")
    save_images(folder / "cats", noise(4, 16, 16, 3), "long/{}.png")
    save_images(folder / "cats", noise(4, 16, 16, 3, seed=1), "short/{}.png")
    run("create-from-images", folder / "data" / "cats", folder / "cats")
    return folder


CAT_IMAGES = np.concatenate([noise(4, 16, 16, 3), noise(4, 16, 16, 3, seed=1)])
CAT_LABELS = one_hot([0, 0, 0, 0, 1, 1, 1, 1], 2)


def test_folders_are_classes(cats, tmp_path):
    output = run("create-from-images", tmp_path / "cats", cats / "cats")
    assert_holds(tmp_path / "cats", CAT_IMAGES, CAT_LABELS, ["long", "short"])
    created, train = output.splitlines()
    size = re.escape(f"8 images, 2 classes: long (4), short (4) (from the folders of {cats / 'cats'})")
    what = f"{size}; left out: nothing\\."
    assert re.fullmatch(rf"Created {re.escape(str(tmp_path / 'cats'))} in 0 min \d+ s: {what}", created)
    assert train == f"Train on it: python run_training.py --dataset=cats --data-dir={tmp_path}"
    assert [path.name for path in tmp_path.iterdir()] == ["cats"]


def test_data_is_where_training_looks(cats, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("create-from-images", "data/cats/", cats / "cats").endswith("run_training.py --dataset=cats\n")
    assert run("create-from-images", "cats", cats / "cats").endswith("run_training.py --dataset=cats --data-dir=.\n")


def test_zip_and_list(cats, tmp_path):
    files = sorted((cats / "cats").rglob("*.png"))
    with zipfile.ZipFile(tmp_path / "cats.zip", "w") as archive:
        for path in files:
            archive.write(path, path.relative_to(cats))
    run("create-from-images", tmp_path / "zipped", tmp_path / "cats.zip")
    assert_holds(tmp_path / "zipped", CAT_IMAGES, CAT_LABELS, ["long", "short"])
    (tmp_path / "cats.txt").write_text("\n".join(map(str, files[::-1])))
    output = run("create-from-images", tmp_path / "listed", tmp_path / "cats.txt", "--no-shuffle")
    assert_holds(tmp_path / "listed", CAT_IMAGES[::-1], shuffle=False)
    assert "8 images, no labels (files of a list have none)" in output


def test_labels_of_a_json_file(cats, tmp_path):
    shutil.copytree(cats / "cats", tmp_path / "cats")
    names = [f"{folder}/{number}.png" for folder in ("long", "short") for number in range(4)]
    pairs = [[name, number % 3] for number, name in enumerate(names)]
    (tmp_path / "cats" / "dataset.json").write_text(json.dumps({"labels": pairs}))
    run("create-from-images", tmp_path / "out", tmp_path / "cats")
    assert_holds(tmp_path / "out", CAT_IMAGES, one_hot(np.arange(8) % 3, 3), DIGITS[:3])
    run("create-from-images", tmp_path / "without", tmp_path / "cats", "--labels=none")
    assert_holds(tmp_path / "without", CAT_IMAGES)


def test_crop_and_resize(tmp_path):
    images = save_images(tmp_path / "wide", noise(3, 16, 24, 3))
    cut = images[:, :, 4:20].reshape(3, 8, 2, 8, 2, 3).astype(int).sum(axis=(2, 4))
    given = [tmp_path / "wide", "--resolution=8", "--crop=center"]
    run("create-from-images", tmp_path / "box", *given, "--resize=box")
    assert_holds(tmp_path / "box", (cut + 2) // 4)
    run("create-from-images", tmp_path / "lanczos", *given)
    resized = [Image.fromarray(image[:, 4:20]).resize((8, 8), Image.Resampling.LANCZOS) for image in images]
    assert_holds(tmp_path / "lanczos", np.stack([np.asarray(image) for image in resized]))


def test_first_images_in_their_own_order(cats, tmp_path):
    run("create-from-images", tmp_path / "few", cats / "cats", "--no-shuffle", "--max-images=5")
    assert_holds(tmp_path / "few", CAT_IMAGES[:5], CAT_LABELS[:5], ["long", "short"], shuffle=False)


def test_transparent_images(tmp_path):
    images = noise(2, 8, 8, 4)
    images[:, :, :4, 3], images[:, :, 4:, 3] = 0, 255
    save_images(tmp_path / "in", images)
    run("create-from-images", tmp_path / "out", tmp_path / "in", "--background=#102030")
    images[:, :, :4, :3] = (0x10, 0x20, 0x30)
    assert_holds(tmp_path / "out", images[..., :3])


def test_png_shards(cats, tmp_path):
    run("create-from-images", tmp_path / "cats", cats / "cats", "--encoding=png", "--shards=2")
    assert_holds(tmp_path / "cats", CAT_IMAGES, CAT_LABELS, ["long", "short"])
    level = MultiResolutionDataset(tmp_path / "cats").level(16)
    assert (level.encoding, len(level.files)) == ("png", 2)
    assert run("verify", tmp_path / "cats") == f"{tmp_path / 'cats'} is good: 8 images.\n"
    assert "hold the same images" in run("compare", tmp_path / "cats", cats / "data" / "cats")


def test_jpeg_quality(tmp_path):
    rows, columns = np.mgrid[:32, :32] * 8
    images = save_images(tmp_path / "in", np.stack([rows, columns, 255 - rows], axis=-1)[np.newaxis].astype(np.uint8))
    distances, sizes = [], []
    for quality in (20, 95):
        out = tmp_path / f"q{quality}"
        run("create-from-images", out, tmp_path / "in", "--encoding=jpeg", f"--quality={quality}")
        dataset = MultiResolutionDataset(out)
        distances.append(np.abs(dataset.read_images(32, [0]).astype(int) - images).mean())
        sizes.append(dataset.level(32).num_bytes)
        assert dataset.level(32).encoding == "jpeg"
    assert 0 < distances[1] < distances[0] < 8
    assert sizes[0] < sizes[1] < images.nbytes


def test_skipped_files_are_listed(cats, tmp_path):
    shutil.copytree(cats / "cats", tmp_path / "cats")
    (tmp_path / "cats" / "long" / "1.png").write_bytes(b"no picture")
    whole = (tmp_path / "cats" / "short" / "2.png").read_bytes()
    (tmp_path / "cats" / "short" / "2.png").write_bytes(whole[:-100])
    rejects(tmp_path, ["create-from-images", tmp_path / "out", tmp_path / "cats"], "long/1.png: it is no image")

    lines = run("create-from-images", tmp_path / "out", tmp_path / "cats", "--on-error=skip").splitlines()
    report = tmp_path / "out" / "out-skipped.txt"
    skipped = [line.strip() for line in lines if line.startswith("  ")]
    assert f"Skipped 2 that could not be used; all are in {report}:" in lines
    assert sorted(line.partition(": ")[0] for line in skipped) == [
        str(tmp_path / "cats" / name) for name in ("long/1.png", "short/2.png")
    ]
    assert all("Repair or remove it." in line for line in skipped)
    assert report.read_text().replace("\t", ": ").splitlines() == skipped
    kept = shuffled_order(8)[~np.isin(shuffled_order(8), [1, 6])]
    assert_holds(tmp_path / "out", CAT_IMAGES[kept], CAT_LABELS[kept], ["long", "short"], shuffle=False)


def test_long_list_of_skipped_files(tmp_path):
    save_images(tmp_path / "in", noise(30, 4, 4, 3))
    for number in range(25):
        (tmp_path / "in" / f"{number:02d}.png").write_bytes(b"")
    output = run("create-from-images", tmp_path / "out", tmp_path / "in", "--on-error=skip")
    assert len([line for line in output.splitlines() if line.startswith(f"  {tmp_path / 'in'}")]) == 20
    assert "\n  and 5 more\n" in output
    assert len((tmp_path / "out" / "out-skipped.txt").read_text().splitlines()) == 25


@pytest.mark.parametrize("encoding", ["raw", "png", "jpeg"])
def test_dry_run(cats, tmp_path, encoding):
    before = state(cats)
    output = run("create-from-images", tmp_path / "out", cats / "cats", "--dry-run", f"--encoding={encoding}")
    images = f"8 images, 2 classes: long (4), short (4) (from the folders of {cats / 'cats'})"
    what = f"of 16x16 with 3 channels, about 1 MiB: {images}; left out: nothing."
    assert output == f"Would create {tmp_path / 'out'} {what}\n"
    assert not list(tmp_path.iterdir()) and state(cats) == before


# Published data sets.


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder with each of the formats, and what data sets of them must hold, by command.

    Values are (arguments after OUT, images, labels, names of labels, whether shuffled).
    """
    folder = tmp_path_factory.mktemp("published")
    made = {}
    faces = write_ffhq(folder / "images1024x1024", validation=[1, 3, 6, 7])
    metadata = f"--metadata={folder / 'ffhq-dataset-v2.json'}"
    given = [folder / "images1024x1024", metadata, "--split=validation"]
    made["create-ffhq"] = given, faces[[1, 3, 6, 7]], None, None, True

    attributes = ["Bald", "Smiling", "Young"]
    faces, labels = write_celebahq(folder / "CelebA-HQ-img", attributes)
    given = [folder / "CelebA-HQ-img", f"--attributes={folder / 'list_attr.txt'}"]
    made["create-celebahq"] = given, faces, labels, attributes, True

    faces = write_celeba(folder / "img_align_celeba")
    made["create-celeba"] = [folder / "img_align_celeba"], faces, None, None, True

    rooms = write_lsun(folder / "bedroom", noise(4, 16, 20, 3))
    made["create-lsun"] = [folder / "bedroom", "--resolution=16"], rooms[:, :, 2:18], None, None, False
    cars = write_lsun(folder / "car", noise(4, 12, 16, 3))
    bars = np.pad(cars, ((0, 0), (2, 2), (0, 0), (0, 0)))
    made["create-lsun-wide"] = [folder / "car", "--width=16", "--height=12"], bars, None, None, False

    digits, classes = write_mnist(folder / "mnist")
    made["create-mnist"] = [folder / "mnist"], digits, one_hot(classes, 10), DIGITS, True
    triples = np.random.RandomState(5).randint(7, size=(9, 3))
    colours = digits[triples, :, :, 0].transpose(0, 2, 3, 1)
    made["create-mnistrgb"] = [folder / "mnist", "--num-images=9", "--seed=5"], colours, None, None, True

    names = ["plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    images, classes = write_cifar10(folder / "cifar-10-batches-py", names)
    made["create-cifar10"] = [folder / "cifar-10-batches-py"], images, one_hot(classes, 10), names, True
    names = [f"class {number}" for number in range(100)]
    images, classes = write_cifar100(folder / "cifar-100-python", names)
    made["create-cifar100"] = [folder / "cifar-100-python"], images, one_hot(classes, 100), names, True

    images, classes = write_svhn(folder / "svhn")
    made["create-svhn"] = [folder / "svhn"], images, one_hot(classes, 10), DIGITS, True
    images, labels = write_hdf5(folder / "celeba.h5")
    made["create-from-hdf5"] = [folder / "celeba.h5"], images, labels, None, True

    scans = load_digits()
    images = np.stack([enlarge(scan) for scan in scans.images[:6]])
    made["create-digits"] = ["--max-images=6"], images, one_hot(scans.target[:6], 10), DIGITS, True

    drawn = avatars(count=5, resolution=16)
    images = np.stack([drawn.decode(drawn.fetch(index)) for index in range(5)])
    made["create-avatars"] = ["--count=5", "--resolution=16"], images, drawn.labels, drawn.label_names, False
    return made


@pytest.mark.parametrize("command", [name for name in CREATE if name != "create-from-images"])
def test_published_data_set(published, tmp_path, command):
    given, images, labels, names, shuffle = published[command]
    output = run(command, tmp_path / "out", *given)
    assert_holds(tmp_path / "out", images, labels, names, shuffle)
    assert f": {len(images)} images, " in output
    assert run("verify", tmp_path / "out").endswith(f" is good: {len(images)} images.\n")


def test_align_faces(tmp_path):
    colours = [(200, 60, 30), (30, 90, 220)]
    write_faces(tmp_path / "wild", colours)
    save_images(tmp_path / "wild", noise(1, 8, 8, 3), "landscape{}.png")
    given = [tmp_path / "wild", tmp_path / "landmarks.json", "--output-size=32", "--transform-size=64"]
    output = run("align-faces", tmp_path / "faces", *given)
    sheet = tmp_path / "faces-contact-sheet.png"
    assert output.splitlines() == [
        f"Cut out 2 faces to {tmp_path / 'faces'}; {sheet} shows some.",
        "Left out, as they have no landmarks: 1 of the pictures.",
    ]
    with Image.open(sheet) as shown:
        assert (shown.format, shown.size) == ("PNG", (256, 128))
    run("create-from-images", tmp_path / "data", tmp_path / "faces", "--no-shuffle")
    images = MultiResolutionDataset(tmp_path / "data").read_images(32, range(2))
    np.testing.assert_allclose(images, np.broadcast_to(np.reshape(colours, (2, 1, 1, 3)), images.shape), atol=1)


# Looking at data sets.


def test_info(cats):
    lines = run("info", cats / "data" / "cats").splitlines()
    assert lines[0] == "cats: 8 images of 16x16, RGB"
    assert [line.split()[0] for line in lines[1:4]] == ["4x4", "8x8", "16x16"]
    assert lines[4] == "labels: 2 classes, images of each"
    assert [line.split() for line in lines[5:7]] == [["long", "4"], ["short", "4"]]


def test_verify(cats, tmp_path):
    assert run("verify", cats / "data" / "cats") == f"{cats / 'data' / 'cats'} is good: 8 images.\n"
    copy = tmp_path / "cats"
    shutil.copytree(cats / "data" / "cats", copy)
    path = copy / "cats-r04.tfrecords"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    before = state(tmp_path)
    output = run("verify", copy, exit_code=1)
    assert f"{path} is damaged at record 4" in output or f"{path} is damaged at record 3" in output
    assert f"{path} has not the SHA-256" in output
    assert output.endswith(f"\n{copy} is not good.\n")
    assert state(tmp_path) == before


def test_extract_and_create_again(cats, tmp_path):
    assert run("extract", cats / "data" / "cats", tmp_path / "png") == f"Wrote 8 images to {tmp_path / 'png'}.\n"
    run("create-from-images", tmp_path / "again", tmp_path / "png", "--no-shuffle")
    output = run("compare", cats / "data" / "cats", tmp_path / "again")
    assert output == f"{cats / 'data' / 'cats'} and {tmp_path / 'again'} hold the same images and labels.\n"
    run("extract", cats / "data" / "cats", tmp_path / "small", "--resolution=8", "--max-images=3")
    sizes = []
    for path in (tmp_path / "small").rglob("*.png"):
        with Image.open(path) as image:
            sizes.append(image.size)
    assert sizes == [(8, 8)] * 3


def test_compare_different(cats, tmp_path):
    run("create-from-images", tmp_path / "cats", cats / "cats", "--no-shuffle")
    output = run("compare", cats / "data" / "cats", tmp_path / "cats", exit_code=1)
    assert re.search(r"\n16x16: \d of 8 images differ; ", output)
    assert output.endswith(f"\n{cats / 'data' / 'cats'} and {tmp_path / 'cats'} differ.\n")


def test_preview(cats, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = CAT_IMAGES[shuffled_order(8)]
    assert run("preview", cats / "data" / "cats") == "Wrote preview.png.\n"
    with Image.open(tmp_path / "preview.png") as sheet:
        assert sheet.format == "PNG"
        np.testing.assert_array_equal(np.asarray(sheet), np.concatenate(images, axis=1))
    run("preview", cats / "data" / "cats", "--resolution=8", f"--output={tmp_path / 'small.png'}")
    with Image.open(tmp_path / "small.png") as sheet:
        assert sheet.size == (64, 8)


def test_shard(cats, tmp_path):
    run("shard", cats / "data" / "cats", tmp_path / "three", "--shards=3")
    assert len(MultiResolutionDataset(tmp_path / "three").level(16).files) == 3
    run("verify", tmp_path / "three")
    run("compare", cats / "data" / "cats", tmp_path / "three")
    run("shard", tmp_path / "three", tmp_path / "cats", "--shards=1")
    assert state_of_records(tmp_path / "cats") == state_of_records(cats / "data" / "cats")


def state_of_records(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.tfrecords")}


# Help.


@pytest.mark.parametrize("given", [[], ["--help"]])
def test_help_of_the_tool(given):
    result = CliRunner().invoke(dataset_tool.main, given, env={"COLUMNS": "80"})
    assert (result.exit_code, result.stderr) == (0, "")
    listed = result.stdout.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == list(COMMANDS)
    # What click cuts off ends with three dots.
    assert all(re.fullmatch(r"  [a-z0-9-]+ +[A-Z].*[^.]\.", line) for line in listed), listed


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(name):
    output, command = run(name, "--help"), COMMANDS[name]
    context = click.Context(command, parent=click.Context(dataset_tool.main, **dataset_tool.main.context_settings))
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            # The usage names it; the text has to say what it is.
            assert re.search(rf"\b{parameter.make_metavar(context).strip('[]')}\b", output.partition("\n")[2])
            continue
        explanation = parameter.get_help_record(context)[1]
        assert re.match(r"[A-Za-z].*\.", explanation), parameter.name
        assert parameter.is_flag or parameter.required or "[default: " in explanation, parameter.name


# Wrong input.


@pytest.mark.parametrize(
    "given, words",
    [
        (["create-from-pictures"], ["No such command 'create-from-pictures'"]),
        (["--bogus"], ["No such option", "--bogus"]),
        (["create-from-images", "{out}", "{in}", "surplus"], ["surplus"]),
        (["create-from-images", "{out}", "{in}", "--resolution=100"], ["--resolution", "100", "power of two"]),
        (["create-from-images", "{out}", "{in}", "--resolution=32"], ["0.png", "16x16", "--resolution=32"]),
        (["create-from-images", "{out}", "{in}", "--crop=left"], ["--crop", "'left'", "'center'"]),
        (["create-from-images", "{out}", "{in}", "--resize=cubic"], ["--resize", "'cubic'", "'lanczos'"]),
        (["create-from-images", "{out}", "{in}", "--background=grue"], ["--background", "grue"]),
        (["create-from-images", "{out}", "{in}", "--max-images=0"], ["--max-images", "0"]),
        (["create-from-images", "{out}", "{in}", "--encoding=gif"], ["--encoding", "'gif'", "'jpeg'"]),
        (["create-from-images", "{out}", "{in}", "--quality=101"], ["--quality", "101"]),
        (["create-from-images", "{out}", "{in}", "--quality=50"], ["--quality has no effect with --encoding=raw"]),
        (["create-from-images", "{out}", "{in}", "--shards=0"], ["--shards", "0"]),
        (["create-from-images", "{out}", "{in}", "--shards=9"], ["8 images cannot be spread over 9 shards"]),
        (["create-from-images", "{out}", "{in}", "--workers=0"], ["--workers", "0"]),
        (["create-from-images", "{out}", "{in}", "--on-error=hope"], ["--on-error", "'hope'", "'skip'"]),
        (["create-from-images", "gs://bucket/cats", "{in}"], ["OUT", "gs://bucket/cats", "not on this machine"]),
        (["create-from-images", "{in}/long/0.png/out", "{in}"], ["{in}/long/0.png/out", "Give another path"]),
        (["create-ffhq", "{out}", "{in}", "--split=test"], ["--split", "'test'", "'validation'"]),
        (["create-ffhq", "{out}", "{in}", "--metadata={out}.json"], ["--metadata", "{out}.json", "does not exist"]),
        (["create-celebahq", "{out}", "{in}", "--attributes={out}"], ["--attributes", "{out}", "does not exist"]),
        (["create-lsun", "{out}", "{in}", "--resolution=100"], ["--resolution", "100", "power of two"]),
        (["create-lsun-wide", "{out}", "{in}", "--width=100"], ["--width", "100", "power of two"]),
        (["create-lsun-wide", "{out}", "{in}", "--height=31"], ["height", "31"]),
        (["create-mnistrgb", "{out}", "{in}", "--num-images=0"], ["--num-images", "0"]),
        (["create-avatars", "{out}", "--count=0"], ["--count", "0"]),
        (["create-avatars", "{out}", "--resolution=100"], ["--resolution", "100", "power of two"]),
        (["create-avatars", "{out}", "--style=voxel"], ["no style 'voxel'", "critters", "voxel-art"]),
        (["create-avatars", "{out}", "--style=bottts"], ["bottts is not free", "'Free for personal", "critters"]),
        (["create-avatars", "{out}", "--style=initials"], ["initials writes letters", "critters"]),
        (["create-mnistrgb", "{out}", "{in}", "--seed=-1"], ["--seed", "-1"]),
        (["align-faces", "{out}", "{in}", "{out}.json"], ["LANDMARKS", "{out}.json", "does not exist"]),
        (["align-faces", "{out}", "{in}", "{in}/long/0.png"], ["{in}/long/0.png", "JSON"]),
        (["info", "{in}"], ["{in}", "no NAME-rNN.tfrecords"]),
        (["verify", "{out}"], ["{out}", "not a folder"]),
        (["extract", "{data}", "{out}", "--resolution=64"], ["64x64", "4x4, 8x8, 16x16"]),
        (["extract", "{data}", "{in}"], ["{in} already exists"]),
        (["compare", "{data}", "{out}"], ["{out}", "not a folder"]),
        (["preview", "{data}", "--output={out}.png", "--resolution=64"], ["64x64", "4x4, 8x8, 16x16"]),
        (["preview", "{data}", "--output={out}.jpg"], ["--output", "{out}.jpg", ".png"]),
        (["preview", "{data}", "--output={out}/a.png"], ["--output", "{out}", "Create it first"]),
        (["preview", "{data}", "--output={in}"], ["--output", "{in}", "directory"]),
        (["shard", "{data}", "{out}"], ["Missing option '--shards'"]),
        (["shard", "{data}", "{out}", "--shards=9"], ["8 images cannot be spread over 9 shards"]),
        (["shard", "{data}", "{data}", "--shards=2"], ["{data} already exists"]),
    ],
    ids=lambda value: " ".join(value) if "create" in value[0] or value[0] in COMMANDS else "",
)
def test_wrong_input(cats, given, words):
    places = {"in": cats / "cats", "data": cats / "data" / "cats", "out": cats / "out"}
    rejects(cats, [part.format(**places) for part in given], *(word.format(**places) for word in words))


def arguments(name, out, other):
    """Arguments for a command: `out` for OUT, and `other` for all others."""
    parts = [part for part in COMMANDS[name].params if isinstance(part, click.Argument)]
    return [
        name,
        *(out if part.name == "out" else other for part in parts),
        *(["--shards=1"] if name == "shard" else []),
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_arguments_of_a_command(tmp_path, name):
    rejects(tmp_path, [name], "Missing argument")
    rejects(tmp_path, [name, "--bogus"], "No such option", "--bogus")
    if name not in ("create-digits", "create-avatars"):
        rejects(tmp_path, arguments(name, tmp_path / "out", tmp_path / "missing"), tmp_path / "missing")


@pytest.mark.parametrize("name", [*CREATE, "align-faces"])
def test_existing_folder(tmp_path, name):
    """It is the first thing that is looked at: what is given as the source is none."""
    (tmp_path / "wrong.json").write_text("{}")
    (tmp_path / "there").mkdir()
    rejects(tmp_path, arguments(name, tmp_path / "there", tmp_path / "wrong.json"), "there already exists")
    (tmp_path / "killed.partial").mkdir()
    (tmp_path / "killed.partial" / "killed-r02.tfrecords").write_bytes(b"half")
    words = [tmp_path / "killed.partial", "left over", "delete it"]
    rejects(tmp_path, arguments(name, tmp_path / "killed", tmp_path / "wrong.json"), *words)


@pytest.mark.parametrize("name", ["extract", "shard"])
def test_existing_folder_of_a_copy(cats, tmp_path, name):
    (tmp_path / "out.partial").mkdir()
    given = arguments(name, tmp_path / "out", cats / "data" / "cats")
    rejects(tmp_path, given, tmp_path / "out.partial", "left over")


@pytest.mark.parametrize(
    "sizes, options, words",
    [
        ([(16, 24)], [], ["0.png", "24x16", "--crop=center"]),
        ([(24, 24)], [], ["0.png", "24x24", "--resolution=16"]),
        ([(16, 24)], ["--crop=center", "--resolution=64"], ["0.png", "16x16", "smaller", "64"]),
        ([(16, 16), (16, 16), (8, 8)], [], ["2.png", "8x8", "16x16", "--resolution=8"]),
        ([(2, 2)], [], ["0.png", "2x2", "4x4"]),
    ],
)
def test_sizes_that_do_not_fit(tmp_path, sizes, options, words):
    save_images(tmp_path / "in", [noise(*size, 3) for size in sizes], "{}.png")
    rejects(tmp_path, ["create-from-images", tmp_path / "out", tmp_path / "in", *options], *words)


def test_labels_that_do_not_match(tmp_path):
    save_images(tmp_path / "in", noise(2, 8, 8, 3), "{}.png")
    labels = tmp_path / "in" / "dataset.json"
    for text, words in (
        ('{"labels": [["0.png", 1]]}', ["no label for 1 images", "1.png"]),
        ('{"labels": [["0.png", 1], ["1.png", 0], ["2.png", 0]]}', ["lists 1 images that are not there", "2.png"]),
        ('{"labels": [["0.png", 1], ["1.png", "cat"]]}', ["1.png", '"cat"']),
        ("{", ["JSON"]),
    ):
        labels.write_text(text)
        rejects(tmp_path, ["create-from-images", tmp_path / "out", tmp_path / "in"], labels, *words)


@pytest.mark.parametrize(
    "command, module, package",
    [
        ("create-svhn", "scipy.io", "scipy"),
        ("create-from-hdf5", "h5py", "h5py"),
        ("create-lsun", "lmdb", "lmdb"),
        ("create-lsun-wide", "lmdb", "lmdb"),
    ],
)
def test_missing_package(published, tmp_path, monkeypatch, command, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    rejects(tmp_path, [command, tmp_path / "out", *published[command][0]], f"pip install {package}.")


# At work.


def test_ctrl_c(cats, tmp_path, monkeypatch):
    def interrupted(*arguments):
        assert list((tmp_path / "out.partial").iterdir()) == []
        raise KeyboardInterrupt

    monkeypatch.setattr(convert, "encode_images", interrupted)
    result = invoke("create-from-images", tmp_path / "out", cats / "cats", "--workers=1")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == "Stopped; no result is incomplete.\n"
    assert not list(tmp_path.iterdir())


def test_reader_that_has_seen_enough(cats, monkeypatch):
    """As in `dataset_tool.py info data/cats | head -1`."""

    def describe(folder):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(views, "describe", describe)
    result = invoke("info", cats / "data" / "cats")
    assert (result.exit_code, result.output) == (1, "")


def test_user_creates_and_trains(cats, tmp_path):
    """What the tool prints can be pasted into a shell."""
    folder = tmp_path / "my data"
    process = start_python("dataset_tool.py", "create-from-images", folder / "cats", cats / "cats", "--workers=2")
    output, errors = process.communicate(timeout=300)
    # TensorFlow greets on this stream, whatever its log level.
    ours = [line for line in errors.splitlines() if not re.match(r"WARNING: All log messages|[IWE]\d{4} ", line)]
    assert (process.returncode, ours) == (0, []), errors
    assert_holds(folder / "cats", CAT_IMAGES, CAT_LABELS, ["long", "short"])

    python, door, *options = shlex.split(output.splitlines()[-1].removeprefix("Train on it: "))
    assert (python, door) == ("python", "run_training.py")
    result = CliRunner().invoke(run_training.main, [*options, "--dry-run"])
    assert result.exit_code == 0, result.output
    config = json.loads(result.stdout)
    assert open_dataset(config["dataset"], config["data_dir"]).num_images == 8
