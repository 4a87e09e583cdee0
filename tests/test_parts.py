"""The parts of a step: which are due, in which order, and what lazy regularization makes of losses and of Adam."""

import dataclasses
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from stylegan_tf.recipes.settings import LossConfig, OptimizerConfig, TrainingConfig
from stylegan_tf.training.models import Models
from stylegan_tf.training.parts import AVERAGE, due_parts, parts_of, times_due, updates_of, updates_per_step
from stylegan_tf.training.steps import TrainingStep, statistics_of, tick_values

NETWORK = {"fmap_base": 32, "fmap_max": 4}
LAZY = LossConfig(r1_gamma=10.0, r1_interval=3, path_length_weight=2.0, path_length_interval=2)
CONFIG = TrainingConfig(
    resolution=8,
    generator={**NETWORK, "latent_size": 4, "dlatent_size": 4, "mapping_layers": 1},
    discriminator=NETWORK,
    loss=LAZY,
    optimizer=OptimizerConfig(beta1=0.5, beta2=0.9, epsilon=1e-3),
    style_mixing_prob=0.0,
    mirror=False,
    step_order="g-average-d",
)
RATE, BATCH = 0.02, 8


def names(parts):
    return [part if part is AVERAGE else part.name for part in parts]


def test_parts_and_their_order():
    config = TrainingConfig()
    assert names(parts_of(config)) == ["D", AVERAGE, "G"]
    assert names(parts_of(CONFIG)) == ["G", "G_path_length", AVERAGE, "D", "D_r1"]
    assert names(parts_of(dataclasses.replace(config, loss=LAZY))) == ["D", "D_r1", AVERAGE, "G", "G_path_length"]
    # What has no weight is no part, whatever its interval.
    idle = dataclasses.replace(config, loss=LossConfig(r1_gamma=0.0, r1_interval=16, path_length_interval=4))
    assert names(parts_of(idle)) == ["D", AVERAGE, "G"]


def test_statistics_stand_as_earlier_versions_stored_their_sums():
    assert statistics_of(parts_of(TrainingConfig())) == (
        *("D_loss", "G_loss", "penalty", "scores/real", "scores/fake", "path_length_penalty"),
        *("gradient_norm/D", "gradient_norm/G", "D_skipped", "G_skipped"),
    )


def test_names_of_lazy_statistics():
    found = statistics_of(parts_of(CONFIG))
    assert len(set(found)) == len(found)
    assert {"R1", "path_length_penalty", "gradient_norm/D_r1", "G_path_length_skipped"} <= set(found)


def test_what_is_due():
    parts = parts_of(CONFIG)
    assert [due_parts(parts, step) for step in range(4)] == [
        ("G", "G_path_length", "D", "D_r1"),
        ("G", "D"),
        ("G", "G_path_length", "D"),
        ("G", "D", "D_r1"),
    ]
    for first, last in [(0, 0), (0, 1), (1, 2), (1, 4), (3, 12), (5, 5)]:
        due = [due_parts(parts, step) for step in range(first, last)]
        counted = {part.name: sum(part.name in names for names in due) for part in updates_of(parts)}
        assert times_due(parts, first, last) == counted


def test_updates_per_step():
    parts = parts_of(CONFIG)
    assert 1 / updates_per_step(parts, "D") == pytest.approx(3 / 4)  # k / (k + 1)
    assert 1 / updates_per_step(parts, "G") == pytest.approx(2 / 3)
    assert updates_per_step(parts_of(TrainingConfig()), "D") == 1


def test_lazy_statistics_are_averaged_over_the_steps_they_were_due():
    parts = parts_of(CONFIG)
    totals = dict.fromkeys(statistics_of(parts), 12.0) | {f"{part.name}_skipped": 0.0 for part in updates_of(parts)}
    values = tick_values(list(totals.values()), parts, {"G": 6, "G_path_length": 3, "D": 6, "D_r1": 2})
    assert (values["D_loss"], values["R1"], values["path_length_penalty"], values["gradient_norm/D_r1"]) == (2, 6, 4, 6)


