"""The stream of training images, a pure function of (data set, seed).

Item s of the stream is the same image at every resolution and whatever the minibatch, so a run that is resumed, or goes
on at another resolution, opens the stream at the number of images it has seen and continues exactly. The records of a
level have known places, which makes any item readable at once: nothing is skipped, and no shuffle buffer is filled.
Where a level is spread over several files, neighbouring images are in different ones, so reading is interleaved.
"""

import functools
import math
import re
import threading

import numpy as np
import tensorflow as tf

from datasets.errors import DatasetError
from datasets.reading import aligned_empty

# Small batches are read together until they have this size, for which NumPy asks for huge pages, or this number.
_READ_BYTES = 2**24
_MAX_BATCHES = 64
# Batches that wait for the trainer, at least, besides those that are being read.
_READY = 2


def epoch_order(num_images, window, seed, epoch):
    """Returns the order of one epoch, a permutation, int64 [num_images].

    Images come as from a shuffle buffer of `window` images that is refilled in file order, so that reading stays near
    one place of the file, which counts on hard disks and network drives.

    Args:
        num_images: Images of the data set.
        window: Size of the buffer; from `num_images` on, the order is shuffled uniformly.
        seed: Non-negative integer.
        epoch: Number of the epoch, from 0.
    """
    # RandomState and SeedSequence promise the same numbers in every NumPy, and a run may be resumed under another one.
    random = np.random.RandomState(np.random.MT19937(np.random.SeedSequence([seed, epoch])))
    if window >= num_images:
        return random.permutation(num_images)
    slots = random.randint(window, size=num_images - window)
    # What each slot of the buffer holds is what was put there last: for all images at once instead of one by one.
    by_slot = np.argsort(slots, kind="stable")
    sorted_slots = slots[by_slot]
    is_last = np.append(sorted_slots[1:] != sorted_slots[:-1], True)
    buffer = np.arange(window)
    buffer[sorted_slots[is_last]] = window + by_slot[is_last]
    put = np.empty_like(by_slot)
    put[1:] = window + by_slot[:-1]
    is_first = np.append(True, is_last[:-1])
    put[is_first] = sorted_slots[is_first]
    order = np.empty(num_images, np.int64)
    order[by_slot] = put
    random.shuffle(buffer)
    order[num_images - window :] = buffer
    return order


