"""The parts of a training step: which loss updates which network, how often, and in which order."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from stylegan_tf.runtime.draws import GeneratorDraws, Purpose, fold, normal, uniform
from stylegan_tf.training.augmentation import signs_of
from stylegan_tf.training.losses import discriminator_loss, generator_loss, path_length_penalty, r1_penalty


class Part(NamedTuple):
    """One update of one network.

    Attributes:
        name: Its name, which begins with that of the network.
        network: "G" or "D".
        draw: Function of (level, seed, reals, labels) that returns the inputs of `loss`, a tuple whose first item has
            an entry for each image: all that is random in the part, of a seed for this step and replica.
        loss: Function of (level, inputs, fade, path_length) that returns `Terms`; the last is the running mean of the
            path length, a scalar.
        statistics: Names of the numbers that are reported of it.
        interval: It is due in the steps whose number, counted from 0, is divisible by it.
    """

    name: str
    network: str
    draw: Callable
    loss: Callable
    statistics: tuple[str, ...]
    interval: int = 1


# Stands among the parts where the moving average Gs follows G.
AVERAGE = "average"


class Terms(NamedTuple):
    """What a part's loss is made of, on one replica.

    Attributes:
        losses: ((weight, float [n]), ...): the loss is the sum of their weighted means.
        statistics: {name: float [n]}, whose means are reported, where the part has statistics of these names.
        w: The first w of all images that were generated, [N, dlatent_size], which G's average of w follows, or None.
        path_length: The new running mean of the path length, or None where it has not been looked at.
    """

    losses: tuple[tuple[float, tf.Tensor], ...]
    statistics: dict[str, tf.Tensor]
    w: tf.Tensor | None = None
    path_length: tf.Tensor | None = None


def parts_of(config):
    """The parts of a run's step in their order, with AVERAGE among them, a tuple.

    A regularizer with an interval of 1 is a term of its network's main loss. With a greater one it is a part of its
    own, after the main one (lazy regularization: Karras et al., 2019, appendix B).
    """
    loss, adapts = config.loss, config.augment == "ada"
    D_statistics, R1_statistics = ["D_loss", "penalty", "scores/real", "scores/fake"], ["R1"]
    if adapts:
        D_statistics.append("signs/real")
        R1_statistics.append("signs/R1")
    D = [Part("D", "D", draw_for_D, D_loss, tuple(D_statistics))]
    if loss.lazy_r1:
        D.append(Part("D_r1", "D", draw_for_R1, R1_loss, tuple(R1_statistics), loss.r1_interval))
    if loss.lazy_path_length:
        G = [
            Part("G", "G", draw_for_G, G_loss, ("G_loss",)),
            Part(
                "G_path_length",
                "G",
                draw_for_path_length,
                path_length_loss,
                ("path_length_penalty",),
                loss.path_length_interval,
            ),
        ]
    else:
        G = [Part("G", "G", draw_for_G, G_loss, ("G_loss", "path_length_penalty"))]
    groups = {"d": D, "average": [AVERAGE], "g": G}
    return tuple(part for name in config.step_order.split("-") for part in groups[name])


def updates_of(parts):
    """The parts that update a network: all but AVERAGE."""
    return [part for part in parts if part is not AVERAGE]


def due_parts(parts, step):
    """Names of the parts that are due in a step, counted from 0."""
    return tuple(part.name for part in updates_of(parts) if step % part.interval == 0)


def times_due(parts, first, last):
    """{name of a part: how often it is due} in the steps from `first` to before `last`."""
    return {part.name: (last - 1) // part.interval - (first - 1) // part.interval for part in updates_of(parts)}


def updates_per_step(parts, network):
    """How many times a network is updated in a step, on average over the steps."""
    return sum(1 / part.interval for part in updates_of(parts) if part.network == network)


# Inputs of the losses: everything has an entry for each image, but for scalars.


class RealImages(NamedTuple):
    """Real images in [-1, 1], [N, R, R, C], with their labels, [N, label_size]; `augmentation` is drawn by `Level`."""

    reals: tf.Tensor
    labels: tf.Tensor
    augmentation: object = None


class RealAndGenerated(NamedTuple):
    """Real images with labels, which the images that are generated beside them have as well.

    `mixing_factors` are for the gradient penalty, [N, 1, 1, 1], whose images are augmented as the reals.
    """

    reals: tf.Tensor
    labels: tf.Tensor
    draws: GeneratorDraws
    mixing_factors: tf.Tensor
    real_augmentation: object = None
    fake_augmentation: object = None


class Generated(NamedTuple):
    """What images are generated of."""

    labels: tf.Tensor
    draws: GeneratorDraws
    augmentation: object = None


def draw_for_D(level, seed, reals, labels):
    images = reals.shape[0]
    draws = level.generator_draws(fold(seed, Purpose.D_GENERATOR), images)
    factors = uniform([images, 1, 1, 1], fold(seed, Purpose.MIXING_FACTORS))
    augmentations = (
        level.augmentation_draws(fold(seed, purpose), reals.shape)
        for purpose in (Purpose.AUGMENT_REALS, Purpose.AUGMENT_FAKES)
    )
    return RealAndGenerated(reals, labels, draws, factors, *augmentations)


def D_loss(level, inputs, fade, path_length):
    """The discriminator's loss with its penalties."""
    config, scale = level.config.loss, level.models.D_scale
    fakes, _, w = level.generate(inputs.labels, inputs.draws, fade)
    terms = discriminator_loss(
        config.discriminator,
        lambda images: level.discriminate(images, inputs.labels, fade, inputs.real_augmentation),
        inputs.reals,
        fakes,
        inputs.mixing_factors,
        level.pixel_area,
        0.0 if config.lazy_r1 else config.r1_gamma,
        config.r2_gamma,
        config.gradient_penalty,
        config.gradient_penalty_target,
        config.drift,
        gradient_scale=scale.inner if scale else 1.0,
        fake_discriminator=lambda images: level.discriminate(images, inputs.labels, fade, inputs.fake_augmentation),
    )
    statistics = {
        "D_loss": terms.loss,
        "penalty": terms.penalty,
        "scores/real": terms.real_scores,
        "scores/fake": terms.fake_scores,
        "signs/real": signs_of(terms.real_scores),
    }
    return Terms(((1.0, terms.loss),), statistics, w)


