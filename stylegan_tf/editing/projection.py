"""Projection: the w and the noise images whose image is nearest to a given picture.

Reference:
    Karras et al., 2019 (StyleGAN2), section 5 and appendix D.
"""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from stylegan_tf.layers.resample import downsample

SPACES = ("w", "w+")
# Samples of w that its mean and deviation are taken of, and the seed of their latents.
STATISTICS_SAMPLES, STATISTICS_SEED = 10_000, 123
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's
_SMALLEST_REGULARIZED = 8  # side of the last noise image that the regularizer halves to


class Schedule(NamedTuple):
    """How a projection goes about it; lengths are fractions of all steps.

    Attributes:
        num_steps: Steps.
        initial_learning_rate: The highest learning rate.
        initial_noise_factor: Noise that is added to w at first, in deviations of w.
        noise_ramp_length: When that has faded.
        lr_rampup_length, lr_rampdown_length: Over how much the learning rate rises from 0, and falls to 0.
        regularize_noise_weight: Weight of `noise_regularizer` in the loss.
    """

    num_steps: int = 1000
    initial_learning_rate: float = 0.1
    initial_noise_factor: float = 0.05
    noise_ramp_length: float = 0.75
    lr_rampup_length: float = 0.05
    lr_rampdown_length: float = 0.25
    regularize_noise_weight: float = 1e5

    def learning_rate(self, step):
        """The learning rate of a step, the first of which is 0: up in a line, down in half a cosine."""
        t = step / self.num_steps
        down = min(1.0, (1.0 - t) / self.lr_rampdown_length)
        return self.initial_learning_rate * (0.5 - 0.5 * math.cos(math.pi * down)) * min(1.0, t / self.lr_rampup_length)

    def w_noise_strength(self, step, w_std):
        """Standard deviation of what is added to w in a step."""
        fading = max(0.0, 1.0 - step / self.num_steps / self.noise_ramp_length)
        return w_std * self.initial_noise_factor * fading**2


def w_statistics(w):
    """Mean and deviation of samples of w.

    Args:
        w: float [samples, dlatent_size].

    Returns:
        float32 [dlatent_size]; and one number, the root of the mean squared distance from it.
    """
    w = np.asarray(w, np.float64)
    mean = w.mean(axis=0)
    return mean.astype(np.float32), float(np.sqrt(np.square(w - mean).sum() / len(w)))


def sampled_z(sampler, samples=STATISTICS_SAMPLES):
    """The latents from which statistics of w are taken, float64 [samples, latent_size]."""
    return np.random.RandomState(STATISTICS_SEED).randn(samples, sampler.latent_size)


def sampled_labels(sampler, label=None, samples=STATISTICS_SAMPLES):
    """Labels that go with these latents: of one class, or of each in turn; None without classes."""
    if not sampler.label_size:
        return None
    columns = sampler.classes if label is None else [label]
    return np.eye(sampler.label_size, dtype=np.float32)[np.resize(columns, samples)]


def sampled_statistics(sampler, labels=None, samples=STATISTICS_SAMPLES):
    """`w_statistics` of a network, without truncation.

    Args:
        sampler: `pictures.sampler.Sampler` of it.
        labels: float [samples, label_size]; None without conditioning.
        samples: Number of samples.
    """
    return w_statistics(sampler.mapping(sampled_z(sampler, samples), labels)[:, 0])


def noise_regularizer(noise):
    """How much neighbouring pixels of noise images have to do with each other, at all scales; 0 is ideal noise.

    Args:
        noise: List of float [N, R, R, 1].

    Returns:
        float [N].

    Reference:
        Karras et al., 2019 (StyleGAN2), appendix D.
    """
    total = 0.0
    for image in noise:
        while True:
            for axis in (1, 2):
                correlation = tf.reduce_mean(image * tf.roll(image, 1, axis), axis=[1, 2, 3])
                total += tf.square(correlation)
            if image.shape[1] <= _SMALLEST_REGULARIZED:
                break
            image = downsample(image)
    return total


def normalize_noise(image):
    """Noise images, [N, R, R, 1], each with mean 0 and standard deviation 1."""
    image -= tf.reduce_mean(image, axis=[1, 2, 3], keepdims=True)
    return image / tf.math.reduce_std(image, axis=[1, 2, 3], keepdims=True)


class Facts(NamedTuple):
    """What was used and found in a step, before its update.

    Attributes:
        learning_rate, w_noise_strength: Numbers.
        distance, noise_reg, loss: float32 [N].
    """

    learning_rate: float
    w_noise_strength: float
    distance: np.ndarray
    noise_reg: np.ndarray
    loss: np.ndarray


