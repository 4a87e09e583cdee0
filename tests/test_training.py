"""What a training run does between two steps of mathematics: Adam's habits, draws, averages, resets, traces."""

import collections
import types
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from stylegan_tf.recipes.settings import LossConfig, ScheduleConfig, TrainingConfig
from stylegan_tf.runtime.draws import Purpose, fold, folds, generator_draws, integers, normal, seed_of, uniform
from stylegan_tf.runtime.optimizer import Adam
from stylegan_tf.training.average import half_life_beta
from stylegan_tf.training.checkpoint import Progress
from stylegan_tf.training.models import Models
from stylegan_tf.training.steps import TrainingStep
from stylegan_tf.training.stream import RealImages, next_change
from stylegan_tf.training.trainer import Trainer

NETWORKS = {
    "generator": {"fmap_base": 32, "fmap_max": 8, "latent_size": 8, "dlatent_size": 8, "mapping_layers": 1},
    "discriminator": {"fmap_base": 32, "fmap_max": 8},
}
RATE = tf.constant(0.01)


@pytest.fixture(scope="module")
def strategy():
    return tf.distribute.MirroredStrategy(["/cpu:0"])


class Trained:
    """Variables with an Adam, and three random gradients of different sizes for them."""

    def __init__(self, strategy, **betas):
        self.strategy, self.random, self.betas = strategy, np.random.RandomState(5), betas
        self.start = [self.random.standard_normal(shape).astype("float32") for shape in [(3,), (4, 5), ()]]
        with strategy.scope():
            self.variables = [keras.Variable(value) for value in self.start]
            self.adam = Adam(self.variables)

    def gradients(self):
        sizes = (1.0, 1e-3, 1e-6)
        values = [size * self.random.standard_normal(v.shape) for size, v in zip(sizes, self.start, strict=True)]
        return [tf.constant(value, "float32") for value in values]

    def step(self, gradients):
        return bool(self.adam.apply(self.strategy, gradients, RATE, **self.betas)[0])

    def state(self):
        slots = [*(variable.value for variable in self.variables), *self.adam.m, *self.adam.v, self.adam.updates]
        return [slot.numpy() for slot in slots]