def draw_for_R1(level, seed, reals, labels):
    return RealImages(reals, labels, level.augmentation_draws(fold(seed, Purpose.AUGMENT_R1), reals.shape))


def R1_loss(level, inputs, fade, path_length):
    """R1, for all the steps until it is due again."""
    config, scale = level.config.loss, level.models.D_scale
    penalties, scores = r1_penalty(
        lambda images: level.discriminate(images, inputs.labels, fade, inputs.augmentation),
        inputs.reals,
        config.r1_gamma,
        level.pixel_area,
        scale.inner if scale else 1.0,
    )
    return Terms(((config.r1_interval, penalties),), {"R1": penalties, "signs/R1": signs_of(scores)})


def draw_for_G(level, seed, reals, labels):
    images = reals.shape[0]
    draws = level.generator_draws(fold(seed, Purpose.G_GENERATOR), images)
    if has_path_length(level.config.loss):
        draws = draws._replace(directions=normal(reals.shape, fold(seed, Purpose.PATH_LENGTH)))
    labels = level.random_labels(fold(seed, Purpose.RANDOM_LABELS), images)
    return Generated(labels, draws, level.augmentation_draws(fold(seed, Purpose.AUGMENT_G), reals.shape))


def has_path_length(loss):
    """Whether the path length penalty is a term of G's main loss."""
    return loss.path_length_weight > 0 and not loss.lazy_path_length


def G_loss(level, inputs, fade, path_length):
    """The generator's loss, with the path length penalty of the first half of its images."""
    labels, draws, augmentation = inputs
    config = level.config.loss
    fakes, w, first_w = level.generate(labels, draws, fade)
    values = generator_loss(config.generator, level.discriminate(fakes, labels, fade, augmentation))
    statistics = {"G_loss": values, "path_length_penalty": tf.zeros_like(values)}
    if not has_path_length(config):
        return Terms(((1.0, values),), statistics, first_w)
    half = max(w.shape[0] // 2, 1)
    noise = draws.noise and [image[:half] for image in draws.noise]
    draws = draws._replace(noise=noise, directions=draws.directions[:half])
    penalties, path_length = path_length_terms(level, w[:half], draws, fade, path_length)
    losses = ((1.0, values), (config.path_length_weight, penalties))
    return Terms(losses, statistics | {"path_length_penalty": penalties}, first_w, path_length)


def draw_for_path_length(level, seed, reals, labels):
    """Draws for half as many images as the minibatch has, as StyleGAN2 takes half."""
    rounds = level.config.accumulate
    images = max(reals.shape[0] // rounds // 2, 1) * rounds
    draws = level.generator_draws(fold(seed, Purpose.PATH_LENGTH_GENERATOR), images)
    directions = normal([images, *reals.shape[1:]], fold(seed, Purpose.PATH_LENGTH))
    labels = level.random_labels(fold(seed, Purpose.PATH_LENGTH_LABELS), images)
    return Generated(labels, draws._replace(directions=directions))


def path_length_loss(level, inputs, fade, path_length):
    """The path length penalty of new images, for all the steps until it is due again."""
    config = level.config.loss
    w, _ = level.styles(inputs.labels, inputs.draws)
    penalties, path_length = path_length_terms(level, w, inputs.draws, fade, path_length)
    weight = config.path_length_interval * config.path_length_weight
    return Terms(((weight, penalties),), {"path_length_penalty": penalties}, path_length=path_length)


def path_length_terms(level, w, draws, fade, mean):
    """The path length penalties, [N], of images with these w, and the updated running mean."""
    scale = level.models.G_scale
    return path_length_penalty(
        lambda w: level.synthesize(w, draws.noise, fade),
        w,
        draws.directions,
        mean,
        level.config.loss.path_length_decay,
        gradient_scale=scale.inner if scale else 1.0,
    )
