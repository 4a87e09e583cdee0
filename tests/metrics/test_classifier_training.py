"""Attribute classifiers learn, from the images that they should, and the same whatever else is trained and where."""

import hashlib
import json
import pathlib
import shutil
import threading
from dataclasses import asdict, replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from filelock import FileLock
from processes import run

from datasets.fingerprint import fingerprint
from datasets.tfrecords import MultiResolutionDataset, MultiResolutionWriter
from metrics import classifier_data, classifier_training
from metrics.attribute_classifier import TRUNK, AttributeClassifiers, TrunkFeatures, load_classifiers
from metrics.classifier_data import LabelledImages, make_jobs, split, training_parts
from metrics.classifier_training import (
    ClassifierSettings,
    DeviceTraining,
    classifier_loss,
    settings_of,
    train_classifiers,
)

NAMES = ["dark", "grey", "bright"]
SETTINGS = ClassifierSettings(
    total_kimg=1, minibatch=8, learning_rate=0.01, seed=5, mirror=True, fmap_base=32, fmap_max=8
)
SCRIPT = pathlib.Path(__file__).with_name("two_devices.py")


def create_dataset(folder, names=NAMES, classes=None, count=60):
    """Images of 8x8 that are dark, grey or bright, with noise; no two are equal."""
    random = np.random.default_rng(0)
    classes = random.integers(0, 3, count) if classes is None else classes
    with MultiResolutionWriter(folder) as writer:
        for number in classes:
            writer.add_image(random.integers(0, 60, (8, 8, 3)).astype(np.uint8) + np.uint8(90 * number))
        writer.set_labels(np.eye(3)[classes], names)
    return MultiResolutionDataset(folder, max_label_size="full")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return create_dataset(tmp_path_factory.mktemp("data") / "shades")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, dataset):
    """(folder, metadata) of all three attributes."""
    folder = tmp_path_factory.mktemp("classifiers") / "shades"
    return folder, train_classifiers(dataset, folder, SETTINGS)


def weights(folder, name):
    return [variable.numpy() for variable in keras.saving.load_model(folder / f"{name}.keras").variables]


def assert_same_weights(folder, other, name):
    for one, two in zip(weights(folder, name), weights(other, name), strict=True):
        np.testing.assert_array_equal(one, two)


# What is learned.


def test_loss_is_the_cross_entropy_of_two_classes():
    logits = tf.constant([[-3.0, 0.5], [0.0, 2.0], [40.0, -40.0]])
    present = tf.constant([[True, False], [True, True], [False, False]])
    pairs = tf.stack([logits, -logits], axis=-1)
    expected = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.where(present, 0, 1), pairs)
    np.testing.assert_allclose(classifier_loss(logits, present), expected, rtol=1e-5, atol=1e-6)


def test_classifiers_learn(trained, dataset):
    folder, metadata = trained
    _, held_out = split(dataset.num_images)
    present = dataset.labels[held_out] > 0.5
    logits = load_classifiers(folder, 8, 3)(tf.constant(dataset.read_images(8, held_out))).numpy()
    for column, item in enumerate(metadata):
        assert item["held_out_accuracy"] == [((logits[:, column] > 0) == present[:, column]).mean()]
        assert item["larger_class"] == [max(present[:, column].mean(), 1 - present[:, column].mean())]
        assert item["held_out_accuracy"][0] > item["larger_class"][0]
    assert metadata[0]["held_out_accuracy"] == metadata[2]["held_out_accuracy"] == [1]


def test_everything_is_on_record(trained, dataset):
    folder, metadata = trained
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{name}.{suffix}" for name in NAMES for suffix in ("json", "keras")
    )
    for column, (name, item) in enumerate(zip(NAMES, metadata, strict=True)):
        assert json.loads((folder / f"{name}.json").read_text()) == item
        expected = asdict(SETTINGS) | {
            "attributes": [name],
            "columns": [column],
            "label_size": 3,
            "exclusive": True,
            "dataset": "shades",
            "fingerprint": fingerprint(dataset),
            "resolution": 8,
            "num_channels": 3,
            "images_seen": 1000,
            "held_out_images": 6,
        }
        assert item.items() >= expected.items()


def test_classes_that_exclude_one_another_are_known(trained):
    """A face may smile and wear a hat; an image is dark, grey or bright. Older records do not say."""
    folder, metadata = trained
    classifiers = load_classifiers(folder, 8, 3)
    assert classifiers.exclusive
    for old in ({"exclusive": False}, {}):
        others = [{key: value for key, value in item.items() if key != "exclusive"} | old for item in metadata]
        faces = AttributeClassifiers(classifiers.networks, others)
        assert not faces.exclusive
        assert faces.hash == hashlib.sha256("".join(item["sha256"] for item in metadata).encode()).hexdigest()
        assert faces.hash != classifiers.hash