class NumpyAdam:
    """Kingma and Ba, 2015, in NumPy's double precision, for one network."""

    def __init__(self, start):
        self.values = [np.array(value, np.float64) for value in start]
        self.m, self.v = ([np.zeros_like(value) for value in self.values] for _ in range(2))
        self.beta1_power = self.beta2_power = 1.0

    def step(self, gradients, rate, beta1, beta2, epsilon):
        self.beta1_power *= beta1
        self.beta2_power *= beta2
        rate *= np.sqrt(1 - self.beta2_power) / (1 - self.beta1_power)
        for i, gradient in enumerate(gradients):
            if gradient is None:
                continue
            self.m[i] = beta1 * self.m[i] + (1 - beta1) * gradient
            self.v[i] = beta2 * self.v[i] + (1 - beta2) * np.square(gradient)
            self.values[i] -= rate * self.m[i] / (np.sqrt(self.v[i]) + epsilon)


class RecordedStep(TrainingStep):
    """The step, with what was traced: the names of parts in the calls of `draw`, the part in those of `gradients`."""

    def __init__(self, *arguments, **keywords):
        self.traces = []
        super().__init__(*arguments, **keywords)

    def draw(self, *arguments):
        self.traces.append(arguments[-1])
        return super().draw(*arguments)

    def gradients(self, part, *arguments):
        self.traces.append(part.name)
        return super().gradients(part, *arguments)


class Stepped:
    """Models, their step, and real images."""

    def __init__(self, config):
        self.config = config
        self.strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
        keras.utils.set_random_seed(2)
        random = np.random.RandomState(2)
        with self.strategy.scope():
            self.models = Models(config, num_channels=3, label_size=0)
        for network in (self.models.G, self.models.D):
            for variable in network.trainable_variables:
                variable.assign_add(0.3 * random.standard_normal(variable.shape))
        self.step = RecordedStep(self.models, config, self.strategy, 8, fading=True, all_labels=tf.zeros([1, 0]))
        self.images = tf.constant(random.randint(256, size=(BATCH, 8, 8, 3)), tf.uint8)
        self.fade = tf.constant(0.4)
        self.traced = {}

    def __call__(self, number):
        """Takes the step of a number; {statistic: value}."""
        due = due_parts(self.step.parts, number)
        scalars = map(tf.constant, (RATE, RATE, 0.5))
        values = self.step(self.images, tf.zeros([BATCH, 0]), self.seen(number), self.fade, *scalars, due)
        return dict(zip(self.step.statistics, values.numpy(), strict=True))

    def seen(self, number):
        return tf.constant(BATCH * number, tf.int64)

    def inputs(self, number):
        """{part: inputs of its loss} in the step of a number."""
        due = due_parts(self.step.parts, number)
        given = (self.images, tf.zeros([BATCH, 0]), self.seen(number), self.fade, due)
        return self.strategy.run(self.step.draw, given)

    def gradients(self, part, inputs):
        """A part's gradients with the present weights, NumPy, and whatever else `TrainingStep.gradients` returns."""
        if part.name not in self.traced:
            self.traced[part.name] = tf.function(
                lambda inputs, mean: self.step.gradients(part, inputs, self.fade, mean), autograph=False
            )
        run = self.traced[part.name]
        gradients, *others = self.strategy.run(run, (inputs, self.models.path_length.read_value()))
        return [None if gradient is None else gradient.numpy() for gradient in gradients], *others


def part_named(step, name):
    return next(part for part in updates_of(step.parts) if part.name == name)


# Both take long to trace, hence for all tests.


@pytest.fixture(scope="module")
def four_steps():
    """Models after four steps, in which whatever can be due together is; and what there was to see on the way."""
    stepped = Stepped(CONFIG)
    seen = SimpleNamespace(stepped=stepped, statistics=[], averages=[], weights=[])
    for number in range(4):
        seen.averages.append([variable.numpy() for variable in stepped.models.Gs.trainable_variables])
        seen.statistics.append(stepped(number))
        seen.weights.append([variable.numpy() for variable in stepped.models.G.trainable_variables])
    seen.averages.append([variable.numpy() for variable in stepped.models.Gs.trainable_variables])
    return seen


@pytest.fixture(scope="module")
def evaluated():
    """Models of the same start, whose gradients are asked for one by one."""
    return Stepped(CONFIG)


