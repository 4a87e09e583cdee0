"""The real images of a run: one stream after the other, as resolution and minibatch change."""

import time

import tensorflow as tf

from datasets.pipeline import dataset_error, training_pipeline
from stylegan_tf.runtime.devices import host_stream

# How many minibatches before a change of resolution its stream is opened: seconds, in which it reads ahead.
WARM_MINIBATCHES = 100


class RealImages:
    """This host's share of the run's real images.

    Args:
        data: MultiResolutionDataset.
        config: TrainingConfig with a known resolution.
        strategy: The tf.distribute strategy.
        hosts: Hosts.

    Attributes:
        waited: Seconds in which the step had no images, to be set back by the reader.
    """

    def __init__(self, data, config, strategy, hosts):
        self.data, self.config, self.strategy, self.hosts = data, config, strategy, hosts
        self.key = self.batches = None
        self.warm = {}  # {(resolution, minibatch, first item): stream} that is opened ahead
        self.waited = 0.0

    def next(self, phase, progress):
        """The next images and labels, per replica; DatasetError if they cannot be read."""
        key, seen = stream_key(phase), progress.images_seen
        if key != self.key:
            self.key, self.batches = key, self.warm.get((*key, seen)) or self.open(*key, seen)
            self.warm = {}
        soon = self.config.phase(seen + WARM_MINIBATCHES * phase.minibatch)
        if not self.warm and stream_key(soon) != key and (change := next_change(self.config, progress)):
            self.warm = {change: self.open(*change)}
        start = time.perf_counter()
        batch = take(self.batches)
        self.waited += time.perf_counter() - start
        return batch

    def open(self, resolution, minibatch, start):
        """An iterator over images and labels, from the item `start` on; it begins to read at once."""
        config = self.config
        pipeline = training_pipeline(
            self.data,
            resolution,
            minibatch,
            config.seed,
            start,
            config.shuffle_megabytes,
            config.cache_megabytes,
            self.hosts.index,
            self.hosts.count,
        )
        return host_stream(self.strategy, self.hosts, config.num_gpus, pipeline)


def take(stream):
    """The next images and labels of a stream; DatasetError if they cannot be read."""
    try:
        return next(stream)
    except tf.errors.OpError as error:
        raise dataset_error(error) or error from None


def stream_key(phase):
    """What decides which stream of real images a phase reads."""
    return phase.resolution, phase.minibatch


def next_change(config, progress):
    """Returns (resolution, minibatch, images seen) of the next change of stream, or None if the run ends before it."""
    images_seen, repeat = progress.images_seen, progress.repeat
    phase = current = config.phase(progress.schedule_images)
    while images_seen < config.total_kimg * 1000:
        if repeat == 0:
            phase = config.phase(images_seen)
            if stream_key(phase) != stream_key(current):
                return *stream_key(phase), images_seen
        images_seen += phase.minibatch
        repeat = (repeat + 1) % config.minibatch_repeats
    return None
