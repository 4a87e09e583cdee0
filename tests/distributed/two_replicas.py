"""Trains the same networks on one and on two logical CPUs, and writes what test_two_replicas.py compares to an .npz.

python tests/distributed/two_replicas.py OUT.npz

A process of its own, because logical devices must be made before TensorFlow starts.
"""

import dataclasses
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import keras
import numpy as np
import tensorflow as tf

from datasets.pipeline import training_pipeline
from datasets.tfrecords import MultiResolutionDataset, MultiResolutionWriter
from stylegan_tf.recipes.settings import AdaConfig, LossConfig, OptimizerConfig, TrainingConfig
from stylegan_tf.runtime.devices import host_stream
from stylegan_tf.runtime.draws import generator_draws, seed_of
from stylegan_tf.runtime.hosts import Hosts
from stylegan_tf.training.models import Models
from stylegan_tf.training.parts import Generated, RealAndGenerated
from stylegan_tf.training.steps import TrainingStep

RESOLUTION, BATCH, GROUP, LABELS, STEPS = 8, 8, 2, 3, 3
CONFIG = TrainingConfig(
    resolution=RESOLUTION,
    generator={"fmap_base": 32, "fmap_max": 8, "latent_size": 8, "dlatent_size": 8, "mapping_layers": 1},
    discriminator={"fmap_base": 32, "fmap_max": 8, "mbstd_group_size": GROUP},
    loss=LossConfig(r1_gamma=10.0),
    # With beta1 = 0 and the paper's epsilon of 1e-8, Adam's step is nearly the gradient's sign: where the true gradient
    # is zero, rounding alone would decide it, and the two sums round differently. With 1e-3 the step follows the
    # gradient's size, so that what is compared is the gradients, and a tolerance for rounding is enough.
    optimizer=OptimizerConfig(epsilon=1e-3),
    style_mixing_prob=1.0,
    w_average_beta=0.9,
)
RATE = 0.01
DATA_IMAGES = 48


def split(strategy, values):
    """Gives every replica its rows of each tensor, scalars whole; the minibatch's stddev groups stay together.

    Image i of a minibatch of M groups belongs to group i mod M: [members, replicas, groups a replica] in that order.
    """
    replicas = strategy.num_replicas_in_sync
    order = np.arange(BATCH).reshape(GROUP, replicas, -1).transpose(1, 0, 2).reshape(replicas, -1)

    def rows(context):
        mine = order[context.replica_id_in_sync_group]

        def pick(value):
            return tf.gather(value, mine) if value is not None and value.shape.rank else value

        return tf.nest.map_structure(pick, values)

    return strategy.experimental_distribute_values_from_function(rows)


def make(strategy, config=CONFIG):
    """Models with the same weights every time, all styles, noise strengths and biases away from zero."""
    keras.utils.set_random_seed(1)
    random = np.random.RandomState(1)
    with strategy.scope():
        models = Models(config, num_channels=1, label_size=LABELS)
        for network in (models.G, models.D):
            for variable in network.trainable_variables:
                variable.assign_add(0.3 * random.standard_normal(variable.shape))
        models.Gs.set_weights(models.G.get_weights())
    return models


def train(strategy):
    """State of a few steps from the same start with the same draws: {name: array}."""
    models = make(strategy)
    state = {f"start/{name}": variable.numpy() for name, variable in models.variables().items()}
    step = TrainingStep(models, CONFIG, strategy, RESOLUTION, fading=True, all_labels=tf.zeros([1, LABELS]))
    update = tf.function(step.update)
    random = np.random.RandomState(2)
    for i in range(STEPS):
        reals = tf.constant(random.uniform(-1, 1, (BATCH, RESOLUTION, RESOLUTION, 1)), tf.float32)
        draws = [generator_draws(seed_of(3, i, n), BATCH, models.G, RESOLUTION, 1.0) for n in range(2)]
        random_labels, labels = (tf.one_hot(random.randint(LABELS, size=BATCH), LABELS) for _ in range(2))
        inputs = {
            "D": RealAndGenerated(reals, labels, draws[0], tf.zeros([BATCH, 1, 1, 1])),
            "G": Generated(random_labels, draws[1]),
        }
        statistics = update(split(strategy, inputs), *map(tf.constant, (0.3, RATE, RATE, 0.5)))
        state[f"statistics/{i}"] = statistics.numpy()
    for name, variable in models.variables().items():
        for replica, copy in enumerate(strategy.experimental_local_results(variable)):
            state[f"end/{replica}/{name}"] = copy.numpy()
    return state