class Projection:
    """Pictures on their way into a network, all in one batch: each goes the way that it would go alone.

    Args:
        generator: A generator of any family; of one that has not finished growing, images are enlarged.
        distance: What to make small, one of `editing.distances`.
        targets: Pictures, uint8 or float [N, R, R, C] in [0, 255], R and C those of the generator.
        statistics: (mean of w, float [dlatent_size]; its deviation, a number), see `sampled_statistics`.
        schedule: Schedule.
        space: "w": one w for all layers; "w+": one for each.
        noise: Noise images to begin with, a list of float [N, R, R, 1] like `noise_shapes`; None: drawn.
        seed: Selects what is drawn; a picture's draws depend on it and on `names` alone.
        names: An integer for each picture, [N]; None: 0, 1, ...

    Attributes:
        steps_done: Number of steps that were taken.
        w: float32 [N, 1, dlatent_size], or [N, num_layers, dlatent_size] in W+.
        noise: Noise images, a list of float32 [N, R, R, 1].

    Raises:
        ValueError: The pictures are not like the network's, or too small for the distance; or there is no such space.
    """

    def __init__(
        self, generator, distance, targets, statistics, schedule=None, space="w", noise=None, seed=0, names=None
    ):
        if space not in SPACES:
            raise ValueError(f"Projection is into {' or '.join(SPACES)}; received {space!r}.")
        side, channels = generator.resolution, generator.num_channels
        if targets.ndim != 4 or targets.shape[1:] != (side, side, channels):
            raise ValueError(
                f"Targets must be [N, {side}, {side}, {channels}] as the network's images; received {targets.shape}."
            )
        self.generator, self.distance, self.schedule = generator, distance, schedule or Schedule()
        self.seed, self.names = seed, list(range(len(targets)) if names is None else names)
        mean, self.w_std = statistics
        self.layers = generator.num_layers if space == "w+" else 1
        self.w = np.tile(np.asarray(mean, np.float32), (len(targets), self.layers, 1))
        if noise is None:
            noise = [self._normal("noise", i, shape[1:]) for i, shape in enumerate(generator.noise_shapes)]
        self.noise = [np.asarray(image, np.float32) for image in noise]
        self.target_features = distance.features(tf.constant(targets, tf.float32))
        self.steps_done = 0
        self.moments = [(np.zeros_like(x), np.zeros_like(x)) for x in (self.w, *self.noise)]
        self._update = tf.function(self._updated, reduce_retracing=True)
        self._image = tf.function(lambda w, noise: self.generator.synthesis(self._all_layers(w), noise=noise or None))

    @property
    def is_done(self):
        """Whether all steps were taken."""
        return self.steps_done >= self.schedule.num_steps

    @property
    def dlatents(self):
        """w of every layer, float32 [N, num_layers, dlatent_size]."""
        return np.repeat(self.w, self.generator.num_layers // self.layers, axis=1)

    def images(self):
        """The images as they stand, float32 [N, R, R, C], nominally in [-1, 1]."""
        return self._image(tf.constant(self.w), list(map(tf.constant, self.noise))).numpy()

    def distances(self):
        """Distances of the images as they stand, float32 [N]."""
        features = self.distance.features(tf.constant(self.images() * 127.5 + 127.5))
        return self.distance.between(features, self.target_features).numpy()

    def step(self, w_noise=None):
        """Takes a step.

        Args:
            w_noise: Standard normal, [N, 1 or num_layers, dlatent_size], which is added to w; None: drawn.

        Returns:
            Facts.

        Raises:
            ValueError: The distance is not a finite number.
        """
        if w_noise is None:
            w_noise = self._normal("w", self.steps_done, self.w.shape[1:])
        rate = self.schedule.learning_rate(self.steps_done)
        strength = self.schedule.w_noise_strength(self.steps_done, self.w_std)
        updates = self.steps_done + 1
        corrected = rate * math.sqrt(1 - BETA2**updates) / (1 - BETA1**updates)
        values, moments, distance, noise_reg = tf.nest.map_structure(
            lambda x: x.numpy(),
            self._update(
                *tf.nest.map_structure(
                    lambda x: tf.constant(x, tf.float32),
                    ([self.w, *self.noise], self.moments, np.asarray(w_noise) * strength, corrected),
                )
            ),
        )
        if not np.isfinite(distance).all():
            raise ValueError("The distance is not a finite number: the network is broken; give another one.")
        (self.w, *self.noise), self.moments = values, moments
        self.steps_done += 1
        loss = distance + np.float32(self.schedule.regularize_noise_weight) * noise_reg
        return Facts(rate, strength, distance, noise_reg, loss)

    def state(self):
        """All that a stopped projection goes on from, {name: array}; see `restore`."""
        arrays = {"steps_done": np.array(self.steps_done)}
        for i, (value, moments) in enumerate(zip((self.w, *self.noise), self.moments, strict=True)):
            arrays |= {f"value{i}": value, f"m{i}": moments[0], f"v{i}": moments[1]}
        return arrays

    def restore(self, arrays):
        """Goes back to a `state`."""
        count = len(self.moments)
        self.steps_done = int(arrays["steps_done"])
        self.w, *self.noise = [arrays[f"value{i}"] for i in range(count)]
        self.moments = [(arrays[f"m{i}"], arrays[f"v{i}"]) for i in range(count)]

    def _all_layers(self, w):
        return tf.repeat(w, self.generator.num_layers // self.layers, axis=1)

    def _updated(self, values, moments, w_noise, rate):
        """The values and moments after a step of Adam, and what the loss was made of before."""
        with tf.GradientTape() as tape:
            tape.watch(values)
            w, *noise = values
            images = self.generator.synthesis(self._all_layers(w + w_noise), noise=noise or None)
            features = self.distance.features(images * 127.5 + 127.5)
            distance = self.distance.between(features, self.target_features)
            noise_reg = noise_regularizer(noise) if noise else tf.zeros_like(distance)
            loss = tf.reduce_sum(distance + self.schedule.regularize_noise_weight * noise_reg)
        new_values, new_moments = [], []
        for value, gradient, (m, v) in zip(values, tape.gradient(loss, values), moments, strict=True):
            m = BETA1 * m + (1 - BETA1) * gradient
            v = BETA2 * v + (1 - BETA2) * tf.square(gradient)
            new_values.append(value - rate * m / (tf.sqrt(v) + EPSILON))
            new_moments.append((m, v))
        new_values[1:] = map(normalize_noise, new_values[1:])
        return new_values, new_moments, distance, noise_reg

    def _normal(self, purpose, number, shape):
        """Standard normal float32 [N, *shape], of each picture by its own generator."""
        kind = ("noise", "w").index(purpose)
        draws = [np.random.default_rng([self.seed, name, kind, number]).standard_normal(shape) for name in self.names]
        return np.array(draws, np.float32)