def test_shared_trunk_learns(tmp_path, dataset, capsys):
    (metadata,) = train_classifiers(dataset, tmp_path, replace(SETTINGS, total_kimg=2), shared_trunk=True)
    assert capsys.readouterr().out.count("held-out") == 3
    assert metadata["attributes"] == NAMES
    assert [path.name for path in sorted(tmp_path.iterdir())] == [f"{TRUNK}.json", f"{TRUNK}.keras"]
    trunk = load_classifiers(tmp_path, 8, 3, shared_trunk=True)
    logits = trunk(tf.constant(dataset.read_images(8, range(60)))).numpy()
    assert (logits.argmax(axis=1) == dataset.labels.argmax(axis=1)).mean() > 0.95
    assert TrunkFeatures(trunk).dim == 8


def test_stored_architecture(trained):
    folder, _ = trained
    network = keras.saving.load_model(folder / "dark.keras")
    assert network.minibatch_stddev is None
    assert (network.arguments["fmap_base"], network.arguments["fmap_max"]) == (32, 8)
    assert network.output_layer.units == 1


# From which images.


def test_split():
    trained, held_out = split(1797)
    assert len(held_out) == 180
    assert sorted([*trained, *held_out]) == list(range(1797))
    np.testing.assert_array_equal(split(1797)[1], held_out)
    # Not a block of a data set that may be sorted by class.
    assert 0.3 < (held_out < 900).mean() < 0.7
    assert [len(part) for part in split(2)] == [1, 1]


@pytest.mark.parametrize("mirror", [False, True])
def test_training_images(dataset, mirror):
    images = LabelledImages(dataset)
    originals = dataset.read_images(8, range(60))
    known = {image.tobytes(): (index, False) for index, image in enumerate(originals)}
    known |= {image[:, ::-1].tobytes(): (index, True) for index, image in enumerate(originals)}
    settings = replace(SETTINGS, mirror=mirror, total_kimg=0.54)  # ten epochs of 54 images
    parts = list(training_parts(images, [2, 0], settings, np.random.RandomState(0)))
    seen = np.concatenate([part.reshape(-1, 8, 8, 3) for part, _ in parts])
    present = np.concatenate([part.reshape(-1, 2) for _, part in parts])
    indices, mirrored = map(np.array, zip(*(known[image.tobytes()] for image in seen), strict=True))
    assert len(seen) == 544  # whole minibatches
    for start in range(0, 540, 54):
        np.testing.assert_array_equal(np.sort(indices[start : start + 54]), split(60)[0])
    assert indices[:54].tolist() != indices[54:108].tolist()
    np.testing.assert_array_equal(present, dataset.labels[indices][:, [2, 0]] > 0.5)
    assert 0.4 < mirrored.mean() < 0.6 if mirror else not mirrored.any()
    np.testing.assert_array_equal(dataset.read_images(8, range(60)), originals)


def test_large_levels_are_read_from_disk(dataset, monkeypatch):
    kept = LabelledImages(dataset)
    monkeypatch.setattr(classifier_data, "_KEEP_BYTES", 1)
    monkeypatch.setattr(classifier_data, "_READ_BYTES", 2 * 8 * 192)
    large = LabelledImages(dataset)
    assert kept.kept and not large.kept
    assert [len(part) for part in large.parts(np.arange(60), 8)] == [16, 16, 16, 12]
    np.testing.assert_array_equal(large.read(np.array([5, 3])), kept.read(np.array([5, 3])))


# The same whatever happens.


def test_one_attribute_alone_is_the_same(tmp_path, trained, dataset):
    folder, _ = trained
    train_classifiers(dataset, tmp_path, SETTINGS, attributes=["bright"])
    assert_same_weights(tmp_path, folder, "bright")
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(weights(folder, "bright")[0], weights(folder, "dark")[0])


def test_seed_matters(dataset):
    images = LabelledImages(dataset)
    first = [DeviceTraining("/cpu:0", images, 1, replace(SETTINGS, seed=seed, total_kimg=0.008)) for seed in (0, 1)]
    for training in first:
        assert training.run([0], lambda count: None, threading.Event())
    one, two = (training.network.variables[0].numpy() for training in first)
    assert np.abs(one - two).max() > 0.1


def test_two_devices_train_the_same(tmp_path, trained):
    folder, _ = trained
    data = tmp_path / "data" / "shades"
    create_dataset(data)
    result = run("-W", "error", SCRIPT, data, tmp_path, json.dumps(asdict(SETTINGS)))
    assert result.returncode == 0, result.stderr
    with np.load(tmp_path / "results.npz") as results:
        assert sorted(results["devices"]) == ["CPU:0", "CPU:1"]
        images = MultiResolutionDataset(data).read_images(8, range(8))
        expected = load_classifiers(folder, 8, 3)(tf.constant(images))
        np.testing.assert_allclose(results["logits"], expected, rtol=1e-5, atol=1e-5)
    for name in NAMES:
        assert_same_weights(tmp_path / "classifiers", folder, name)


