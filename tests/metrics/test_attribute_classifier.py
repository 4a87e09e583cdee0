"""Files of attribute classifiers: what is saved is what classifies, and what does not fit is refused."""

import hashlib
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_networks import scattered

from metrics.attribute_classifier import (
    TRUNK,
    TrunkFeatures,
    classifiers_folder,
    file_name,
    has_classifiers,
    load_classifiers,
    save_classifier,
)
from stylegan_tf.images import from_uint8
from stylegan_tf.networks import Discriminator

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
NAMES = ["Wearing_Hat", "5_o_Clock_Shadow", "a/b"]


def network(label_size, seed):
    return scattered(Discriminator(8, 3, label_size, fmap_base=32, fmap_max=8, mbstd_group_size=0), seed)


def describe(columns):
    return {
        "attributes": [NAMES[column] for column in columns],
        "columns": columns,
        "label_size": len(NAMES),
        "held_out_accuracy": [0.9 + column / 100 for column in columns],
        "resolution": 8,
        "num_channels": 3,
    }


@pytest.fixture
def folder(tmp_path):
    """Classifiers of all three attributes, and a trunk, in a folder called `faces`."""
    folder = classifiers_folder(tmp_path, "faces")
    folder.mkdir(parents=True)
    for column, name in enumerate(NAMES):
        save_classifier(folder, file_name(name), network(0, column), describe([column]))
    save_classifier(folder, TRUNK, network(3, 9), describe([0, 1, 2]))
    return folder


def test_same_logits_in_the_order_of_the_columns(folder):
    classifiers = load_classifiers(folder, 8, 3)
    assert classifiers.names == NAMES  # the files' names have another order
    assert classifiers.accuracies == [0.9, 0.91, 0.92]
    assert classifiers.resolution == 8
    logits = tf.function(classifiers)(tf.constant(IMAGES))
    assert logits.dtype == tf.float32
    for column in range(3):
        expected = network(0, column)(from_uint8(IMAGES))
        np.testing.assert_allclose(logits[:, column : column + 1], expected, rtol=1e-5, atol=1e-5)


def test_trunk_has_all_logits_and_features(folder):
    trunk = load_classifiers(folder, 8, 3, shared_trunk=True)
    assert trunk.names == NAMES
    original = network(3, 9)
    logits = trunk(tf.constant(IMAGES))
    for column, label in enumerate(np.eye(3, dtype="float32")):
        expected = original(from_uint8(IMAGES), np.tile(label, (5, 1)))
        np.testing.assert_allclose(logits[:, column : column + 1], expected, rtol=1e-5, atol=1e-5)
    features = TrunkFeatures(trunk)
    assert features.hash == trunk.hash
    values = tf.function(features)(tf.constant(IMAGES))
    assert values.shape == (5, features.dim) == (5, 8)
    np.testing.assert_allclose(original.output_layer(values), logits, rtol=1e-5, atol=1e-5)
    larger = IMAGES.repeat(4, axis=1).repeat(4, axis=2)
    np.testing.assert_allclose(features(tf.constant(larger)), values, rtol=1e-5, atol=1e-5)


def test_hash_is_of_the_files_content(folder):
    digests = [hashlib.sha256((folder / f"{file_name(name)}.keras").read_bytes()).hexdigest() for name in NAMES]
    first = load_classifiers(folder, 8, 3).hash
    assert first == hashlib.sha256("".join(digests).encode()).hexdigest()
    save_classifier(folder, file_name("a/b"), network(0, 7), describe([2]))
    assert load_classifiers(folder, 8, 3).hash != first


def test_file_names_are_safe_and_differ():
    names = ["Smiling", "a/b", "a b", "a%2Fb", ".hidden", "%2Ehidden", TRUNK, "shared%2Dtrunk", "é"]
    files = [file_name(name) for name in names]
    assert files[0] == "Smiling"
    assert len(set(files)) == len(names)
    assert TRUNK not in files
    assert not any("/" in file or file.startswith(".") for file in files)


def test_incomplete_files_do_not_count(folder):
    assert has_classifiers(folder) and has_classifiers(folder, shared_trunk=True)
    (folder / f"{file_name('a/b')}.json").unlink()
    (folder / ".Young.partial.json").write_text("{")
    assert not has_classifiers(folder)
    assert load_classifiers(folder, 8, 3).names == NAMES[:2]
    (folder / f"{TRUNK}.json").unlink()
    assert not has_classifiers(folder, shared_trunk=True)
    assert not has_classifiers(folder / "nowhere")


@pytest.mark.parametrize("shared_trunk", [False, True])
def test_none_there(tmp_path, shared_trunk):
    with pytest.raises(ValueError, match=r"run_classifiers\.py --dataset=faces --outdir=\S+") as error:
        load_classifiers(tmp_path / "faces", 8, 3, shared_trunk)
    assert str(error.value).endswith("--shared-trunk.") == shared_trunk


@pytest.mark.parametrize(("resolution", "channels"), [(16, 3), (4, 3), (8, 1)])
def test_other_images(folder, resolution, channels):
    with pytest.raises(
        ValueError, match=rf"Hat\.keras was trained on .*8x8 .* 3 channels, .*{resolution}x{resolution}"
    ):
        load_classifiers(folder, resolution, channels)
    classifiers = load_classifiers(folder, 8, 3)
    with pytest.raises(ValueError, match=r"side|square"):
        classifiers(tf.zeros([1, resolution, resolution, channels], tf.uint8))


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: damage(folder / "Wearing_Hat.keras"),
        lambda folder: (folder / "Wearing_Hat.keras").unlink(),
        lambda folder: (folder / "Wearing_Hat.json").write_text("{"),
        lambda folder: (folder / "Wearing_Hat.json").write_text("[1]"),
        lambda folder: (folder / "Wearing_Hat.json").write_text('{"columns": [0], "sha256": "0"}'),
    ],
)
def test_damaged(folder, harm):
    harm(folder)
    with pytest.raises(ValueError, match=r"Wearing_Hat\.(keras|json) .*remove .* run_classifiers\.py\.$"):
        load_classifiers(folder, 8, 3)


def test_not_a_network(folder):
    path = folder / "Wearing_Hat.keras"
    path.write_bytes(b"no network")
    metadata = json.loads(path.with_suffix(".json").read_text())
    metadata["sha256"] = hashlib.sha256(b"no network").hexdigest()
    path.with_suffix(".json").write_text(json.dumps(metadata))
    with pytest.raises(
        ValueError, match=r"Wearing_Hat\.keras is damaged, or .*; remove it and its \.json and train it"
    ):
        load_classifiers(folder, 8, 3)


def test_opens_in_keras(folder):
    opened = keras.saving.load_model(folder / "Wearing_Hat.keras")
    np.testing.assert_allclose(opened(from_uint8(IMAGES)), network(0, 0)(from_uint8(IMAGES)), rtol=1e-6)
