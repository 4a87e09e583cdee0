"""Why a run's updates are no longer finite: which tensor was the first."""

import tensorflow as tf


class DivergedError(Exception):
    """Training cannot go on; the message says what is not finite and what to try."""


def diagnose(step, images, labels, images_seen, fade):
    """Names what is not finite in a step, by repeating it: its draws depend on the images seen alone.

    Args:
        step: TrainingStep.
        images, labels, images_seen, fade: What it was called with.

    Returns:
        A phrase such as "the gradient of D/16x16_first/kernel".
    """
    for network in (step.models.G, step.models.D):
        for variable in network.variables:
            if not tf.reduce_all(tf.math.is_finite(variable.value)):
                return f"the weight {variable.path}"
    names = []

    def repeat(images, labels):
        found = dict(examine(step, images, labels, images_seen, fade))
        names[:] = found
        return tf.stack(list(found.values()))

    finite = step.strategy.experimental_local_results(step.strategy.run(tf.function(repeat), (images, labels)))
    whole = tf.reduce_all(tf.stack(finite), axis=0).numpy()
    broken = [name for name, good in zip(names, whole, strict=True) if not good]
    return broken[0] if broken else "nothing any more: the same step now gives finite numbers"


def examine(step, images, labels, images_seen, fade):
    """On one replica: yields (name, whether it is finite) of a step's tensors, in the order they are computed."""
    models = step.models

    def finite(values):
        return tf.reduce_all([tf.reduce_all(tf.math.is_finite(value)) for value in tf.nest.flatten(values)])

    reals, D_draws, G_draws, mixing_factors, random_labels = step.draw(images, images_seen, fade)

    def sums(labels, draws, fade):
        fakes, w, _ = step.generate(labels if models.G.label_size else None, draws, fade if step.fading else 1.0)
        return tf.reduce_sum(w), tf.reduce_sum(fakes)

    w, fakes = step.in_rounds(sums, (labels, D_draws), fade)
    yield "the intermediate latents w", finite(w)
    yield "the generated images", finite(fakes)
    D_values = step.in_rounds(step.D_gradients, (reals, labels, D_draws, mixing_factors), fade)
    D_gradients, _, D_statistics = D_values
    _, penalty, real_scores, fake_scores = tf.unstack(D_statistics)
    yield "D's scores of real images", finite(real_scores)
    yield "D's scores of generated images", finite(fake_scores)
    yield "the penalty on D's gradient", finite(penalty)
    yield from gradients_of(models.D, D_gradients, finite)
    G_gradients, _, G_statistics, _ = step.in_rounds(step.G_gradients, (random_labels, G_draws), fade)
    yield "G's loss", finite(G_statistics)
    yield from gradients_of(models.G, G_gradients, finite)


def gradients_of(network, gradients, finite):
    for variable, gradient in zip(network.trainable_variables, gradients, strict=True):
        if gradient is not None:
            yield f"the gradient of {variable.path}", finite(gradient)