def test_goes_on_with_what_is_missing(tmp_path, trained, dataset, monkeypatch):
    folder, _ = trained
    save = classifier_training.save_classifier

    def save_first(folder, name, network, metadata):
        if name != "dark":
            raise OSError("No space left on device")
        return save(folder, name, network, metadata)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(classifier_training, "save_classifier", save_first)
        train_classifiers(dataset, tmp_path, SETTINGS)
    # What a killed process may leave besides.
    (tmp_path / "grey.keras").write_bytes(b"no .json beside it")
    (tmp_path / ".bright.partial.json").write_text("{")
    before = (tmp_path / "dark.keras").stat().st_mtime_ns
    assert [item["attributes"] for item in train_classifiers(dataset, tmp_path, SETTINGS)] == [[name] for name in NAMES]
    assert (tmp_path / "dark.keras").stat().st_mtime_ns == before
    for name in NAMES:
        assert_same_weights(tmp_path, folder, name)


def test_nothing_to_do(trained, dataset, monkeypatch):
    folder, metadata = trained
    monkeypatch.setattr(classifier_training, "DeviceTraining", None)
    assert train_classifiers(dataset, folder, SETTINGS, ["grey"]) == metadata[1:2]
    assert train_classifiers(dataset, folder, SETTINGS) == metadata


def test_processes_wait_for_one_another(tmp_path, trained, dataset, monkeypatch, capsys):
    """What another process trains meanwhile is found, not trained again; and whoever waits can be stopped."""
    folder, metadata = trained
    monkeypatch.setattr(classifier_training, "DeviceTraining", None)
    lock, stopped = FileLock(tmp_path.with_name(f".{tmp_path.name}.lock")), []

    def stop(share):
        stopped.append(share)
        raise KeyboardInterrupt

    def finish(share):
        for file in folder.iterdir():
            shutil.copy(file, tmp_path)
        lock.release()

    lock.acquire()
    with pytest.raises(KeyboardInterrupt):
        train_classifiers(dataset, tmp_path, SETTINGS, progress=stop)
    assert stopped == [0.0]
    assert train_classifiers(dataset, tmp_path, SETTINGS, progress=finish) == metadata
    waiting = f"Waiting for another process, which is training classifiers in {tmp_path}.\n"
    assert capsys.readouterr().err == 2 * waiting


def test_stops_early(dataset):
    stop, advanced = threading.Event(), []
    training = DeviceTraining("/cpu:0", LabelledImages(dataset), 1, replace(SETTINGS, total_kimg=100))

    def advance(count):
        advanced.append(count)
        stop.set()

    assert not training.run([0], advance, stop)
    assert advanced == [512]


# Wrong input.


def test_other_settings_in_the_folder(trained, dataset):
    folder, _ = trained
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    with pytest.raises(ValueError, match=r"\.json says minibatch 8 instead of 16, seed 5 instead of 6, but"):
        train_classifiers(dataset, folder, replace(SETTINGS, minibatch=16, seed=6), ["dark"])
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_labels_that_teach_nothing(tmp_path, dataset):
    with pytest.raises(ValueError, match=r"has no attribute 'light'; it has dark, grey, bright"):
        make_jobs(dataset, ["dark", "light"])
    with pytest.raises(ValueError, match=r"shades has no labels"):
        make_jobs(MultiResolutionDataset(dataset.folder))
    classes = np.zeros(20, int)
    classes[split(20)[1]] = 1  # of which there is none to train on
    alike = create_dataset(tmp_path / "alike", classes=classes)
    with pytest.raises(ValueError, match=r"alike in attribute 'dark'"):
        make_jobs(alike)
    double = create_dataset(tmp_path / "double", names=["a", "a", "b"])
    with pytest.raises(ValueError, match=r"double-labels\.txt .* name of its own"):
        make_jobs(double)


def test_names_without_a_list(tmp_path):
    jobs = make_jobs(create_dataset(tmp_path / "unnamed", names=None), ["attribute-02", "attribute-00"])
    assert jobs == [("attribute-00", ["attribute-00"], [0], None), ("attribute-02", ["attribute-02"], [2], None)]


def test_either_way_to_write_accents(tmp_path):
    composed, apart = "\u00e9t\u00e9", "e\u0301te\u0301"
    for name in (composed, apart):
        dataset = create_dataset(tmp_path / name, names=["a", name, "b"])
        for written in (composed, apart):
            assert [(job.attributes, job.columns) for job in make_jobs(dataset, [written])] == [([name], [1])]


def test_too_many_gpus(tmp_path, dataset):
    with pytest.raises(ValueError, match=r"--num-gpus=99"):
        train_classifiers(dataset, tmp_path / "new", SETTINGS, num_gpus=99)
    assert not (tmp_path / "new").exists()


def test_settings_of_data_sets():
    assert settings_of("celebahq256") == ClassifierSettings(150, 8, 1e-3, 0, True, 8192, 512)
    assert settings_of("lsun-cat") == settings_of("of-my-own") == ClassifierSettings(mirror=False)
    assert not settings_of("digits").mirror
    assert settings_of("digits") != settings_of("digits", shared_trunk=True)
