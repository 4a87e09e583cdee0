"""Trains classifiers on two logical CPUs, and classifies on both, for test_classifier_training.py.

python tests/metrics/two_devices.py DATASET OUTDIR SETTINGS

A process of its own, because logical devices must be made before TensorFlow starts.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import numpy as np
import tensorflow as tf

from datasets.tfrecords import MultiResolutionDataset
from metrics.attribute_classifier import load_classifiers
from metrics.classifier_training import ClassifierSettings, DeviceTraining, train_classifiers


def main(data, out, settings):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    dataset = MultiResolutionDataset(data, max_label_size="full")
    folder = pathlib.Path(out) / "classifiers"
    devices = watch_devices()
    train_classifiers(dataset, folder, ClassifierSettings(**json.loads(settings)))

    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    with strategy.scope():
        classifiers = load_classifiers(folder, 8, 3)
    images = tf.constant(dataset.read_images(8, range(8)).reshape(2, 4, 8, 8, 3))

    @tf.function
    def classify():
        def part():
            return classifiers(images[tf.distribute.get_replica_context().replica_id_in_sync_group])

        return strategy.run(part)

    logits = [part.numpy() for part in strategy.experimental_local_results(classify())]
    np.savez(pathlib.Path(out) / "results.npz", logits=np.concatenate(logits), devices=sorted(devices))


def watch_devices():
    """A set that gets the device of each network that is trained."""
    devices, run = set(), DeviceTraining.run

    def watched(self, *arguments):
        finished = run(self, *arguments)
        devices.update(variable.value.device.rpartition("device:")[2] for variable in self.network.variables)
        return finished

    DeviceTraining.run = watched
    return devices


if __name__ == "__main__":
    main(*sys.argv[1:])
