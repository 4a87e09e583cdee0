"""Data sets of known factors: one classifier a factor, and how well latents tell each factor linearly."""

import numpy as np
import pytest

from datasets.tfrecords import MultiResolutionDataset, MultiResolutionWriter
from metrics import linear_factors
from metrics.attribute_classifier import AttributeClassifiers, has_classifiers, load_classifiers
from metrics.classifier_data import factors_of, make_jobs
from metrics.classifier_training import ClassifierSettings, accuracies, train_classifiers
from metrics.linear_factors import linear_factor

NAMES = ["light=dark", "light=grey", "light=bright", "side=left", "side=right"]


def create_dataset(folder, names=NAMES, lights=3, count=80):
    """Images of 8x8 of three lights with noise, one side of them red."""
    random = np.random.default_rng(0)
    light, side = random.integers(0, lights, count), random.integers(0, 2, count)
    with MultiResolutionWriter(folder) as writer:
        for number, half in zip(light, side, strict=True):
            image = random.integers(0, 40, (8, 8, 3)).astype(np.uint8) + np.uint8(90 * number)
            image[:, 4 * half : 4 * half + 4, 0] = 255
            writer.add_image(image)
        writer.set_labels(np.concatenate([np.eye(3)[light], np.eye(2)[side]], axis=1), names)
    return MultiResolutionDataset(folder, max_label_size="full")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("factors")
    settings = ClassifierSettings(2, 8, 0.01, mirror=False, fmap_base=32, fmap_max=8)
    metadata = train_classifiers(create_dataset(folder / "shades"), folder / "classifiers", settings)
    return folder / "classifiers", metadata


def test_a_classifier_a_factor(trained):
    folder, metadata = trained
    assert sorted(path.name for path in folder.iterdir()) == ["light.json", "light.keras", "side.json", "side.keras"]
    rows = [row for item in metadata for row in accuracies(item)]
    assert [name for name, _, _ in rows] == ["light", "side"]
    assert all(accuracy > guessing + 0.2 for _, accuracy, guessing in rows)
    assert has_classifiers(folder)
    classifiers = load_classifiers(folder, 8, 3)
    assert classifiers.names == NAMES and classifiers.exclusive
    assert classifiers.groups == {"light": range(3), "side": range(3, 5)}
    (folder / "side.json").unlink()
    assert not has_classifiers(folder)


def test_factors_of_labels(tmp_path):
    both = np.array([[1, 0, 1, 0], [0, 1, 0, 1]], bool)
    assert factors_of(["a=x", "a=y", "b=x", "b=y"], both) == {"a": [0, 1], "b": [2, 3]}
    assert factors_of(["a=x", "a=y", "b=x", "by"], both) is None
    assert factors_of(["a=x", "a=y", "a=z", "b=x"], both) is None  # two values of one factor
    dataset = create_dataset(tmp_path / "shades")
    assert [job.factor for job in make_jobs(dataset, ["side", "light"])] == ["light", "side"]
    assert [job.columns for job in make_jobs(dataset, ["side"])] == [[3, 4]]
    with pytest.raises(ValueError, match="no attribute 'light=dark'; it has light, side"):
        make_jobs(dataset, ["light=dark"])
    with pytest.raises(ValueError, match="all have the same light, and a classifier needs two values"):
        make_jobs(create_dataset(tmp_path / "dark", lights=1))


def test_a_factor_is_told_on_samples_that_were_not_fitted():
    random = np.random.default_rng(1)
    latents = random.standard_normal((4000, 6))
    linear = (latents @ random.standard_normal((6, 3))).argmax(axis=1)
    told = linear_factor("linear", latents, linear)
    assert told.accuracy > 0.9 and told.score == pytest.approx((told.accuracy - told.guessing) / (1 - told.guessing))
    # Which of two halves is fitted matters to neither, but what no plane tells is not told, and chance not learnt.
    assert linear_factor("xor", latents, ((latents[:, 0] > 0) ^ (latents[:, 1] > 0)).astype(int)).score < 0.1
    assert linear_factor("chance", latents[:40], random.integers(0, 2, 40)).score < 0.5
    assert linear_factor("constant", latents, np.zeros(4000, int)) == ("constant", 1.0, 1.0, 0.0)


def test_measure_compares_both_spaces(monkeypatch):
    """W tells what Z does not, of a factor of three values and of an attribute."""
    random = np.random.default_rng(2)
    w, z = random.standard_normal((2, 2000, 4))
    logits = np.concatenate([w @ random.standard_normal((4, 3)), w[:, :1] + 0.1], axis=1)
    classifiers = AttributeClassifiers(
        [],
        [
            {"attributes": NAMES[:3], "factor": "light", "columns": [0, 1, 2], "held_out_accuracy": [1] * 3}
            | {"resolution": 8, "sha256": ""},
            {"attributes": ["Smiling"], "columns": [3], "held_out_accuracy": [1], "resolution": 8, "sha256": ""},
        ],
    )
    monkeypatch.setattr(linear_factors, "classified_samples", lambda *_: (z, w, logits))
    result = linear_factors.measure(None, classifiers, 2000)
    assert [told["name"] for told in result.details["w"]] == ["light", "Smiling"]
    assert abs(result.values["factors_z"]) < 0.1 and result.values["factors_w"] > 0.85
    assert result.lines[-1].split()[-1] == f"{result.values['factors_w']:.3f}"
