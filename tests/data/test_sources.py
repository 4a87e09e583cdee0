"""The sources of data sets: a folder of images, and the digits."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from datasets import DatasetError, open_dataset
from datasets.digits import create_digits, enlarge
from datasets.images import create_from_images
from datasets.tfrecords import MultiResolutionDataset, shuffled_order


def save_images(folder, count, mode="RGB", size=(8, 8)):
    folder.mkdir(parents=True, exist_ok=True)
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    images = np.random.default_rng(0).integers(0, 256, (count, size[1], size[0], *channels), np.uint8)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"img{number:03d}.png")
    return images.reshape(count, size[1], size[0], -1)


def created(out, resolution):
    return np.stack(list(MultiResolutionDataset(out).read(resolution)))


def rejects(tmp_path, *words):
    with pytest.raises(DatasetError) as error:
        create_from_images(tmp_path / "out", tmp_path / "in")
    assert "\n" not in str(error.value)
    for word in words:
        assert str(word) in str(error.value)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_folder_of_images(tmp_path, mode):
    images = save_images(tmp_path / "in", 10, mode)
    create_from_images(tmp_path / "sorted", tmp_path / "in", shuffle=False)
    np.testing.assert_array_equal(created(tmp_path / "sorted", 8), images)
    create_from_images(tmp_path / "shuffled", tmp_path / "in")
    np.testing.assert_array_equal(created(tmp_path / "shuffled", 8), images[shuffled_order(10)])


def test_folders_in_folders_and_other_files(tmp_path):
    images = save_images(tmp_path / "in" / "b", 2)
    Image.fromarray(images[1]).save(tmp_path / "in" / "a.PNG")
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    (tmp_path / "in" / "._a.png").write_bytes(b"what a Mac leaves on other disks")
    create_from_images(tmp_path / "out", tmp_path / "in", shuffle=False)
    np.testing.assert_array_equal(created(tmp_path / "out", 8), images[[1, 0, 1]])


def test_jpeg(tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(np.full((8, 8, 3), 128, np.uint8)).save(tmp_path / "in" / "grey.jpg")
    create_from_images(tmp_path / "out", tmp_path / "in")
    assert np.all(created(tmp_path / "out", 8) == 128)


def test_mode(tmp_path):
    save_images(tmp_path / "in", 1, "RGBA")
    rejects(tmp_path, tmp_path / "in" / "img000.png", "mode RGBA", "Convert")


@pytest.mark.parametrize("size, word", [((8, 16), "square"), ((12, 12), "power of two"), ((2, 2), "at least 4")])
def test_size(tmp_path, size, word):
    save_images(tmp_path / "in", 1, size=size)
    rejects(tmp_path, tmp_path / "in" / "img000.png", word, f"{size[0]}x{size[1]}")


@pytest.mark.parametrize("mode, side", [("RGB", 16), ("L", 8)])
def test_unequal_images(tmp_path, mode, side):
    save_images(tmp_path / "in", 3)
    save_images(tmp_path / "in" / "sub", 1, mode, (side, side))
    rejects(tmp_path, tmp_path / "in" / "sub" / "img000.png", tmp_path / "in" / "img000.png", "Convert")


def test_file_that_is_no_image(tmp_path):
    save_images(tmp_path / "in", 2)
    (tmp_path / "in" / "bad.png").write_bytes(b"no image")
    rejects(tmp_path, tmp_path / "in" / "bad.png", "cannot be read")


@pytest.mark.parametrize("name", ["img001.png", "photo.jpg"])
def test_truncated_image(tmp_path, name):
    images = save_images(tmp_path / "in", 3, size=(64, 64))
    path = tmp_path / "in" / name
    Image.fromarray(images[0]).save(path)
    path.write_bytes(path.read_bytes()[:-1500])
    rejects(tmp_path, path, "is damaged")


def test_no_images(tmp_path):
    (tmp_path / "in").mkdir()
    rejects(tmp_path, tmp_path / "in", "holds no images")


def test_no_folder(tmp_path):
    rejects(tmp_path, tmp_path / "in", "is not a folder")


def test_existing_data_set(tmp_path):
    save_images(tmp_path / "in", 1)
    (tmp_path / "out").mkdir()
    with pytest.raises(DatasetError, match="already exists"):
        create_from_images(tmp_path / "out", tmp_path / "in")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "digits"
    create_digits(folder)
    return MultiResolutionDataset(folder, max_label_size="full")


def test_digits(digits):
    assert (digits.num_images, digits.resolutions, digits.num_channels) == (1797, (4, 8, 16, 32), 1)
    original = load_digits()
    order = shuffled_order(1797)
    np.testing.assert_array_equal(digits.labels, np.eye(10)[original.target[order]])
    images = np.stack(list(digits.read(32)))
    np.testing.assert_array_equal(images[:3], [enlarge(original.images[index]) for index in order[:3]])


def test_box_mean_of_enlarged_digits_is_near_the_original(digits):
    reduced = np.stack(list(digits.read(8)))[..., 0] * (16 / 255)
    difference = np.abs(reduced - load_digits().images[shuffled_order(1797)])
    assert difference.mean() < 0.7
    assert difference.max() < 4.1


def test_open_dataset_creates_digits_once(tmp_path, capsys):
    first = open_dataset("digits", tmp_path, max_label_size=10)
    assert capsys.readouterr().out.count("\n") == 1
    assert (first.resolution, first.label_size) == (32, 10)
    assert open_dataset("digits", tmp_path, resolution=16).resolution == 16
    assert capsys.readouterr().out == ""


def test_open_dataset_names_what_exists(tmp_path):
    with pytest.raises(DatasetError, match=r"no data set 'ffhq' in .*there is none.*create_from_images.*'digits'"):
        open_dataset("ffhq", tmp_path)
    save_images(tmp_path / "in", 1)
    create_from_images(tmp_path / "cats", tmp_path / "in")
    with pytest.raises(DatasetError, match="there is 'cats'"):
        open_dataset("ffhq", tmp_path)
    assert open_dataset("cats", tmp_path).num_images == 1
