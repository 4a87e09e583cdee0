"""Losses: a base loss on scores, plus penalties on the discriminator's gradient with respect to its images.

Every loss is a float tensor [N], one number an image; the caller takes the mean. (The reference's penalised losses come
out as [N, N] by broadcasting, with the same mean.)
"""

import math
from typing import NamedTuple

import tensorflow as tf


def wgan_generator(fake):
    return -fake


def logistic_saturating(fake):
    return -tf.nn.softplus(fake)  # log(1 - logistic(fake))


def logistic_nonsaturating(fake):
    return tf.nn.softplus(-fake)  # -log(logistic(fake))


GENERATOR_LOSSES = {
    "wgan": wgan_generator,
    "logistic-saturating": logistic_saturating,
    "logistic-nonsaturating": logistic_nonsaturating,  # the paper's
}


def generator_loss(name, fake_scores):
    """The generator's loss.

    Args:
        name: One of `GENERATOR_LOSSES`.
        fake_scores: Discriminator's scores of generated images, [N, 1] or [N].

    Returns:
        float [N].
    """
    if name not in GENERATOR_LOSSES:
        raise ValueError(f"Generator loss must be one of {', '.join(GENERATOR_LOSSES)}; received {name!r}.")
    return GENERATOR_LOSSES[name](tf.reshape(fake_scores, [-1]))


class DiscriminatorLoss(NamedTuple):
    """A discriminator's loss and what it is made of, float [N] each. `penalty` is a part of `loss`."""

    loss: tf.Tensor
    real_scores: tf.Tensor
    fake_scores: tf.Tensor
    penalty: tf.Tensor


def wgan(real, fake):
    return fake - real


def hinge(real, fake):
    return tf.nn.relu(1.0 + fake) + tf.nn.relu(1.0 - real)


def logistic(real, fake):
    return tf.nn.softplus(fake) + tf.nn.softplus(-real)


DISCRIMINATOR_LOSSES = {"wgan": wgan, "hinge": hinge, "logistic": logistic}


def discriminator_loss(
    name,
    discriminator,
    reals,
    fakes,
    mixing_factors=None,
    pixel_area=1.0,
    r1_gamma=0.0,
    r2_gamma=0.0,
    gradient_penalty=0.0,
    gradient_penalty_target=1.0,
    drift=0.0,
    gradient_scale=1.0,
    fake_discriminator=None,
):
    """The discriminator's loss: one of `DISCRIMINATOR_LOSSES` on the scores, plus the penalties that have a weight.

    The paper's is "logistic" with r1_gamma=10; that of Karras et al., 2017, is "wgan" with gradient_penalty=10 and
    drift=0.001.

    Args:
        name: "wgan", "hinge" or "logistic".
        discriminator: Function from images, [N, R, R, C], to scores, [N, 1].
        reals, fakes: Images in [-1, 1], [N, R, R, C].
        mixing_factors: For the gradient penalty: weight of the fakes in the penalised images, uniform in [0, 1],
            [N, 1, 1, 1].
        pixel_area: (R / full resolution)^2. The reference differentiates by the image enlarged to full resolution,
            where each pixel is spread over 1 / pixel_area of them, so the squared gradient is smaller by this factor.
        r1_gamma, r2_gamma: Weights of R1 (on reals) and R2 (on fakes) of Mescheder et al., 2018.
        gradient_penalty, gradient_penalty_target: Weight (lambda) of the gradient penalty of Gulrajani et al., 2017,
            and the norm that it asks for.
        drift: Weight of the drift term of Karras et al., 2017, the squared scores of reals.
        gradient_scale: Factor on the scores as they are differentiated by the images, taken out of the gradient again:
            keeps float16 from underflowing in between. A number or a scalar tensor.
        fake_discriminator: The same as `discriminator` for fakes, where their augmentation has draws of its own.

    Returns:
        DiscriminatorLoss.
    """
    if name not in DISCRIMINATOR_LOSSES:
        raise ValueError(f"Discriminator loss must be one of {', '.join(DISCRIMINATOR_LOSSES)}; received {name!r}.")
    # The gradients by them, and the norms, are then float32 too, whatever dtype the discriminator computes in.
    reals, fakes = at_least_float32(reals), at_least_float32(fakes)
    scales = pixel_area, gradient_scale
    real, real_norm = scores_and_gradient_norm(discriminator, reals, *scales, wanted=r1_gamma != 0.0)
    fake, fake_norm = scores_and_gradient_norm(
        fake_discriminator or discriminator, fakes, *scales, wanted=r2_gamma != 0.0
    )
    penalty = 0.5 * r1_gamma * real_norm + 0.5 * r2_gamma * fake_norm
    if gradient_penalty:
        mixed = reals + (fakes - reals) * mixing_factors
        _, norm = scores_and_gradient_norm(discriminator, mixed, *scales)
        penalty += tf.square(tf.sqrt(norm) - gradient_penalty_target) * (gradient_penalty / gradient_penalty_target**2)
    if drift:
        penalty += drift * tf.square(real)
    return DiscriminatorLoss(DISCRIMINATOR_LOSSES[name](real, fake) + penalty, real, fake, penalty)


