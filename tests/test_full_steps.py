"""What a training step may do in another way: in rounds, compiled, in half precision, with some of D frozen."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from stylegan_tf.recipes.settings import LossConfig, OptimizerConfig, TrainingConfig
from stylegan_tf.training.checks import check_metric_ticks, check_minibatches
from stylegan_tf.training.models import Models
from stylegan_tf.training.parts import parts_of
from stylegan_tf.training.steps import TrainingStep, order_of_rounds, statistics_of, tick_values

RESOLUTION, BATCH, RATE = 8, 8, 0.1
CONFIG = TrainingConfig(
    resolution=RESOLUTION,
    generator={"fmap_base": 32, "fmap_max": 8, "latent_size": 8, "dlatent_size": 8, "mapping_layers": 1},
    discriminator={"fmap_base": 32, "fmap_max": 8, "mbstd_group_size": 2},
    # Adam's step is nearly the gradient's sign with the paper's epsilon; with this one it follows the gradient's size.
    optimizer=OptimizerConfig(epsilon=1.0),
)
WGAN_GP = LossConfig(generator="wgan", discriminator="wgan", r1_gamma=0.0, gradient_penalty=10.0, drift=0.001)
PATH_LENGTH = dataclasses.replace(WGAN_GP, path_length_weight=0.1)


class Trained:
    """Models after some steps from the same start on the same images, with what there was to see on the way.

    Attributes:
        start, end: {name: weights}.
        statistics: Those of each step by name.
    """

    def __init__(self, config, steps=2):
        strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
        keras.utils.set_random_seed(1)
        self.random, self.seen = np.random.RandomState(1), 0
        with strategy.scope():
            self.models = Models(config, num_channels=3, label_size=0)
        for network in (self.models.G, self.models.D):
            for variable in network.variables:
                if variable.path.endswith(("bias", "strength")):
                    variable.assign(0.3 * self.random.standard_normal(variable.shape))
        self.start = weights(self.models)
        self.step = TrainingStep(self.models, config, strategy, RESOLUTION, fading=True, all_labels=tf.zeros([1, 0]))
        self.statistics = self.train(steps)
        self.end = weights(self.models)

    def train(self, steps):
        """Trains on, which changes none of the attributes above; returns the statistics of each step by name."""
        statistics = []
        for _ in range(steps):
            images = tf.constant(self.random.randint(256, size=(BATCH, RESOLUTION, RESOLUTION, 3)), tf.uint8)
            scalars = [tf.constant(value, tf.float32) for value in (0.4, RATE, RATE, 0.5)]
            values = self.step(images, tf.zeros([BATCH, 0]), tf.constant(self.seen, tf.int64), *scalars)
            statistics.append(dict(zip(self.step.statistics, values.numpy().tolist(), strict=True)))
            self.seen += BATCH
        return statistics

    def moved(self, network):
        """How far all weights of a network went, [weights]."""
        names = [variable.path for variable in getattr(self.models, network).trainable_variables]
        return np.concatenate([(self.end[name] - self.start[name]).ravel() for name in names])


# To trace a step takes longer than to take a hundred: tests share those that have been.


@functools.cache
def float32(loss=CONFIG.loss):
    """The plain step, to compare with."""
    return Trained(dataclasses.replace(CONFIG, loss=loss))


@functools.cache
def half_precision(precision):
    """With the path length penalty."""
    return Trained(dataclasses.replace(CONFIG, loss=PATH_LENGTH, precision=precision))


@functools.cache
def frozen():
    """One step with some of D frozen. With this beta1, the first moment is half of the gradient."""
    optimizer = dataclasses.replace(CONFIG.optimizer, beta1=0.5)
    return Trained(dataclasses.replace(CONFIG, freeze_d=2, optimizer=optimizer), steps=1)


def weights(models):
    return {name: v.numpy() for name, v in models.variables().items() if not name.endswith(("/m", "/v"))}


def assert_close(one, other, tolerance):
    for name, expected in other.end.items():
        difference = np.abs(one.end[name] - expected).max()
        assert difference <= tolerance * max(np.abs(expected).max(), 1e-3), name


@pytest.mark.parametrize(("loss", "rounds"), [(CONFIG.loss, 2), (WGAN_GP, 4)], ids=["r1-2", "wgan-gp-4"])
def test_rounds_give_what_the_whole_minibatch_gives(loss, rounds):
    some = Trained(dataclasses.replace(CONFIG, loss=loss, accumulate=rounds))
    assert_close(some, float32(loss), 1e-5)
    # Stricter, as weights have moved by a few hundredths only.
    for network in ("G", "D"):
        moved = float32(loss).moved(network)
        assert np.linalg.norm(some.moved(network) - moved) <= 1e-4 * np.linalg.norm(moved)
    for mine, theirs in zip(some.statistics, float32(loss).statistics, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-6)


def test_rounds_smaller_than_a_group_give_something_else():
    some = Trained(dataclasses.replace(CONFIG, accumulate=8))
    moved = float32().moved("D")
    assert np.linalg.norm(some.moved("D") - moved) > 0.01 * np.linalg.norm(moved)


@pytest.mark.parametrize(
    ("images", "rounds", "group"), [(8, 2, 2), (8, 4, 2), (12, 3, 4), (16, 2, 4), (8, 2, 1), (4, 4, 4), (12, 2, 4)]
)
def test_rounds_keep_groups_together(images, rounds, group):
    order = order_of_rounds(images, rounds, group)
    assert order.shape == (rounds, images // rounds)
    assert sorted(order.ravel()) == list(range(images))
    if images // rounds >= group > 1 and images // rounds % group == 0:
        groups = images // group
        for row in order:
            # Within a round, the members of a group are strided as well, and were one group of the whole minibatch.
            members = row.reshape(group, -1) % groups
            assert np.all(members == members[0])


@pytest.mark.parametrize(
    ("minibatch", "accumulate", "expected"),
    [
        (8, 2, []),
        (4, 2, ["At 8x8, --accumulate=2 leaves 2 of 4 images a round"]),
        (6, 4, "cannot be divided"),
        (8, 3, "into --accumulate=3 rounds"),
        (4, 8, "into --accumulate=8 rounds"),
        (24, 4, "groups of 4"),
    ],
)
def test_rounds_that_do_not_fit(minibatch, accumulate, expected):
    schedule = dataclasses.replace(CONFIG.schedule, minibatch_base=minibatch, minibatch_dict={})
    config = dataclasses.replace(CONFIG, schedule=schedule, accumulate=accumulate)
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=expected):
            check_minibatches(config, 4)
    else:
        lines = check_minibatches(config, 4)
        assert len(lines) == len(expected)
        assert all(line.startswith(start) for line, start in zip(lines, expected, strict=True))


@pytest.mark.parametrize(
    ("snapshot", "metric", "metrics", "every"),
    [(10, 1, ["m"], None), (10, 20, ["m"], None), (10, 8, ["m"], 40)],
)
def test_ticks_without_a_snapshot_are_not_measured(snapshot, metric, metrics, every):
    config = dataclasses.replace(CONFIG, snapshot_ticks=snapshot, metric_ticks=metric, metrics=metrics)
    lines = check_metric_ticks(config)
    assert [line.endswith(f"that is every {every} ticks.") for line in lines] == ([True] if every else [])


def test_ticks_to_be_measured_without_a_metric():
    (line,) = check_metric_ticks(dataclasses.replace(CONFIG, metric_ticks=8, metrics=[]))
    assert line == "Nothing is measured: --metric-ticks=8 has no effect without --metrics."
    assert check_metric_ticks(dataclasses.replace(CONFIG, metric_ticks=1, metrics=[])) == []


def test_compiled_with_xla():
    compiled = Trained(dataclasses.replace(CONFIG, xla=True))
    assert_close(compiled, float32(), 1e-5)
    assert compiled.statistics[0] == pytest.approx(float32().statistics[0], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(("precision", "bound"), [("bf16", 0.2), ("fp16", 0.01)])
def test_half_precision_is_near_float32(precision, bound):
    half, whole = half_precision(precision), float32(PATH_LENGTH)
    for network in ("G", "D"):
        # The direction of training as a whole: single weights with little gradient may go either way.
        moved = whole.moved(network)
        assert np.linalg.norm(half.moved(network) - moved) <= bound * np.linalg.norm(moved)
    for name in ("D_loss", "G_loss", "penalty", "path_length_penalty"):
        assert half.statistics[0][name] == pytest.approx(whole.statistics[0][name], rel=bound, abs=bound)
    assert half.statistics[0]["D_skipped"] == half.statistics[0]["G_skipped"] == 0
    assert {v.dtype for v in half.models.variables().values()} <= {tf.float32, tf.int64}


def test_fp16_lowers_its_scale_until_gradients_are_finite():
    half = half_precision("fp16")
    half.models.D_scale.variables()["value"].assign(2.0**24)
    skipped = [step["D_skipped"] for step in half.train(16)]
    assert skipped[0] == 1 and skipped[-1] == 0
    assert half.models.D_scale.value.numpy() == 2.0 ** (24 - sum(skipped))
    assert half.models.skipped["D"].numpy() == 0


def test_skipped_updates_are_counted_in_a_row():
    plain = float32()
    bias = plain.models.D.output_layer.bias
    intact = bias.numpy()
    bias.assign([np.nan])
    statistics = plain.train(3)
    assert {name: variable.numpy() for name, variable in plain.models.skipped.items()} == {"D": 3, "G": 3}
    assert [step["gradient_norm/D"] for step in statistics] == [0, 0, 0]
    bias.assign(intact)
    plain.train(1)
    assert {name: variable.numpy() for name, variable in plain.models.skipped.items()} == {"D": 0, "G": 0}


def test_frozen_layers_of_d_stay():
    start, end = frozen().start, frozen().end
    same = {name for name, value in start.items() if np.array_equal(value, end[name])}
    layers = {"8x8_from_rgb", "8x8_first"}
    assert {name for name in same if name.startswith("D/")} == {
        f"D/{layer}/{part}" for layer in layers for part in ("kernel", "bias")
    }
    assert len(frozen().models.D_optimizer.m) == len(float32().models.D_optimizer.m) - 4


def test_path_length_is_penalised():
    penalised, plain = float32(PATH_LENGTH), float32(WGAN_GP)
    assert penalised.statistics[0]["path_length_penalty"] > plain.statistics[0]["path_length_penalty"] == 0
    assert penalised.models.path_length.numpy() > 0
    assert "path_length" in penalised.models.variables()
    # Its gradient takes part in G's step: D's first update is the same, G's is not.
    assert penalised.statistics[0]["D_loss"] == plain.statistics[0]["D_loss"]
    assert penalised.statistics[0]["gradient_norm/G"] != pytest.approx(plain.statistics[0]["gradient_norm/G"], rel=1e-3)


def test_gradient_norm_is_that_of_the_update():
    (statistics,), models = frozen().statistics, frozen().models
    for name, optimizer in (("D", models.D_optimizer), ("G", models.G_optimizer)):
        norm = np.sqrt(sum(np.sum(np.square(2 * m.numpy())) for m in optimizer.m))
        assert statistics[f"gradient_norm/{name}"] == pytest.approx(norm, rel=1e-5)


def test_norms_are_averaged_over_the_steps_that_were_taken():
    parts = parts_of(CONFIG)
    totals = dict.fromkeys(statistics_of(parts), 6.0) | {"D_skipped": 1.0, "G_skipped": 0.0}
    values = tick_values(np.array(list(totals.values())), parts, {"D": 3, "G": 3})
    assert values["gradient_norm/D"] == 3 and values["gradient_norm/G"] == 2
    assert values["D_skipped"] == 1 and values["D_loss"] == 2