def training_pipeline(
    dataset,
    resolution,
    minibatch,
    seed,
    start=0,
    shuffle_megabytes=4096,
    cache_megabytes=1024,
    worker=0,
    num_workers=1,
):
    """Opens the endless stream of shuffled training images; every image comes once an epoch.

    Reading starts when the stream's iterator is made, not when it is first asked, and stays some batches ahead.

    Args:
        dataset: MultiResolutionDataset.
        resolution: Side of the level to read.
        minibatch: Images in a minibatch of all workers together.
        seed: Non-negative integer; the shuffle of epoch e depends on (seed, e).
        start: Item to start at: the number of images the run has seen.
        shuffle_megabytes: Shuffle window, in the mean size of a record of `dataset.resolution`, hence as many images at
            every level.
        cache_megabytes: A level whose images take no more than this is read once, in one piece, and kept in memory.
        worker: Which share of every minibatch to read, for training on several machines.
        num_workers: Number of shares, which are equal.

    Returns:
        tf.data.Dataset of (images, labels): uint8 [minibatch / num_workers, R, R, C] and float32
        [minibatch / num_workers, label_size]. An image that cannot be read ends it with an error of TensorFlow's, from
        which `dataset_error` tells the DatasetError.

    Raises:
        DatasetError: The data set has no such level.
        ValueError: A number is out of its range.
    """
    for name, value, least in (("minibatch", minibatch, 1), ("seed", seed, 0), ("start", start, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}; received {value}.")
    share, rest = divmod(minibatch, num_workers)
    if rest or not 0 <= worker < num_workers:
        raise ValueError(
            f"worker {worker} of {num_workers} has no equal share of minibatches of {minibatch} images; the minibatch "
            "must be a multiple of num_workers, and workers count from 0."
        )
    image_shape = tuple(dataset.level(resolution).shape)
    image_bytes = math.prod(image_shape)
    cached = dataset.num_images * image_bytes <= cache_megabytes * 2**20
    load = functools.partial(_read_kept, dataset) if cached else dataset.read_images
    # Small batches are read several at a time: Python is slow to enter, and its threads wait for one another.
    batches = max(1, min(_MAX_BATCHES, _READ_BYTES // (share * image_bytes)))
    lead = (batches, share) if batches > 1 else (share,)

    stream_indices = indices_of_items(dataset, seed, shuffle_megabytes)

    def read(first_item):
        items = first_item + minibatch * np.arange(batches)[:, np.newaxis] + share * worker + np.arange(share)
        indices = stream_indices(items.ravel())
        return load(resolution, indices).reshape(*lead, *image_shape), indices.reshape(lead)

    labels = tf.constant(dataset.labels)

    def load_batches(first_item):
        # Not stateful: the result depends on the item's number only, so batches may be read in parallel.
        images, indices = tf.numpy_function(read, [first_item], (tf.uint8, tf.int64), stateful=False)
        images, indices = tf.ensure_shape(images, (*lead, *image_shape)), tf.ensure_shape(indices, lead)
        return (images, tf.gather(labels, indices)) if dataset.label_size else images

    first_items = tf.data.Dataset.counter(start, step=batches * minibatch)
    stream = first_items.map(load_batches, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    if batches > 1:
        stream = stream.unbatch()
    if not dataset.label_size:
        # Added last: unbatching must not meet arrays without elements.
        stream = tf.data.Dataset.zip(stream, tf.data.Dataset.from_tensors(tf.zeros([share, 0])).repeat())
    options = tf.data.Options()
    options.experimental_warm_start = True
    # Workers have their own shares already.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return stream.prefetch(max(_READY, batches)).with_options(options)


def indices_of_items(dataset, seed, shuffle_megabytes):
    """Returns a function of items of the stream, integers [N], that gives the numbers of their images, int64 [N].

    Raises:
        ValueError: The shuffle window does not hold an image.
    """
    window = shuffle_window(dataset, shuffle_megabytes)

    # A batch may reach over an epoch's end, and several are read at a time.
    @functools.lru_cache(maxsize=4)
    def order(epoch):
        return epoch_order(dataset.num_images, window, seed, epoch)

    # All reading threads come to an epoch's end at about the same time: the first one computes, the others wait.
    lock = threading.Lock()

    def indices_of(items):
        epochs, places = np.divmod(items, dataset.num_images)
        indices = np.empty_like(places)
        for epoch in np.unique(epochs).tolist():
            with lock:
                order_of_epoch = order(epoch)
            indices[epochs == epoch] = order_of_epoch[places[epochs == epoch]]
        return indices

    return indices_of


def shuffle_window(dataset, megabytes):
    """Returns how many images a shuffle window of this size holds; ValueError if not even one."""
    level = dataset.level(dataset.resolution)
    record_bytes = level.num_bytes / level.num_images
    window = int(megabytes * 2**20 / record_bytes)
    if window < 1:
        raise ValueError(f"shuffle_megabytes must hold an image, {record_bytes / 2**20:.3g}; received {megabytes}.")
    return window


def dataset_error(error):
    """Returns the DatasetError inside an error that a stream ended with, or None."""
    found = re.search(rf"{DatasetError.__name__}: (.*)", str(error))
    return DatasetError(found[1]) if found else None


def _read_kept(dataset, resolution, indices):
    """As `read_images`, of a level that is kept in memory."""
    images = dataset.keep_level(resolution)
    batch = aligned_empty((len(indices), *images.shape[1:]))
    # Any mode but the default one writes straight into `out`; all indices are in range.
    return np.take(images, indices, axis=0, out=batch, mode="clip")