def r1_penalty(discriminator, reals, gamma, pixel_area=1.0, gradient_scale=1.0):
    """R1 alone, weighted, and the scores, float [N] each; the arguments are those of `discriminator_loss`."""
    scores, norm = scores_and_gradient_norm(discriminator, at_least_float32(reals), pixel_area, gradient_scale)
    return 0.5 * gamma * norm, scores


def scores_and_gradient_norm(discriminator, images, pixel_area, gradient_scale=1.0, wanted=True):
    """Scores, [N], and the squared norm of the summed scores' gradient by each image, [N] (zeros if not wanted)."""
    if not wanted:
        scores = tf.reshape(discriminator(images), [-1])
        return scores, tf.zeros_like(scores)
    scaled = not (isinstance(gradient_scale, (int, float)) and gradient_scale == 1)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        scores = tf.reshape(discriminator(images), [-1])
        total = tf.reduce_sum(scores)
        if scaled:
            total *= gradient_scale
    gradient = tape.gradient(total, images)
    if scaled:
        gradient /= gradient_scale
    return scores, tf.reduce_sum(tf.square(gradient), axis=[1, 2, 3]) * pixel_area


def at_least_float32(x):
    """Half precision as float32; what has that precision or more, as it is."""
    return tf.cast(x, tf.float32) if x.dtype in (tf.float16, tf.bfloat16) else x


def path_length_penalty(synthesis, w, directions, mean, decay=0.01, gradient_scale=1.0):
    """How far the images' path lengths are from their running mean: small where a step in w always moves images alike.

    The mean that lengths are compared with includes them already, and the gradient flows through it.

    Args:
        synthesis, w, directions, gradient_scale: As for `path_lengths`.
        mean: Running mean of the path lengths before this call, scalar, 0 at the start of training.
        decay: Share of this batch in the running mean, in [0, 1].

    Returns:
        (penalty [N], not weighted; the running mean after this call, scalar).

    Reference:
        Karras et al., 2019 (StyleGAN2), section 3.2, equation 4.
    """
    lengths = path_lengths(synthesis, w, directions, gradient_scale)
    mean = tf.cast(mean, lengths.dtype)
    mean += decay * (tf.reduce_mean(lengths) - mean)
    return tf.square(lengths - mean), mean


def path_lengths(synthesis, w, directions, gradient_scale=1.0):
    """How far a step in w moves the image along a random direction y: the norm of J^T y, J = d image / d w.

    The root of the mean over layers of the squared norm by each layer's w. It is computed in the type of `directions`;
    only `synthesis` may be of a lower precision.

    Args:
        synthesis: Function from w to images, [N, H, W, C].
        w: [N, L, D], one w for each of L layers.
        directions: Standard normal, [N, H, W, C]. Here they are divided by sqrt(H W), so that lengths do not grow with
            the resolution.
        gradient_scale: Factor on the derivative while it passes through `synthesis`, so that it does not underflow in
            float16. The result does not depend on it otherwise.

    Returns:
        float [N].

    Reference:
        Karras et al., 2019 (StyleGAN2), section 3.2.
    """
    w = tf.cast(w, directions.dtype)
    pixels = directions.shape[1] * directions.shape[2]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(w)
        images = tf.cast(synthesis(w), directions.dtype)
        projection = tf.reduce_sum(images * directions) * (gradient_scale / math.sqrt(pixels))
    gradient = tape.gradient(projection, w) / gradient_scale  # row i is image i's alone: images do not share w
    return tf.sqrt(tf.reduce_mean(tf.reduce_sum(tf.square(gradient), axis=2), axis=1))
