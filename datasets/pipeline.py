"""The stream of training images, a pure function of (data set, seed).

Item s of the stream is the same image at every resolution and whatever the minibatch, so a run that is resumed, or goes
on at another resolution, opens the stream at the number of images it has seen and continues exactly. The records of a
level are equally long, which makes any item readable at once: nothing is skipped over, and no shuffle buffer is filled.
"""

import functools

import numpy as np
import tensorflow as tf


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
    buffer = list(range(window))
    order = []
    for incoming, slot in enumerate(random.randint(window, size=num_images - window).tolist(), start=window):
        order.append(buffer[slot])
        buffer[slot] = incoming
    random.shuffle(buffer)
    return np.array(order + buffer)


def training_pipeline(dataset, resolution, minibatch, seed, start=0, shuffle_megabytes=4096):
    """Opens the endless stream of shuffled training images; every image comes once an epoch.

    Args:
        dataset: MultiResolutionDataset.
        resolution: Side of the level to read.
        minibatch: Images a batch.
        seed: Non-negative integer; the shuffle of epoch e depends on (seed, e).
        start: Item to start at: the number of images the run has seen.
        shuffle_megabytes: Shuffle window, in records of `dataset.resolution`, hence as many images at every level.

    Returns:
        tf.data.Dataset of (images, labels): uint8 [minibatch, R, R, C] and float32 [minibatch, label_size].

    Raises:
        DatasetError: The data set has no such level.
        ValueError: A number is out of its range.
    """
    for name, value, least in (("minibatch", minibatch, 1), ("seed", seed, 0), ("start", start, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}; received {value}.")
    record_bytes = dataset.level(dataset.resolution).record_bytes
    window = int(shuffle_megabytes * 2**20 / record_bytes)
    if window < 1:
        raise ValueError(
            f"shuffle_megabytes must hold an image, {record_bytes / 2**20:.3g}; received {shuffle_megabytes}."
        )
    image_shape = (minibatch, resolution, resolution, dataset.level(resolution).num_channels)

    # A batch may reach over an epoch's end, and several are read at a time.
    @functools.lru_cache(maxsize=4)
    def order(epoch):
        return epoch_order(dataset.num_images, window, seed, epoch)

    def read_batch(first_item):
        epochs, places = np.divmod(np.arange(first_item, first_item + minibatch), dataset.num_images)
        indices = [order(epoch)[place] for epoch, place in zip(epochs.tolist(), places.tolist(), strict=True)]
        return np.array(dataset.read_records(resolution, indices), object), dataset.labels[indices]

    def load_batch(first_item):
        # Not stateful: the result depends on the item's number only, so batches may be read in parallel.
        records, labels = tf.numpy_function(read_batch, [first_item], (tf.string, tf.float32), stateful=False)
        images = tf.ensure_shape(dataset.parse(records, resolution), image_shape)
        return images, tf.ensure_shape(labels, (minibatch, dataset.label_size))

    first_items = tf.data.Dataset.counter(start, step=minibatch)
    batches = first_items.map(load_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.prefetch(tf.data.AUTOTUNE)