def assert_same(state, expected):
    for ours, theirs in zip(state, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("beta1", [0.0, 0.5])
def test_adam_equals_keras(strategy, beta1):
    ours = Trained(strategy, beta1=beta1, beta2=0.99)
    theirs = [keras.Variable(value) for value in ours.start]
    optimizer = keras.optimizers.Adam(float(RATE), beta_1=beta1, beta_2=0.99, epsilon=1e-8)
    for _ in range(5):
        gradients = ours.gradients()
        assert ours.step(gradients)
        optimizer.apply(gradients, theirs)
    for variable, start, expected in zip(ours.variables, ours.start, theirs, strict=True):
        assert np.all(np.abs(variable.numpy() - start) > 1e-4)
        np.testing.assert_allclose(variable.numpy(), expected.numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", range(3))
def test_one_bad_gradient_skips_the_update(strategy, place, bad):
    trained = Trained(strategy, beta1=0.5)
    assert trained.step(trained.gradients())
    before = trained.state()
    gradients = trained.gradients()
    spoilt = np.array(gradients[place])
    spoilt.flat[-1] = bad
    gradients[place] = tf.constant(spoilt)
    assert not trained.step(gradients)
    assert_same(trained.state(), before)
    assert trained.step(trained.gradients())


def test_reset_forgets_everything(strategy):
    trained, fresh = Trained(strategy, beta1=0.5), Trained(strategy, beta1=0.5)
    for _ in range(3):
        trained.step(trained.gradients())
    trained.adam.reset()
    assert_same(trained.state()[3:], [np.zeros_like(slot) for slot in fresh.state()[3:]])
    # The next step is a first step.
    for variable, value in zip(trained.variables, trained.start, strict=True):
        variable.assign(value)
    gradients = fresh.gradients()
    trained.step(gradients)
    fresh.step(gradients)
    assert_same(trained.state(), fresh.state())


def test_variables_without_gradient_stay(strategy):
    trained = Trained(strategy)
    first, _, last = trained.gradients()
    assert trained.step([first, None, last])
    np.testing.assert_array_equal(trained.variables[1].numpy(), trained.start[1])
    assert not np.array_equal(trained.variables[0].numpy(), trained.start[0])
    assert not np.array_equal(trained.variables[2].numpy(), trained.start[2])


def fake_generator(resolution=32):
    """As much of a generator as draws need."""
    shapes = [(1, side, side, 1) for side in (4, 8, 16, 32) if side <= resolution for _ in range(2)]
    return types.SimpleNamespace(latent_size=8, noise_shapes=shapes, layers_at=lambda side: 2 * side.bit_length() - 4)


def test_draws_are_a_function_of_the_seed():
    def draws(*values):
        return tf.nest.flatten(generator_draws(seed_of(*values), 2, fake_generator(8), 8, 0.9))

    assert_same(draws(1, 640, 0, Purpose.G_GENERATOR), draws(1, 640, 0, Purpose.G_GENERATOR))
    # Python's numbers and tensors, as in a traced step, mean the same.
    traced = tf.function(lambda images: draws(1, images, tf.constant(0), Purpose.G_GENERATOR))
    assert_same(traced(tf.constant(640, tf.int64)), draws(1, 640, 0, Purpose.G_GENERATOR))


def test_no_two_seeds_are_alike():
    seeds = {
        tuple(seed_of(run_seed, images, replica, purpose).numpy())
        for run_seed in (0, 1)
        for images in (0, 1, 8, 2**33)
        for replica in (0, 1)
        for purpose in Purpose
    }
    assert len(seeds) == 2 * 4 * 2 * len(Purpose)


@pytest.mark.parametrize("seed", [[5, 7], [2**31 - 1, 0], [-3, 9], [2**40 + 1, -(2**50)]], ids=str)
def test_draws_are_those_of_tensorflows_functions(seed):
    """To the last bit: runs of earlier versions go on, and the same seed gives the same pictures."""
    seed, random = tf.constant(seed), tf.random
    np.testing.assert_array_equal(normal([3, 50], seed), random.stateless_normal([3, 50], seed, alg="philox"))
    np.testing.assert_array_equal(uniform([150], seed), random.stateless_uniform([150], seed, alg="philox"))
    expected = random.stateless_uniform([150], seed, -4, 9, tf.int32, alg="philox")
    np.testing.assert_array_equal(integers([150], seed, -4, 9), expected)
    number = tf.constant(12, tf.int64)
    expected = random.experimental.stateless_fold_in(seed, number, alg="philox")
    np.testing.assert_array_equal(fold(seed, number), expected)


def test_folds_are_what_fold_gives():
    seed = seed_of(3, 8)
    np.testing.assert_array_equal(folds(seed, 5), [fold(seed, i) for i in range(5)])


def test_draws_within_a_step_are_different():
    draws = generator_draws(seed_of(0), 8, fake_generator(8), 8, 0.9)
    assert not np.any(np.isclose(draws.z, draws.z2, atol=1e-6))
    first, second = draws.noise[:2]
    assert not np.any(np.isclose(first, second, atol=1e-6))


@pytest.mark.parametrize("resolution, layers", [(4, 2), (8, 4), (32, 8)])
def test_shapes_of_draws(resolution, layers):
    draws = generator_draws(seed_of(0), 3, fake_generator(), resolution, 0.9)
    sides = [2 ** (i // 2 + 2) for i in range(layers)]
    assert draws.z.shape == draws.z2.shape == (3, 8)
    assert [tuple(noise.shape) for noise in draws.noise] == [(3, side, side, 1) for side in sides]


@pytest.mark.parametrize("resolution, layers", [(4, 2), (8, 4), (32, 8)])
def test_cutoff(resolution, layers):
    count = 2000

    @tf.function
    def cutoffs(prob):
        def draw(images):
            return generator_draws(seed_of(3, images, 0), 1, fake_generator(4), resolution, prob).cutoff

        return tf.map_fn(draw, tf.range(count), tf.int32)

    for prob in (0.0, 0.9, 1.0):
        seen = np.bincount(cutoffs(tf.constant(prob)), minlength=layers + 1) / count
        expected = np.array([0.0, *[prob / (layers - 1)] * (layers - 1), 1.0 - prob])
        # Five standard deviations; what cannot happen has not happened.
        assert np.all(np.abs(seen - expected) <= 5 * np.sqrt(expected * (1 - expected) / count) + 1e-9)


def test_half_life():
    assert half_life_beta(10_000, 10) == 0.5
    assert half_life_beta(100, 10) ** 100 == pytest.approx(0.5)
    assert half_life_beta(32, 0) == 0.0


class Stepped:
    """Networks for 4 x 4 with the step that trains them, and a minibatch of reals and draws."""

    def __init__(self, strategy):
        config = TrainingConfig(resolution=4, w_average_beta=0.9, **NETWORKS)
        keras.utils.set_random_seed(0)
        with strategy.scope():
            self.models = Models(config, num_channels=1, label_size=0)
        step = TrainingStep(self.models, config, strategy, 4, fading=False, all_labels=tf.zeros([1, 0]))
        images = np.random.RandomState(6).randint(256, size=(8, 4, 4, 1)).astype("uint8")
        self.inputs = strategy.run(
            step.draw, (tf.constant(images), tf.zeros([8, 0]), tf.constant(0, tf.int64), tf.constant(1.0))
        )
        self.statistics = step.statistics
        self.traced = tf.function(step.update)

    def state(self):
        return {name: variable.numpy() for name, variable in self.models.variables().items()}

    def step(self, reals=None, G_draws=None, beta=0.5):
        """The statistics of one step by name, with something else than the minibatch's own."""
        D, G = self.inputs["D"], self.inputs["G"]
        D = D if reals is None else D._replace(reals=reals)
        G = G if G_draws is None else G._replace(draws=G_draws)
        statistics = self.traced({"D": D, "G": G}, tf.constant(1.0), RATE, RATE, tf.constant(beta))
        return dict(zip(self.statistics, statistics.numpy(), strict=True))


@pytest.fixture(scope="module")
def shared_step(strategy):
    return Stepped(strategy)


@pytest.fixture
def stepped(shared_step):
    """The shared step, with the variables as they were at the start."""
    start = shared_step.state()
    yield shared_step
    for name, variable in shared_step.models.variables().items():
        variable.assign(start[name])


def changed(before, after):
    """Which of G, D, Gs, G_optimizer and D_optimizer have changed."""
    owner = {name: name.split("/")[0] + ("_optimizer" if name.endswith(("/m", "/v")) else "") for name in before}
    return {owner[name] for name in before if not np.array_equal(before[name], after[name])}


def test_every_variable_has_a_name_of_its_own(strategy, shared_step):
    # A checkpoint holds what these names tell apart; and it must fit networks that another process has made.
    models = shared_step.models
    variables = [*models.G.variables, *models.D.variables, *models.Gs.variables]
    slots = [s for o in (models.G_optimizer, models.D_optimizer) for s in (*o.m, *o.v, o.updates)]
    named = models.variables()
    assert len({id(variable) for variable in named.values()}) == len(named) == len(variables) + len(slots)
    assert Stepped(strategy).models.variables().keys() == named.keys()


def test_step_changes_everything(stepped):
    before = stepped.state()
    statistics = stepped.step()
    assert changed(before, stepped.state()) == {"G", "D", "Gs", "G_optimizer", "D_optimizer"}
    assert statistics["D_skipped"] == statistics["G_skipped"] == 0
    assert np.all(np.isfinite([*statistics.values()]))


def test_nan_in_reals_skips_d(stepped):
    before = stepped.state()
    reals = stepped.inputs["D"].reals.numpy()
    reals[3, 2, 1, 0] = np.nan
    statistics = stepped.step(reals=tf.constant(reals))
    assert (statistics["D_skipped"], statistics["G_skipped"]) == (1, 0)
    assert changed(before, stepped.state()) == {"G", "Gs", "G_optimizer"}


def test_nan_in_noise_skips_g(stepped):
    before = stepped.state()
    # The noise strengths start at zero, and NaN * 0 is NaN.
    draws = stepped.inputs["G"].draws
    statistics = stepped.step(G_draws=draws._replace(noise=[draws.noise[0] * np.nan, *draws.noise[1:]]))
    assert (statistics["D_skipped"], statistics["G_skipped"]) == (0, 1)
    after = stepped.state()
    assert changed(before, after) == {"G", "D", "Gs", "D_optimizer"}
    of_G = {name for name in before if name.startswith("G/") and not np.array_equal(before[name], after[name])}
    assert of_G == {"G/w_average"}


def test_average_lags_one_step_of_g(stepped):
    G, Gs = stepped.models.G, stepped.models.Gs
    start = [variable.numpy() for variable in G.trainable_variables]
    w = G.mapping(stepped.inputs["D"].draws.z).numpy()[:, 0]
    stepped.step(beta=0.0)
    assert_same([variable.numpy() for variable in Gs.trainable_variables], start)
    assert not any(np.array_equal(v.numpy(), value) for v, value in zip(G.trainable_variables, start, strict=True))
    # What is copied is as it was after D's step, too: one update of the w average, of two.
    np.testing.assert_allclose(Gs.w_average.numpy(), 0.1 * w.mean(axis=0), rtol=1e-5)
    assert not np.allclose(G.w_average.numpy(), Gs.w_average.numpy())


def test_average_decays_by_beta(stepped):
    G, Gs = stepped.models.G, stepped.models.Gs
    stepped.step()
    average = [variable.numpy() for variable in Gs.trainable_variables]
    weights = [variable.numpy() for variable in G.trainable_variables]
    stepped.step(beta=0.75)
    for variable, a, g in zip(Gs.trainable_variables, average, weights, strict=True):
        np.testing.assert_allclose(variable.numpy(), 0.75 * a + 0.25 * g, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A whole run on digits that grows from 4 x 4 to 8 x 8, with its trainer, resets and traces."""
    folder = tmp_path_factory.mktemp("run")
    # Without penalty and mixing, which matter for nothing here, steps are traced in half of the time.
    config = TrainingConfig(
        **{"dataset": "digits", "data_dir": str(folder / "data"), "resolution": 8, "total_kimg": 0.192},
        # 4 x 4 until 64 images, then 8 x 8 fades in until 128; looked at every 4 x 8 images.
        schedule=ScheduleConfig(
            lod_initial_resolution=4, lod_training_kimg=0.064, lod_transition_kimg=0.064, minibatch_base=8
        ),
        loss=LossConfig(r1_gamma=0.0),
        style_mixing_prob=0.0,
        **NETWORKS,
    )
    record = types.SimpleNamespace(
        resets=collections.defaultdict(list), traces=collections.Counter(), streams=[], graphs={}
    )
    with pytest.MonkeyPatch.context() as patch:
        trainer = record.trainer = Trainer(config)
        names = {id(trainer.models.G_optimizer): "G", id(trainer.models.D_optimizer): "D"}
        reset, draw, open_stream = Adam.reset, TrainingStep.draw, RealImages.open

        def recorded_reset(self):
            record.resets[names[id(self)]].append(trainer.progress.images_seen)
            reset(self)

        def recorded_draw(self, *arguments):
            level = self.level.resolution, self.level.fading
            record.traces[level] += 1
            record.graphs[level] = weakref.ref(tf.compat.v1.get_default_graph())
            return draw(self, *arguments)

        def recorded_open_stream(self, *arguments):
            record.streams.append((trainer.progress.images_seen, arguments))
            return open_stream(self, *arguments)

        patch.setattr("stylegan_tf.training.stream.WARM_MINIBATCHES", 4)
        patch.setattr(RealImages, "open", recorded_open_stream)
        patch.setattr(Adam, "reset", recorded_reset)
        patch.setattr(TrainingStep, "draw", recorded_draw)
        trainer.run(folder / "results")
    return record


def test_optimizers_are_reset_when_a_level_enters_or_leaves_fading(run):
    # lod 1 at 0, 32 and 64 images, 0.5 at 96, 0 from 128 on.
    assert run.resets == {"G": [0, 96, 128], "D": [0, 96, 128]}
    models = run.trainer.models
    assert models.G_optimizer.updates.numpy() == models.D_optimizer.updates.numpy() == (192 - 128) / 8


def test_next_level_is_opened_before_it_is_needed(run):
    # (images seen, (resolution, minibatch, first item)): four minibatches before images of 8 x 8 are first wanted, with
    # the next look at the schedule after 64 images, which is at 96.
    assert run.streams == [(0, (4, 8, 0)), (40, (8, 8, 96))]
    assert run.trainer.reals.key == (8, 8)
    assert not run.trainer.reals.warm


@pytest.mark.parametrize("repeats", [1, 3, 4])
@pytest.mark.parametrize("resumed_at", [0, 5, 30])
def test_changes_of_stream_are_foreseen(repeats, resumed_at):
    """Run as the trainer counts, from wherever it is resumed, against what `next_change` says."""
    schedule = ScheduleConfig(lod_training_kimg=0.05, lod_transition_kimg=0.07, minibatch_dict={8: 12, 16: 6})
    config = TrainingConfig(resolution=32, total_kimg=0.6, minibatch_repeats=repeats, schedule=schedule)
    progress, changes, foreseen = Progress(), [], set()
    before = None
    for step in range(200):
        if progress.images_seen >= 600:
            break
        if progress.repeat == 0:
            progress.schedule_images = progress.images_seen
        phase = config.phase(progress.schedule_images)
        key = phase.resolution, phase.minibatch
        if before is not None and key != before:
            changes.append((*key, progress.images_seen))
        before = key
        if step >= resumed_at and (change := next_change(config, progress)):
            foreseen.add(change)
        progress.images_seen += phase.minibatch
        progress.repeat = (progress.repeat + 1) % repeats
    assert [resolution for resolution, _, _ in changes] == [16, 32]
    assert foreseen == {change for change in changes if change[2] > resumed_at * 12 or resumed_at == 0}


def test_one_trace_of_each_part(run):
    # Python runs through `draw` only when a part, D or G, is traced.
    assert run.traces == {(4, False): 2, (8, True): 2, (8, False): 2}


def test_steps_of_levels_that_are_left_are_freed(run):
    alive = {level: graph() is not None for level, graph in run.graphs.items()}
    assert alive == {(4, False): False, (8, True): False, (8, False): True}
