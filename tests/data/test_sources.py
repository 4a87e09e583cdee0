"""The digits, and data sets by name."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from datasets.convert import create_dataset
from datasets.digits import digits, enlarge
from datasets.errors import DatasetError
from datasets.opening import open_dataset
from datasets.tfrecords import MultiResolutionDataset, MultiResolutionWriter, shuffled_order


@pytest.fixture(scope="module")
def created(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "digits"
    create_dataset(folder, digits(), workers=1)
    return MultiResolutionDataset(folder, max_label_size="full")


def test_digits(created):
    assert (created.num_images, created.resolutions, created.num_channels) == (1797, (4, 8, 16, 32), 1)
    original = load_digits()
    order = shuffled_order(1797)
    np.testing.assert_array_equal(created.labels, np.eye(10)[original.target[order]])
    images = np.stack(list(created.read(32)))
    np.testing.assert_array_equal(images[:3], [enlarge(original.images[index]) for index in order[:3]])


def test_box_mean_of_enlarged_digits_is_near_the_original(created):
    reduced = np.stack(list(created.read(8)))[..., 0] * (16 / 255)
    difference = np.abs(reduced - load_digits().images[shuffled_order(1797)])
    assert difference.mean() < 0.7
    assert difference.max() < 4.1


def test_open_dataset_creates_digits_once(tmp_path, capsys):
    first = open_dataset("digits", tmp_path, max_label_size=10)
    assert capsys.readouterr().out.count("\n") == 1
    assert (first.resolution, first.label_size) == (32, 10)
    assert open_dataset("digits", tmp_path, resolution=16).resolution == 16
    assert capsys.readouterr().out == ""


def test_open_dataset_on_a_file_system_of_tensorflow(created):
    data_dir = "ram://opening/data"
    tf.io.gfile.makedirs(f"{data_dir}/remote")
    for path in Path(created.folder).iterdir():
        tf.io.gfile.copy(str(path), f"{data_dir}/remote/{path.name}", overwrite=True)
    dataset = open_dataset("remote", data_dir, max_label_size="full")
    np.testing.assert_array_equal(dataset.read_images(32, [1796, 5]), created.read_images(32, [1796, 5]))
    with pytest.raises(DatasetError, match="there is 'remote'"):
        open_dataset("ffhq", data_dir)


def test_open_dataset_names_what_exists(tmp_path):
    with pytest.raises(DatasetError, match=r"no data set 'ffhq' in .*there is none.*create-from-images.*'digits'"):
        open_dataset("ffhq", tmp_path)
    with MultiResolutionWriter(tmp_path / "cats", shards=2) as writer:
        writer.add_image(np.zeros((4, 4, 1), np.uint8))
        writer.add_image(np.zeros((4, 4, 1), np.uint8))
    (tmp_path / "dogs.partial").mkdir()
    (tmp_path / "dogs.partial" / "dogs-r02.tfrecords").touch()
    with pytest.raises(DatasetError, match=r"there is 'cats'[.]"):
        open_dataset("ffhq", tmp_path)
    assert open_dataset("cats", tmp_path).num_images == 2
