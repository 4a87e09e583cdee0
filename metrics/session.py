"""One network that is being measured: its devices, its cache, and what several metrics of it share."""

import contextlib
import hashlib
import json
from functools import cached_property

import numpy as np
import tensorflow as tf

from datasets.fingerprint import fingerprint
from datasets.tfrecords import MultiResolutionDataset
from metrics.options import Options
from metrics.rows import fill_rows, open_cache, remove_rows
from metrics.samples import Samples
from stylegan_tf.files.identity import network_hash
from stylegan_tf.images import to_uint8
from stylegan_tf.runtime.replicas import distributed, strategy_of

# Pixels of the images that a device generates at a time, where --minibatch is not given, and the most images.
_PIXELS, _MOST = 2**22, 64


class Session:
    """What the metrics of one network work with; use it in a `with` block.

    Rows of generated samples are kept in the cache until all metrics of a network are there, and removed when the block
    ends without an exception.

    Args:
        generator: A generator of any family, made in the scope of the strategy whose devices are to work.
        dataset: MultiResolutionDataset of the generator's resolution, or None for metrics that need none.
        options: Options.
        opened: A dict of what `once` has opened, which sessions of one run share: of generators with the same strategy
            and size, with the same options and data set. None for networks of this session's own.

    Attributes:
        samples: Samples.
        cache: Path of the cache folder.

    Raises:
        ValueError: The data set is of another resolution, or has other channels or labels; or the cache is foreign.
    """

    def __init__(self, generator, dataset, options=None, opened=None):
        self.options = options or Options()
        self.dataset = dataset
        if dataset is not None:
            check_fit(generator, dataset)
        elif generator.label_size:
            raise ValueError("The network needs labels, which are drawn from its data set; name that with --dataset.")
        self.cache = open_cache(self.options.cache_dir)
        self.strategy = strategy_of(generator)
        self.network_hash = network_hash(generator)
        labels = dataset.labels if generator.label_size else None
        self.samples = Samples(generator, labels, self.options.seed)
        self.generator = generator
        self.opened, self.tables = {} if opened is None else opened, set()
        self.folder = self.cache / "unfinished" / self.network_hash[:16]
        replicas = self.strategy.num_replicas_in_sync
        pixels = generator.resolution**2
        self.batch = replicas * (self.options.minibatch or max(1, min(_MOST, _PIXELS // pixels)))

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if kind is None:
            for path in self.tables:
                remove_rows(path)
            # Others of this network may still be computed, or have been interrupted.
            with contextlib.suppress(OSError):
                self.folder.rmdir()

    def once(self, open_network):
        """The result of `open_network(session)`, which is called once in all sessions that share what is opened."""
        if open_network not in self.opened:
            self.opened[open_network] = open_network(self)
        return self.opened[open_network]

    @cached_property
    def dataset_hash(self):
        """Fingerprint of the data set's images."""
        return fingerprint(self.dataset, self.generator.resolution)

    def need_dataset(self):
        """The data set; ValueError if there is none."""
        if self.dataset is None:
            raise ValueError(
                "A data set is needed, to compare with or to know whose classifiers to take; name it with --dataset."
            )
        return self.dataset

    @cached_property
    def labelled_dataset(self):
        """The data set with all its labels, which an unconditional network does without."""
        dataset = self.need_dataset()
        return MultiResolutionDataset(dataset.folder, dataset.resolution, "full")

    def sample_rows(self, kind, columns, function, count, **facts):
        """Rows of generated samples, one for each index.

        Args:
            kind: Name of the table.
            columns: Numbers in a row.
            function: Function of indices, int64 tensor [N], that returns (rows, float [N, columns]; the images they are
                from, float [N, R, R, C], which are checked).
            count: Number of samples.
            **facts: What else, besides network and seed, decides what is in the rows.
        """

        def with_checks(indices):
            rows, images = function(indices)
            finite = tf.reduce_all(tf.math.is_finite(images), axis=[1, 2, 3])
            pixels = to_uint8(images)
            varied = tf.reduce_any(pixels != pixels[:, :1, :1], axis=[1, 2, 3])
            flags = tf.cast(tf.stack([finite, varied], axis=1), tf.float32)
            return tf.concat([rows, flags], axis=1)

        on_devices = distributed(self.strategy, with_checks)

        def compute(indices):
            rows = on_devices(indices)
            check_images(rows[:, columns], rows[:, columns + 1], indices[0])
            return rows[:, :columns]

        labels = self.dataset_hash if self.generator.label_size else None
        facts = {"seed": self.options.seed, "labels": labels, **facts}
        path = self.folder / f"{kind}-{digest(facts)[:16]}.f32"
        self.tables.add(path)
        return fill_rows(path, count, columns, compute, self.batch, f"{kind} of generated images")


def check_fit(generator, dataset):
    """ValueError unless a data set holds images like a generator's."""
    if dataset.resolution != generator.resolution:
        raise ValueError(
            f"The network makes images of {generator.resolution}x{generator.resolution}, and {dataset.folder} holds "
            f"{dataset.resolution}x{dataset.resolution}; give the data set that the network was trained on."
        )
    channels = generator.synthesis.num_channels
    if dataset.num_channels != channels:
        raise ValueError(
            f"The network makes images of {channels} channels, and those of {dataset.folder} have "
            f"{dataset.num_channels}; give the data set that the network was trained on."
        )
    if generator.label_size and dataset.label_size != generator.label_size:
        raise ValueError(
            f"The network takes labels of {generator.label_size} numbers, and {dataset.folder} has "
            f"{dataset.label_size}; give the data set that the network was trained on."
        )


def check_images(finite, varied, first):
    """ValueError if images are broken.

    Args:
        finite: Whether all pixels of an image are finite numbers, [N].
        varied: Whether its pixels are not all the same, [N].
        first: Index of the first sample.
    """
    if not np.all(finite):
        raise ValueError(
            f"The network is broken: sample {first + int(np.argmin(finite))} has pixels that are not finite numbers; "
            "measure another snapshot."
        )
    if not np.any(varied):
        raise ValueError(
            f"The network is broken: samples {first} to {first + len(varied) - 1} are of one colour each; measure "
            "another snapshot."
        )


def digest(facts):
    """SHA-256 of a dictionary, hexadecimal."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
