"""Pivotal tuning: a network is fitted to pictures at the w that they were projected to.

Reference:
    Roich et al., 2021, "Pivotal Tuning for Latent-based Editing of Real Images", section 3.
"""

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

STEPS = 350
LEARNING_RATE = 3e-4
# Weight of the mean squared difference of pixels in [-1, 1] beside the distance.
PIXEL_WEIGHT = 1.0


def tune(generator, projected, targets, distance, steps):
    """Changes the synthesis network until it makes the targets of the w and noise that they were projected to.

    Args:
        generator: The generator that is changed.
        projected: `projected.Projected`, N pictures.
        targets: uint8 [N, R, R, C].
        distance: One of `editing.distances`.
        steps: Steps of Adam.

    Returns:
        Distances before and after, float32 [N] each.
    """
    w, noise = tf.constant(projected.w), [tf.constant(image) for image in projected.noise] or None
    pixels = tf.constant(targets, tf.float32)
    wanted = distance.features(pixels)
    variables = generator.synthesis.trainable_variables
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    optimizer.build(variables)

    def losses():
        images = generator.synthesis(w, noise=noise) * 127.5 + 127.5
        squares = tf.reduce_mean(tf.math.squared_difference(images, pixels), axis=[1, 2, 3]) / 127.5**2
        return distance.between(distance.features(images), wanted), squares

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            found, squares = losses()
            loss = tf.reduce_mean(found + PIXEL_WEIGHT * squares)
        # Networks have variables that their last layers do not use, as toRGB of lower resolutions.
        pairs = zip(tape.gradient(loss, [v.value for v in variables]), variables, strict=True)
        optimizer.apply_gradients([(gradient, variable) for gradient, variable in pairs if gradient is not None])
        return found

    before = losses()[0].numpy()
    with tqdm(total=steps, unit="step", disable=None) as progress:
        for _ in range(steps):
            found = step()
            progress.update()
            progress.set_postfix(distance=f"{np.mean(found):.4g}", refresh=False)
    after = losses()[0].numpy()
    if not np.isfinite(after).all():
        raise ValueError("The distance is not a finite number after tuning; give another network.")
    return before, after
