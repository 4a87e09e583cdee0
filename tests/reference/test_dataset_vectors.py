"""Data sets: the reference's files are read as it reads them, and the same images give the same records.

`dataset/` holds source images (png-*) and the reference's files made from them (tfr-*; shuffle0 in sorted order, all
others shuffled), `dataset-contents.npz` what the files contain. Every test runs on all of its kind that the .npz lists.
"""

import functools
import math
import pathlib
import re

import numpy as np
import pytest
from reference_vectors import Vector, nhwc

from datasets.convert import create_dataset
from datasets.image_folder import from_images
from datasets.tfrecords import MultiResolutionDataset, MultiResolutionWriter, shuffled_order


@functools.lru_cache
def contents(folder):
    path = folder / "dataset-contents.npz"
    return Vector(path) if path.exists() else None


def listed(vector, pattern):
    """The distinct first groups of `pattern` among the names of the arrays."""
    matches = (re.fullmatch(pattern, name) for name in vector.names)
    return sorted({match[1] for match in matches if match})


CASES = {
    "tfrecords": lambda vector: listed(vector, r"outputs/(tfr-.+\.tfrecords)"),
    "name": lambda vector: listed(vector, r"outputs/(tfr-[^/]+)/.+\.tfrecords"),
    "minibatch": lambda vector: listed(vector, r"outputs/minibatch/(.+)/images@lod=.+"),
    "opened": lambda vector: sorted(vector.config["datasets"]),
    "array": lambda vector: [name for name in ("outputs/order", "outputs/all/labels") if name in vector],
}


def pytest_generate_tests(metafunc):
    folder = pathlib.Path(metafunc.config.getoption("--vectors"))
    vector = contents(folder)
    for argument in CASES.keys() & set(metafunc.fixturenames):
        if vector is None:
            reason = f"{folder} has no dataset-contents.npz"
            metafunc.parametrize(
                argument, [pytest.param(None, marks=pytest.mark.skip(reason), id="no-dataset-vectors")]
            )
        else:
            metafunc.parametrize(argument, CASES[argument](vector))


@pytest.fixture
def vectors(request):
    return pathlib.Path(request.config.getoption("--vectors"))


@pytest.fixture
def vector(vectors):
    return contents(vectors)


def open_reference(vectors, text):
    """Opens NAME@option=value,option=value."""
    name, _, text = text.partition("@")
    options = dict(option.split("=") for option in text.split(",") if option)
    options = {key: int(value) if value.isdigit() else value for key, value in options.items()}
    return MultiResolutionDataset(vectors / "dataset" / name, **options)


def source_images(vectors, name):
    """The folder png-NAME of the data set tfr-NAME-VARIANT."""
    (folder,) = (
        path
        for path in (vectors / "dataset").glob("png-*")
        if name.startswith(f"tfr-{path.name.removeprefix('png-')}-")
    )
    return folder


def is_shuffled(name):
    return "shuffle0" not in name


def read(dataset, resolution):
    return np.stack(list(dataset.read(resolution)))


def levels(vector, name):
    """{side: images, NHWC} of a data set of the reference."""
    arrays = vector.below(f"outputs/{name}/").values()
    return {images.shape[-1]: nhwc(images) for images in arrays}


def test_reads_the_files_of_the_reference(vectors, vector, tfrecords):
    path = vectors / "dataset" / tfrecords
    expected = nhwc(vector[f"outputs/{tfrecords}"])
    dataset, side = MultiResolutionDataset(path.parent), expected.shape[1]
    assert [file.path for file in dataset.level(side).files] == [str(path)]
    np.testing.assert_array_equal(read(dataset, side), expected)
    backwards = range(dataset.num_images)[::-1]
    np.testing.assert_array_equal(dataset.read_images(side, backwards), expected[::-1])


def test_writes_what_the_reference_writes(vectors, vector, name, tmp_path):
    source = from_images(source_images(vectors, name))
    create_dataset(tmp_path / name, source, shuffle=is_shuffled(name), workers=1)
    ours, expected = MultiResolutionDataset(tmp_path / name), levels(vector, name)
    assert ours.resolutions == tuple(sorted(expected))
    for side, images in expected.items():
        np.testing.assert_array_equal(read(ours, side), images)
        file = f"{name}-r{side.bit_length() - 1:02d}.tfrecords"
        theirs = vectors / "dataset" / name / file
        assert theirs.stat().st_size == (tmp_path / name / file).stat().st_size


def test_labels_follow_their_images(vectors, vector, name, tmp_path):
    theirs = MultiResolutionDataset(vectors / "dataset" / name, max_label_size="full")
    path = vectors / "dataset" / name / f"{name}-rxx.labels"
    if not path.exists():
        assert theirs.label_size == 0
        return
    labels = vector["inputs/labels_unshuffled"]
    labels = labels[shuffled_order(len(labels))] if is_shuffled(name) else labels
    np.testing.assert_array_equal(theirs.labels, labels)
    with MultiResolutionWriter(tmp_path / name) as writer:
        for image in theirs.read(4):
            writer.add_image(image)
        writer.set_labels(labels)
    assert (tmp_path / name / path.name).read_bytes() == path.read_bytes()


def test_order_and_labels_of_everything(vectors, vector, array):
    if array == "outputs/order":
        np.testing.assert_array_equal(shuffled_order(len(vector[array])), vector[array])
    else:
        (folder,) = {path.parent for path in (vectors / "dataset").glob("*/*.labels")}
        dataset = MultiResolutionDataset(folder, max_label_size="full")
        np.testing.assert_array_equal(dataset.labels, vector[array])
        np.testing.assert_array_equal(read(dataset, dataset.resolution), nhwc(vector["outputs/all/images"]))


def test_attributes(vectors, vector, opened):
    dataset, expected = open_reference(vectors, opened), vector.config["datasets"][opened]
    assert [dataset.num_channels, dataset.resolution, dataset.resolution] == expected["shape"]
    assert dataset.label_size == expected["label_size"]
    assert dataset.labels.dtype == expected["label_dtype"]


def test_first_minibatch(vectors, vector, minibatch):
    dataset = open_reference(vectors, minibatch)
    for key, expected in vector.below(f"outputs/minibatch/{minibatch}/images@lod=").items():
        side = dataset.resolution >> math.floor(float(key))
        np.testing.assert_array_equal(read(dataset, side)[: len(expected)], nhwc(expected))
        labels = vector[f"outputs/minibatch/{minibatch}/labels@lod={key}"]
        np.testing.assert_array_equal(dataset.labels[: len(labels)], labels)
