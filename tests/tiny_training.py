"""The training door on networks and images that are small enough for seconds, for tests/cli and tests/resume."""

import numpy as np
import processes
import tensorflow as tf
from tensorflow.core.util.event_pb2 import Event

from datasets.tfrecords import MultiResolutionWriter

SETTINGS = (
    "generator.fmap_base=64",
    "generator.fmap_max=8",
    "generator.latent_size=16",
    "generator.dlatent_size=16",
    "generator.mapping_fmaps=16",
    "generator.mapping_layers=2",
    "discriminator.fmap_base=64",
    "discriminator.fmap_max=8",
    "schedule.lod_initial_resolution=4",
    "schedule.tick_kimg_dict={}",
)


def create_dataset(data_dir, resolution=8, name="tiny", labels=True):
    """Creates a data set of 50 images of noise, with labels of three classes."""
    random = np.random.default_rng(0)
    with MultiResolutionWriter(data_dir / name) as writer:
        for image in random.integers(0, 256, (50, resolution, resolution, 3), np.uint8):
            writer.add_image(image)
        if labels:
            writer.set_labels(np.eye(3)[random.integers(0, 3, 50)])


def arguments(folder, *more, settings=()):
    """Arguments of the door for a new run in `folder`/results on the data set `tiny` of `folder`/data."""
    return [
        "--dataset=tiny",
        f"--data-dir={folder / 'data'}",
        f"--outdir={folder / 'results'}",
        "--num-gpus=0",
        "--minibatch=8",
        *more,
        *(f"--set={setting}" for setting in (*SETTINGS, *settings)),
    ]


def start(arguments, **options):
    """Starts the door, with options of processes.start; returns the process."""
    return processes.start("run_training.py", *arguments, **options)


def read_events(run_dir):
    """{(tag, step): value} of a run's TensorBoard files: numbers, and images as PNG files, bytes."""
    values = {}
    for path in sorted(run_dir.glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = Event.FromString(record)
            for value in event.summary.value:
                array = tf.make_ndarray(value.tensor)
                # An image is [width, height, file, ...].
                values[value.tag, event.step] = array[2] if array.ndim else array.item()
    return values
