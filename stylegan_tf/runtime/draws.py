"""Everything random in a training step, as a pure function of (run seed, images seen, replica, purpose)."""

import enum
from typing import NamedTuple

import tensorflow as tf

# Makes the seeds: TensorFlow's generators for GPUs read their keys there, and would wait for what a GPU has to make.
HOST = "CPU:0"


class Purpose(enum.IntEnum):
    """What a draw is for. The numbers are part of a run's identity: new ones go to the end."""

    D_GENERATOR = 0
    G_GENERATOR = 1
    MIRROR = 2
    MIXING_FACTORS = 3
    RANDOM_LABELS = 4
    GRID = 5
    PATH_LENGTH = 6
    PATH_LENGTH_GENERATOR = 7
    PATH_LENGTH_LABELS = 8
    AUGMENT_REALS = 9
    AUGMENT_FAKES = 10
    AUGMENT_G = 11
    AUGMENT_R1 = 12


class GeneratorDraws(NamedTuple):
    """What one pass through the generator needs.

    Attributes:
        z: Latents, [N, latent_size].
        z2: Second latents, whose styles take over from layer `cutoff` on, [N, latent_size].
        cutoff: int32 scalar; the number of layers in use where styles are not mixed.
        noise: One image a layer in use, [N, R, R, 1] each; None for the stored ones.
        directions: Standard normal images for the path length, [N, R, R, C]; None without.
    """

    z: tf.Tensor
    z2: tf.Tensor
    cutoff: tf.Tensor
    noise: list[tf.Tensor] | None
    directions: tf.Tensor | None = None


def seed_of(run_seed, *values):
    """A seed for the stateless generators below, int32 [2]; other numbers, or another order, give another seed.

    Args:
        run_seed: Seed of the run.
        *values: Images seen, replica, `Purpose`, ...: integers, Python's or scalar tensors.
    """
    with tf.device(HOST):
        seed = tf.constant([run_seed & 0x7FFFFFFF, 0])
    for value in values:
        seed = fold(seed, value)
    return seed


def fold(seed, value):
    """A new seed, int64 [2], from a seed and an integer."""
    with tf.device(HOST):
        value = tf.cast(value, tf.int64)
        return tf.stack([_draw(tf.raw_ops.StatelessRandomUniformFullIntV2, [], seed, dtype=tf.int64), value])


def folds(seed, count):
    """A list of `fold(seed, 0)`, ..., `fold(seed, count - 1)`, in few operations, however many."""
    with tf.device(HOST):
        first = tf.fill([count], fold(seed, 0)[0])
        return tf.unstack(tf.stack([first, tf.range(count, dtype=tf.int64)], axis=1), count)


def normal(shape, seed):
    """Standard normal draws; the same on every device."""
    return _draw(tf.raw_ops.StatelessRandomNormalV2, shape, seed)


def uniform(shape, seed):
    """Uniform draws in [0, 1); the same on every device."""
    return _draw(tf.raw_ops.StatelessRandomUniformV2, shape, seed)


def integers(shape, seed, least, end):
    """Integers in [least, end), int32; the same on every device."""
    return _draw(tf.raw_ops.StatelessRandomUniformIntV2, shape, seed, minval=least, maxval=end)


def _draw(generator, shape, seed, **options):
    """What tf.random.stateless_normal and its like draw with alg="philox", to the last bit.

    They prepare the seed in some twenty operations where one does it: in a step of many small networks, and in metrics,
    which draw each sample by itself, that is most of all operations.
    """
    with tf.device(HOST):
        key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
    shape = tf.convert_to_tensor(shape, tf.int32)
    return generator(shape=shape, key=key, counter=counter, alg=tf.random.Algorithm.PHILOX.value, **options)


def generator_draws(seed, images, generator, resolution, style_mixing_prob):
    """Draws for one pass of `images` latents through a generator at a resolution.

    The cut-off is one for the whole batch, uniform in [1, layers in use) with probability `style_mixing_prob`.
    """
    shapes = [shape for shape in generator.noise_shapes if shape[1] <= resolution]
    layers = generator.layers_at(resolution)
    seeds = folds(seed, 4 + len(shapes))
    # Without styles there is nothing to mix, and no cut-off to draw.
    cutoff = integers([], seeds[0], 1, max(layers, 2))
    return GeneratorDraws(
        z=normal([images, generator.latent_size], seeds[1]),
        z2=normal([images, generator.latent_size], seeds[2]),
        cutoff=tf.where(uniform([], seeds[3]) < style_mixing_prob, cutoff, layers),
        noise=[normal([images, *shape[1:]], own) for own, shape in zip(seeds[4:], shapes, strict=True)],
    )
