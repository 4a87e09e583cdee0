"""Augmentation stands before D wherever a training step calls it, and ADA's probability follows D's scores."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from test_parts import CONFIG
from tiny_training import arguments, create_dataset

import run_training
from stylegan_tf.recipes.settings import AdaConfig, LossConfig
from stylegan_tf.runtime.draws import seed_of, uniform
from stylegan_tf.training.augmentation import Ada, DiffAugment, Probability, augmentation_of, signs_of
from stylegan_tf.training.checks import check_augmentation, suggest_augmentation
from stylegan_tf.training.level import Level
from stylegan_tf.training.models import Models
from stylegan_tf.training.parts import RealImages, parts_of, updates_of
from stylegan_tf.training.steps import TrainingStep

IMAGES, SHAPE = 4, (4, 8, 8, 3)
LAZY = LossConfig(r1_gamma=10.0, r1_interval=2)


class Brighten:
    """An augmentation that remembers what it has seen: each image times a number of its own."""

    def __init__(self):
        self.seen = []

    def draw(self, seed, shape):
        return 1 + uniform([shape[0], 1, 1, 1], seed)

    def __call__(self, images, draws):
        self.seen.append((images, draws))
        return images * draws


@pytest.fixture(scope="module")
def level():
    tf.keras.utils.set_random_seed(1)
    config = dataclasses.replace(CONFIG, loss=LAZY, augment="ada")
    level = Level(Models(config, 3, 0), config, 8, fading=False, all_labels=tf.zeros([1, 0]))
    level.augmentation = Brighten()
    return level


def run(level, name):
    """The inputs, the terms, and what was augmented, of one part."""
    (part,) = (part for part in updates_of(parts_of(level.config)) if part.name == name)
    reals = tf.constant(np.random.default_rng(2).uniform(-1, 1, SHAPE), tf.float32)
    level.augmentation.seen = []
    inputs = part.draw(level, seed_of(3, 0, 0), reals, tf.zeros([IMAGES, 0]))
    return inputs, part.loss(level, inputs, 1.0, tf.zeros([])), level.augmentation.seen


def test_d_sees_reals_and_fakes_augmented_on_their_own(level):
    inputs, terms, seen = run(level, "D")
    fakes, _, _ = level.generate(inputs.labels, inputs.draws, 1.0)
    (reals, real_draws), (generated, fake_draws) = seen
    np.testing.assert_array_equal(reals, inputs.reals)
    np.testing.assert_allclose(generated, fakes, atol=1e-6)
    assert not np.isclose(real_draws, fake_draws).any()
    D = level.models.D
    np.testing.assert_allclose(terms.statistics["scores/real"], D(reals * real_draws)[:, 0], atol=1e-5)
    np.testing.assert_allclose(terms.statistics["scores/fake"], D(fakes * fake_draws)[:, 0], atol=1e-5)
    np.testing.assert_array_equal(terms.statistics["signs/real"], np.sign(terms.statistics["scores/real"]))


def test_g_is_judged_by_augmented_fakes(level):
    _, terms, ((fakes, draws),) = run(level, "G")
    _, _, ((_, others), _) = run(level, "D")
    scores = level.models.D(fakes * draws)[:, 0]
    np.testing.assert_allclose(terms.statistics["G_loss"], tf.nn.softplus(-scores), atol=1e-5)
    assert not np.isclose(draws, others).any()


def test_r1_is_through_the_augmentation(level):
    _, terms, ((reals, draws),) = run(level, "D_r1")
    with tf.GradientTape() as tape:
        augmented = reals * draws
        tape.watch(augmented)
        scores = level.models.D(augmented)
    by_original = tape.gradient(scores, augmented) * draws
    expected = 0.5 * LAZY.r1_gamma * tf.reduce_sum(by_original**2, axis=(1, 2, 3))
    np.testing.assert_allclose(terms.statistics["R1"], expected, rtol=1e-4)
    np.testing.assert_array_equal(terms.statistics["signs/R1"], np.sign(scores[:, 0]))


def test_nothing_stands_before_d_by_default():
    models = Models(CONFIG, 3, 0)
    assert augmentation_of(CONFIG, models) is None and models.ada is None
    assert augmentation_of(dataclasses.replace(CONFIG, augment="ada-fixed:0"), models) is None
    assert not any(name.startswith("ada") for name in models.variables())


@pytest.mark.parametrize("pipeline", ["bgc", "noise"])
def test_draws_of_ada(pipeline):
    ada = Ada(pipeline, 0.25)
    draws, others = (ada.draw(seed_of(5, i), SHAPE) for i in range(2))
    assert float(draws.p) == 0.25
    assert (draws.noise is None) == (pipeline == "bgc")
    assert not np.isclose(draws.uniform, others.uniform).any()
    images = tf.zeros(SHAPE)
    assert ada(images, draws).shape == SHAPE
    np.testing.assert_array_equal(ada(images, draws), ada(images, ada.draw(seed_of(5, 0), SHAPE)))


def test_rounds_share_the_probability_and_split_the_draws():
    config = dataclasses.replace(CONFIG, augment="ada-fixed:0.25", accumulate=2)
    step = TrainingStep(Models(config, 3, 0), config, tf.distribute.get_strategy(), 8, False, tf.zeros([1, 0]))
    draws = step.level.augmentation_draws(seed_of(7), SHAPE)
    inputs = RealImages(tf.zeros(SHAPE), tf.zeros([IMAGES, 0]), draws)

    def sums(inputs, fade, path_length):
        return tf.reduce_sum(inputs.augmentation.uniform), inputs.augmentation.p, None

    total, p, _ = step.in_rounds(sums, inputs, 1.0)
    np.testing.assert_allclose(total, tf.reduce_sum(draws.uniform), rtol=1e-5)
    assert float(p) == 2 * 0.25


def test_draws_of_diffaugment_reach_all_their_values():
    draws = DiffAugment("color,translation,cutout").draw(seed_of(6), (4096, 8, 8, 3))
    assert {name: sorted(set(draw.numpy())) for name, draw in draws.items() if draw.dtype == tf.int32} == {
        **{f"translation_{axis}": [-1, 0, 1] for axis in ("row", "col")},
        **{f"cutout_{axis}": list(range(9)) for axis in ("row", "col")},
    }
    assert np.corrcoef([tf.cast(draw, tf.float32) for draw in draws.values()])[~np.eye(7, dtype=bool)].max() < 0.08


def test_probability_follows_the_signs():
    """Up while D is sure, twice as many signs where R1 has scored the reals as well; not below 0."""
    ada = Probability(dataclasses.replace(CONFIG, augment="ada", ada=AdaConfig(interval=2, kimg=0.1)))
    moves = []
    for means in ([1.0, 1.0], [0.5], [0.5, 0.75], [0.5], [-1.0], [1.0], [-1.0], [-1.0]):
        ada.update([tf.constant(mean) for mean in means], 8)
        moves.append(float(ada.p))
    # 16 images of 100 a move. The means of two minibatches: 2.5 / 3, 1.75 / 3, 0, -1.
    np.testing.assert_allclose(moves, [0, 0.16, 0.16, 0, 0, 0, 0, 0], atol=1e-7)
    np.testing.assert_array_equal(ada.sums, 0)


def test_scores_that_are_not_a_number_have_no_sign():
    np.testing.assert_array_equal(signs_of(tf.constant([np.nan, -2.0, 0.0, np.inf])), [0, -1, 0, 1])


def test_who_is_told_of_augmentation():
    own = dataclasses.replace(CONFIG, dataset="custom")
    (line,) = suggest_augmentation(own, 1200)
    assert "1,200 images" in line and "--augment=ada" in line and "docs/small_data.md" in line
    assert not suggest_augmentation(own, 30000)
    assert not suggest_augmentation(dataclasses.replace(own, augment="ada"), 1200)
    assert not suggest_augmentation(dataclasses.replace(own, dataset="digits"), 1797)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong")
    create_dataset(folder / "data")
    return folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--augment=ada-fixed:1.3"], "augment must be none, ada, ada-fixed:P with a probability P from 0 to 1"),
        (["--augment=ada-fixed:-0.1"], "received 'ada-fixed:-0.1'"),
        (["--augment=ada-fixed:"], "received 'ada-fixed:'"),
        (["--augment=adaptive"], "received 'adaptive'"),
        (["--augment=ada", "--set=ada.pipeline=bcg"], "ada.pipeline must be one of blit, geom, color,"),
        (["--augment=diffaugment", "--set=diffaugment=color,blur"], "some of color, translation, cutout"),
        (["--augment=ada", "--minibatch=1"], "there is one image on each replica"),
        (
            ["--augment=ada", "--set=ada.pipeline=bgcf"],
            "filters images of at least 22 pixels, but training starts at 4x4",
        ),
        (["--set=max_images=51"], "holds 50 images, fewer than max_images=51"),
        (["--set=max_images=0"], "max_images must be at least 1; received 0"),
    ],
)
def test_wrong_input(folder, options, message):
    settings = ["discriminator.mbstd_group_size=1"] if "--minibatch=1" in options else []
    result = CliRunner().invoke(run_training.main, arguments(folder, *options, settings=settings))
    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not (folder / "results").exists()


def test_colours_of_four_channels_are_refused():
    with pytest.raises(ValueError, match="images of 1 or 3 channels, and these have 4"):
        check_augmentation(dataclasses.replace(CONFIG, augment="ada"), channels=4)
