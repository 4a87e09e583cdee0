"""Rows of a network's samples, and pictures, computed on one and on two logical CPUs, for test_measuring.py.

python tests/metrics/two_devices_measure.py FOLDER    # with data/tiny, classifiers, inception.pb, vgg16.pth, lpips.pth

A process of its own, because logical devices must be made before TensorFlow starts. Writes FOLDER/tables.npz.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import numpy as np
import tensorflow as tf
from tiny_generators import tiny_generator

from datasets.tfrecords import MultiResolutionDataset
from metrics import METRICS
from metrics.attribute_classifier import load_classifiers
from metrics.features import real_features
from metrics.options import Options
from metrics.session import Session
from stylegan_tf.perception.inception import Inception
from stylegan_tf.perception.lpips import LPIPS
from stylegan_tf.pictures.sampler import Sampler, latents

# Divisible by none of the minibatches of all devices together.
COUNT = 20


class Recording(Session):
    """A session that keeps what is in its tables."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.recorded = {}

    def sample_rows(self, kind, *arguments, **facts):
        rows = super().sample_rows(kind, *arguments, **facts)
        self.recorded[kind] = rows[:]
        return rows


def pictures(generator, minibatch):
    """Images with random noise as run_generator.py makes them, [COUNT, pixels]."""
    sampler = Sampler(generator, minibatch=minibatch)
    labels = np.resize(np.eye(generator.label_size), (COUNT, generator.label_size))
    w = sampler.mapping(latents(range(COUNT), generator.latent_size), labels)
    return sampler.synthesis(w, "random", range(COUNT)).reshape(COUNT, -1).astype("float32")


def compute(folder, devices, minibatch):
    """{DEVICES-MINIBATCH/table: rows} with so many images at a time on each device."""
    strategy = tf.distribute.MirroredStrategy([f"/cpu:{i}" for i in range(devices)])
    dataset = MultiResolutionDataset(folder / "data" / "tiny", max_label_size="full")
    with strategy.scope():
        generator = tiny_generator(resolution=dataset.resolution, label_size=dataset.label_size)
        lpips = LPIPS(folder / "vgg16.pth", folder / "lpips.pth")
        classifiers = load_classifiers(folder / "classifiers", dataset.resolution, dataset.num_channels)
    inception = Inception(folder / "inception.pb")
    run = f"{devices}-{minibatch}"
    options = Options(minibatch=minibatch, mirror=True, cache_dir=str(folder / f"cache-{run}"))
    with Recording(generator, dataset, options) as session:
        assert session.strategy is strategy and session.batch == devices * minibatch
        session.recorded["reals"] = real_features(session, inception, COUNT)[:]
        for name, network in (("fid50k", inception), ("ppl_zfull", lpips), ("ls", classifiers)):
            METRICS[name].measure(session, network, COUNT)
    session.recorded["pictures"] = pictures(generator, minibatch)
    return {f"{run}/{kind}": rows for kind, rows in session.recorded.items()}


def main(folder):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    folder = pathlib.Path(folder)
    np.savez(folder / "tables.npz", **compute(folder, 1, 8), **compute(folder, 2, 3))


if __name__ == "__main__":
    main(sys.argv[1])