def test_lazy_parts_share_one_adam_with_corrected_rate_and_betas(four_steps, evaluated):
    """Four steps, in which R1 and the path length are due twice, against NumPy's Adam with the step's gradients."""
    ours, theirs = four_steps.stepped, evaluated
    models = {"G": theirs.models.G, "D": theirs.models.D}
    adams = {name: NumpyAdam([v.numpy() for v in network.trainable_variables]) for name, network in models.items()}
    c = {"G": 2 / 3, "D": 3 / 4}
    for number in range(4):
        statistics = four_steps.statistics[number]
        inputs = theirs.inputs(number)
        for part in updates_of(theirs.step.parts):
            if part.name not in inputs:
                assert statistics[part.statistics[0]] == statistics[f"gradient_norm/{part.name}"] == 0
                continue
            gradients, _, values, path_length = theirs.gradients(part, inputs[part.name])
            np.testing.assert_allclose(statistics[part.statistics[0]], values[0], rtol=1e-4)
            if path_length is not None:
                theirs.models.path_length.assign(path_length)
            power = c[part.network]
            adam = adams[part.network]
            adam.step(gradients, RATE * power, 0.5**power, 0.9**power, 1e-3)
            for variable, value in zip(models[part.network].trainable_variables, adam.values, strict=True):
                variable.assign(value)
    for name, network in models.items():
        trained = getattr(ours.models, name)
        for variable, expected in zip(trained.trainable_variables, network.trainable_variables, strict=True):
            np.testing.assert_allclose(variable.numpy(), expected.numpy(), rtol=0, atol=2e-5, err_msg=variable.path)
    assert ours.models.D_optimizer.updates.numpy() == 6 and ours.models.G_optimizer.updates.numpy() == 6
    np.testing.assert_allclose(ours.models.path_length.numpy(), theirs.models.path_length.numpy(), rtol=1e-4)
    assert ours.models.path_length.numpy() > 0


def test_lazy_r1_is_the_same_term_times_its_interval(evaluated):
    lazy = evaluated
    whole = Stepped(dataclasses.replace(CONFIG, loss=dataclasses.replace(LAZY, r1_interval=1)))
    for network in ("G", "D"):
        getattr(whole.models, network).set_weights(getattr(lazy.models, network).get_weights())
    inputs = lazy.inputs(0)
    main, _, _, _ = lazy.gradients(part_named(lazy.step, "D"), inputs["D"])
    own, _, R1, _ = lazy.gradients(part_named(lazy.step, "D_r1"), inputs["D_r1"])
    together, _, statistics, _ = whole.gradients(part_named(whole.step, "D"), inputs["D"])
    np.testing.assert_allclose(R1[0], statistics[1], rtol=1e-5)  # the penalty, not multiplied
    assert any(np.abs(gradient).max() > 1e-3 for gradient in own if gradient is not None)
    for a, b, expected in zip(main, own, together, strict=True):
        if expected is not None:
            b = 0.0 if b is None else b
            np.testing.assert_allclose(a + b / 3, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max() + 1e-6)


def test_path_length_of_new_images():
    stepped = Stepped(dataclasses.replace(CONFIG, accumulate=2))
    inputs = stepped.inputs(0)
    own = inputs["G_path_length"]
    assert own.draws.z.shape == (BATCH // 2, 4) and own.draws.directions.shape == (BATCH // 2, 8, 8, 3)
    assert inputs["G"].draws.directions is None
    assert not np.isin(own.draws.z.numpy(), inputs["G"].draws.z.numpy()).any()
    gradients, w_mean, _, path_length = stepped.gradients(part_named(stepped.step, "G_path_length"), own)
    assert any(np.abs(gradient).max() > 1e-4 for gradient in gradients if gradient is not None)
    assert w_mean is None and path_length.numpy() > 0


def test_average_stands_after_g_in_the_other_order(four_steps):
    for number, weights in enumerate(four_steps.weights):
        before, after = four_steps.averages[number : number + 2]
        for start, end, weight in zip(before, after, weights, strict=True):
            np.testing.assert_allclose(end, 0.5 * start + 0.5 * weight, rtol=1e-5, atol=1e-6)


def test_one_trace_of_each_part_whatever_is_due_together(four_steps):
    names = ["G", "G_path_length", "D", "D_r1"]
    assert four_steps.stepped.step.traces == [trace for name in names for trace in ((name,), name)]
