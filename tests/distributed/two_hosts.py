"""Trains the same networks on two processes, or on two logical CPUs of one, for test_two_hosts.py.

python tests/distributed/two_hosts.py one FOLDER
TF_CONFIG=... python tests/distributed/two_hosts.py two FOLDER

FOLDER holds the data set `numbers`; what is compared is written there. The second of the two processes ends by kill -9.
"""

import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import numpy as np
import tensorflow as tf
from two_replicas import BATCH, CONFIG, RATE, RESOLUTION, make

from datasets.pipeline import training_pipeline
from datasets.tfrecords import MultiResolutionDataset
from stylegan_tf.runtime.agreement import LOST, HostLost, agree, check_alike, watch
from stylegan_tf.runtime.devices import host_stream, make_strategy
from stylegan_tf.runtime.hosts import Hosts, find_hosts
from stylegan_tf.training.steps import TrainingStep

STEPS = 3


def open_stream(folder, worker=0, num_workers=1, max_label_size="full"):
    """This worker's share of each minibatch, (images, labels)."""
    data = MultiResolutionDataset(folder / "numbers", max_label_size=max_label_size)
    return training_pipeline(data, RESOLUTION, BATCH, seed=5, worker=worker, num_workers=num_workers)


def numbers_of(strategy, stream, count):
    """The images of a stream, which are numbers, and the sizes of their labels: [count, replicas, images] each."""
    numbers = []
    for _ in range(count):
        parts = (strategy.experimental_local_results(value) for value in next(stream))
        numbers.append([[i.numpy()[:, 0, 0, 0], np.full(len(i), x.shape[1])] for i, x in zip(*parts, strict=True)])
    return np.array(numbers)


class Training:
    """The trainer's own step on a stream."""

    def __init__(self, strategy, hosts, num_gpus, folder):
        self.strategy = strategy
        self.models = make(strategy)
        labels = tf.eye(3)
        self.step = TrainingStep(self.models, CONFIG, strategy, RESOLUTION, fading=True, all_labels=labels)
        self.stream = host_stream(strategy, hosts, num_gpus, open_stream(folder, hosts.index, hosts.count))
        self.images_seen = 0

    def __call__(self):
        """Trains on one minibatch and returns the statistics."""
        images, labels = next(self.stream)
        seen = tf.constant(self.images_seen, tf.int64)
        self.images_seen += BATCH
        return self.step(images, labels, seen, *map(tf.constant, (0.3, RATE, RATE, 0.5))).numpy()

    def state(self):
        return {name: variable.numpy() for name, variable in self.models.variables().items()}


def train(training):
    """The state before and after a few steps, and what they return: {name: array}."""
    before = training.state()
    statistics = np.array([training() for _ in range(STEPS)])
    return {
        "statistics": statistics,
        **{f"start/{name}": value for name, value in before.items()},
        **{f"end/{name}": value for name, value in training.state().items()},
    }


def one(folder):
    """One process, two replicas; and what each of two hosts with two replicas would read."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    results = train(Training(strategy, Hosts(), 2, folder))
    results["stream/agreed"] = agree(strategy, 7).numpy()
    whole = host_stream(strategy, Hosts(), 0, open_stream(folder))
    results["stream/whole"] = np.array([next(whole)[0].numpy()[:, 0, 0, 0] for _ in range(6)])
    for host in range(2):
        for size, name in (("full", "labels"), (0, "none")):
            stream = host_stream(strategy, Hosts(), 2, open_stream(folder, host, 2, size))
            results[f"stream/{name}/{host}"] = numbers_of(strategy, stream, 6)
    np.savez(folder / "one.npz", **{name.replace("/", "|"): value for name, value in results.items()})


def two(folder):
    """One of two processes."""
    hosts = find_hosts()
    strategy = make_strategy(0, hosts)
    training = Training(strategy, hosts, 0, folder)
    results = train(training)
    results["agreed"] = [agree(strategy, value * (hosts.index + 1)).numpy() for value in (0, 1, 10)]
    results["stream/numbers"] = numbers_of(
        strategy, host_stream(strategy, hosts, 1, open_stream(folder, hosts.index, 2)), 6
    )
    check_alike(strategy, hosts, {"configuration": CONFIG, "images seen": 8})
    try:
        check_alike(strategy, hosts, {"configuration": CONFIG, "images seen": 8 + hosts.index})
    except ValueError as error:
        results["check"] = str(error)
    np.savez(folder / f"two-{hosts.index}.npz", **{name.replace("/", "|"): value for name, value in results.items()})
    with watch(hosts):
        while True:
            training()
            if hosts.index == 1 and training.images_seen == 10 * BATCH:
                os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    try:
        {"one": one, "two": two}[sys.argv[1]](pathlib.Path(sys.argv[2]))
    except HostLost as error:
        print(error, file=sys.stderr)
        sys.exit(LOST)
