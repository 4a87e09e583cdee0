"""Features of a minibatch on two logical CPUs: python tests/metrics/inception_replicas.py GRAPH IMAGES.npy OUT.npy

A process of its own, because logical devices must be made before TensorFlow starts. Also checks where constants are.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import numpy as np
import tensorflow as tf

from stylegan_tf.perception.inception import Inception


def main(graph, images, out):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    inception, images = Inception(graph), np.load(images)
    share = len(images) // 2

    def replica(images):
        index = tf.distribute.get_replica_context().replica_id_in_sync_group
        return inception(images[index * share : (index + 1) * share])

    @tf.function
    def step(images):
        return strategy.run(replica, args=(images,))

    features = strategy.experimental_local_results(step(tf.constant(images)))
    body = step.get_concrete_function(tf.constant(images)).graph
    for index, prefix in enumerate(("inception/", "replica_1/inception/")):
        devices = {op.device for op in body.get_operations() if op.name.startswith(prefix)}
        assert len(devices) == 1 and devices.pop().endswith(f":CPU:{index}"), (prefix, devices)
    np.save(out, np.concatenate([rows.numpy() for rows in features]))


if __name__ == "__main__":
    main(*sys.argv[1:])
