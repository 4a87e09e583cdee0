"""The digits benchmark: real digits are recognised, what is none is not, and it runs on a network file."""

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import digits_quality
from benchmarks.digits_quality import (
    class_shares,
    features,
    generate,
    main,
    newest_generator,
    probabilities,
    recognised,
    split_digits,
    train_classifier,
)
from stylegan_tf.networks import Generator


@pytest.fixture(scope="module")
def split():
    return split_digits()


@pytest.fixture(scope="module")
def classifier(split):
    x, _, classes, _ = split
    return train_classifier(x, classes)


@pytest.fixture(scope="module")
def generator():
    return Generator(
        resolution=16, num_channels=1, label_size=10, latent_size=8, dlatent_size=8, mapping_layers=1, fmap_max=4
    )


def test_real_digits(split, classifier):
    _, held_out, _, classes = split
    probs = probabilities(classifier, held_out)
    assert (probs.argmax(axis=1) == classes).mean() > 0.97
    assert 0.82 < recognised(probs) < 0.86
    np.testing.assert_allclose(class_shares(probs), 0.1, atol=0.015)


def test_noise_and_empty_images(split, classifier):
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (300, 32, 32, 1), np.uint8)
    coarse = random.integers(0, 256, (300, 8, 8, 1), np.uint8)
    permuted = random.permuted(split[1], axis=1)
    for x in (features(noise), features(coarse), permuted, np.zeros((1, 64)), np.full((1, 64), 16.0)):
        assert recognised(probabilities(classifier, x)) < 0.01


def test_means_of_two_digits(split, classifier):
    _, held_out, _, classes = split
    different = classes[1:] != classes[:-1]
    means = (held_out[1:] + held_out[:-1])[different] / 2
    assert recognised(probabilities(classifier, means)) < 0.2


def test_features_are_box_means():
    images = np.zeros((2, 16, 16, 1), np.uint8)
    images[1, :2, 2:4] = 255
    assert features(images).shape == (2, 64)
    assert features(images)[1, 1] == 16 and features(images).sum() == 16


def test_newest_generator(tmp_path):
    assert newest_generator(tmp_path) is None
    for kimg in ("000900", "001000", "25000"):
        folder = tmp_path / f"network-snapshot-{kimg}"
        folder.mkdir()
        if kimg != "25000":
            (folder / "Gs.keras").touch()
    assert newest_generator(tmp_path) == tmp_path / "network-snapshot-001000" / "Gs.keras"


def test_generated_images_depend_on_the_seed_only(generator):
    images = generate(generator, 5, seed=0)
    assert images.shape == (5, 16, 16, 1) and images.dtype == np.uint8
    np.testing.assert_array_equal(generate(generator, 5, seed=0), images)
    assert not np.array_equal(generate(generator, 5, seed=1), images)


def test_command(generator, classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(digits_quality, "train_classifier", lambda x, classes: classifier)
    monkeypatch.setattr(digits_quality, "NUM_IMAGES", 50)
    (tmp_path / "network-snapshot-000001").mkdir()
    generator.save(tmp_path / "network-snapshot-000001" / "Gs.keras")
    result = CliRunner().invoke(main, [str(tmp_path)])
    assert result.exit_code == 0, result.output
    for line in ("Accuracy on held-out digits:", "Recognised of generated digits: 0.0%", "9: "):
        assert line in result.output


def test_command_without_snapshots(tmp_path):
    result = CliRunner().invoke(main, [str(tmp_path)])
    assert result.exit_code == 2
    assert "holds no network-snapshot-*/Gs.keras" in result.output