def draw(strategy):
    """What each replica draws in several steps, given the same images: {REPLICA/name: array [steps, ...]}."""
    models = make(strategy)
    labels = tf.eye(DATA_IMAGES)
    step = TrainingStep(models, CONFIG, strategy, RESOLUTION, fading=False, all_labels=labels)
    images = tf.constant(np.random.RandomState(4).randint(256, size=(BATCH, RESOLUTION, RESOLUTION, 1)), tf.uint8)
    given = tf.zeros([BATCH, DATA_IMAGES])
    run = tf.function(lambda seen: strategy.run(step.draw, (images, given, seen, 1.0)))
    local = strategy.experimental_local_results
    drawn = {}
    for seen in range(0, 16 * BATCH, BATCH):
        values = run(tf.constant(seen, tf.int64))
        for replica in range(strategy.num_replicas_in_sync):
            inputs = tf.nest.map_structure(
                # The labels that are given are one tensor for all replicas.
                lambda value, r=replica: value if value is None else local(value)[r % len(local(value))].numpy(),
                values,
            )
            D, G = inputs["D"], inputs["G"]
            named = {"reals": D.reals, "mixing factors": D.mixing_factors, "random labels": G.labels}
            for network, draws in (("D", D.draws), ("G", G.draws)):
                noise = {f"noise{i}": image for i, image in enumerate(draws.noise)}
                draws = {"z": draws.z, "z2": draws.z2, "cutoff": draws.cutoff, **noise}
                named |= {f"{network} {name}": value for name, value in draws.items()}
            for name, value in named.items():
                drawn.setdefault(f"{replica}/{name}", []).append(value)
    return {name: np.stack(values) for name, values in drawn.items()}


def train_on_stream(strategy, folder):
    """Two of the trainer's own steps, on a distributed stream: the items that each replica saw, and the final state."""
    with MultiResolutionWriter(folder / "numbers") as writer:
        for number in range(DATA_IMAGES):
            writer.add_image(np.full((RESOLUTION, RESOLUTION, 1), number, np.uint8))
        writer.set_labels(np.eye(DATA_IMAGES))
    data = MultiResolutionDataset(folder / "numbers", max_label_size=LABELS)
    pipeline = training_pipeline(data, 4, BATCH, seed=5)
    # As on GPUs: compiled, and with each replica's images on its device ahead of time. With ADA, whose probability
    # moves after each of the two steps; its smallest pipeline, as others take XLA most of the time of this script.
    # That XLA compiles them all is shown by test_augmentation_gradients.py.
    config = dataclasses.replace(CONFIG, xla=True, augment="ada", ada=AdaConfig(interval=1, kimg=1, pipeline="cutout"))
    models = make(strategy, config)
    step = TrainingStep(models, config, strategy, 4, fading=False, all_labels=tf.constant(data.labels))
    stream = host_stream(strategy, Hosts(), 2, pipeline)
    state = {"whole": np.stack([images[:, 0, 0, 0] for images, _ in pipeline.take(6).as_numpy_iterator()])}
    parts = []
    for seen in range(0, 6 * BATCH, BATCH):
        images, labels = next(stream)
        parts.append([part.numpy()[:, 0, 0, 0] for part in strategy.experimental_local_results(images)])
        if len(parts) <= 2:
            scalars = map(tf.constant, (1.0, RATE, RATE, 0.5))
            state["statistics"] = step(images, labels, tf.constant(seen, tf.int64), *scalars).numpy()
            signs = state["statistics"][step.statistics.index("signs/real")]
            state.setdefault("signs", []).append(signs)
    state["parts"] = np.array(parts)
    for name, variable in models.variables().items():
        for replica, copy in enumerate(strategy.experimental_local_results(variable)):
            state[f"end/{replica}/{name}"] = copy.numpy()
    return state


def main(out):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    one = tf.distribute.MirroredStrategy(["/cpu:0"])
    two = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    assert (one.num_replicas_in_sync, two.num_replicas_in_sync) == (1, 2)
    results = {"one": train(one), "two": train(two), "draws": draw(two)}
    with tempfile.TemporaryDirectory() as folder:
        results["stream"] = train_on_stream(two, pathlib.Path(folder))
    np.savez(out, **{f"{part}/{name}".replace("/", "|"): v for part, d in results.items() for name, v in d.items()})


if __name__ == "__main__":
    main(sys.argv[1])
