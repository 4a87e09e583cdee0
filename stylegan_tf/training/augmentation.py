"""Augmentation as a run has it: what is drawn of a seed, what stands before D, and how ADA's probability moves."""

from typing import NamedTuple

import tensorflow as tf

from stylegan_tf.augment import adaptive, diffaugment
from stylegan_tf.augment.controller import next_p
from stylegan_tf.augment.pipelines import columns, multipliers_of, parse_policy, unpack
from stylegan_tf.recipes.augment_choices import fixed_p
from stylegan_tf.runtime.draws import fold, normal, uniform


class Probability:
    """ADA's probability p, which follows what D says of real images. Construct it inside the strategy's scope.

    Args:
        config: TrainingConfig.

    Attributes:
        p: The probability now, float32 scalar.
    """

    def __init__(self, config):
        self.interval, self.target = config.ada.interval, config.ada.target
        self.kimg = config.ada.kimg_for(config.init_from)
        self.p = tf.Variable(0.0, trainable=False)
        # Since it was last moved: signs of D's scores and their number, images of the minibatches, minibatches.
        self.sums = tf.Variable(tf.zeros([4], tf.int64), trainable=False)

    def variables(self):
        """{name: tf.Variable} of a checkpoint."""
        return {"ada/p": self.p, "ada/sums": self.sums}

    def update(self, means, minibatch):
        """After every minibatch, in cross-replica context.

        Args:
            means: Mean signs of D's scores of real images, a scalar for each time it has scored them.
            minibatch: Number of images over all replicas.
        """
        signs = sum(tf.cast(tf.round(mean * minibatch), tf.int64) for mean in means)
        sums = self.sums + tf.stack([signs, minibatch * len(means), minibatch, 1])
        signs, count, images, minibatches = tf.unstack(sums)
        due = minibatches % self.interval == 0
        self.p.assign(tf.where(due, next_p(self.p, signs, count, images, self.target, self.kimg), self.p))
        self.sums.assign(tf.where(due, tf.zeros_like(sums), sums))


def signs_of(scores):
    """Signs of D's scores, of which those that are not a number have none."""
    return tf.sign(tf.where(tf.math.is_nan(scores), tf.zeros_like(scores), scores))


class AdaDraws(NamedTuple):
    """What ADA needs: the tables of `pipelines.unpack`, [N, columns]; noise, [N, R, R, C], or None; p, a scalar."""

    uniform: tf.Tensor
    normal: tf.Tensor
    noise: tf.Tensor | None
    p: tf.Tensor


class Ada:
    """ADA before D.

    Args:
        pipeline: Name of the pipeline.
        p: Probability, a scalar variable, or a number.
    """

    def __init__(self, pipeline, p):
        self.multipliers, self.p = multipliers_of(pipeline), p

    def draw(self, seed, shape):
        """AdaDraws for images of a shape, [N, R, R, C]."""
        tables = (
            function([shape[0], columns(kind)[1]], fold(seed, i))
            for i, (kind, function) in enumerate((("uniform", uniform), ("normal", normal)))
        )
        noise = normal(shape, fold(seed, 2)) if "noise" in self.multipliers else None
        return AdaDraws(*tables, noise, tf.convert_to_tensor(self.p, tf.float32))

    def __call__(self, images, draws):
        named = unpack(draws.uniform, draws.normal) | {"noise": draws.noise}
        return adaptive.augment(images, named, draws.p, self.multipliers)


class DiffAugment:
    """DiffAugment before D, with a policy such as "color,translation,cutout"."""

    def __init__(self, policy):
        self.policy = parse_policy(policy)

    def draw(self, seed, shape):
        """{name: [N]} of the draws for images of a shape, [N, R, R, C]."""
        ranges = diffaugment.draw_ranges(self.policy, *shape[1:3])
        table = tf.unstack(uniform([len(ranges), shape[0]], seed))
        # Whole numbers are added before they are int32, with which GPUs' kernels do not calculate: the processor would.
        return {
            name: draw if values is None else tf.cast(values[0] + tf.floor(draw * values[1]), tf.int32)
            for draw, (name, values) in zip(table, ranges.items(), strict=True)
        }

    def __call__(self, images, draws):
        return diffaugment.augment(images, draws, self.policy)


def augmentation_of(config, models):
    """What stands before D in a run, with `draw` for its draws; None for nothing."""
    if config.augment == "diffaugment":
        return DiffAugment(config.diffaugment)
    if models.ada:
        return Ada(config.ada.pipeline, models.ada.p)
    return Ada(config.ada.pipeline, p) if (p := fixed_p(config.augment)) else None
