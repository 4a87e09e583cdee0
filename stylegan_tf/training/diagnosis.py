"""Why a run's updates are no longer finite: which tensor was the first."""

from functools import partial

import tensorflow as tf

from stylegan_tf.training.parts import updates_of


class DivergedError(Exception):
    """Training cannot go on; the message says what is not finite and what to try."""


# What is said of a part's statistics, in the order they are looked at.
PHRASES = {
    "scores/real": "D's scores of real images",
    "scores/fake": "D's scores of generated images",
    "penalty": "the penalty on D's gradient",
    "R1": "R1",
    "signs/real": "the signs of D's scores of real images",
    "signs/R1": "the signs of D's scores in R1",
    "D_loss": "D's loss",
    "G_loss": "G's loss",
    "path_length_penalty": "the path length penalty",
}


def advice(config, network, resolution):
    """What to try when the updates of a network are no longer finite: settings that decide in this run.

    Args:
        config: TrainingConfig.
        network: "G" or "D".
        resolution: Where it happened.
    """
    table = getattr(config.schedule, f"{network}_lrate_dict")
    rate = (
        f"schedule.{network}_lrate_dict, which has {table[resolution]:g} for {resolution}x{resolution}"
        if resolution in table
        else f"schedule.{network}_lrate_base={getattr(config.schedule, f'{network}_lrate_base'):g}"
    )
    precise = "" if config.precision == "fp32" else f", or with --precision=fp32 instead of {config.precision}"
    return (
        "Resume from an earlier checkpoint, or start again, with a lower learning rate than that of "
        f"--set {rate}, with a larger --gamma than {config.loss.r1_gamma:g}{precise}."
    )


def diagnose(step, images, labels, images_seen, fade, due=None):
    """Names what is not finite in a step, by repeating it: its draws depend on the images seen alone.

    Args:
        step: TrainingStep.
        images, labels, images_seen, fade, due: What it was called with.

    Returns:
        A phrase such as "the gradient of D/16x16_first/kernel".
    """
    for network in (step.models.G, step.models.D):
        for variable in network.variables:
            if not tf.reduce_all(tf.math.is_finite(variable.value)):
                return f"the weight {variable.path}"
    names = []

    def repeat(images, labels):
        found = dict(examine(step, images, labels, images_seen, fade, due))
        names[:] = found
        return tf.stack(list(found.values()))

    finite = step.strategy.experimental_local_results(step.strategy.run(tf.function(repeat), (images, labels)))
    whole = tf.reduce_all(tf.stack(finite), axis=0).numpy()
    broken = [name for name, good in zip(names, whole, strict=True) if not good]
    return broken[0] if broken else "nothing any more: the same step now gives finite numbers"


def examine(step, images, labels, images_seen, fade, due):
    """On one replica: yields (name, whether it is finite) of a step's tensors, in the order they are computed."""

    def finite(values):
        return tf.reduce_all([tf.reduce_all(tf.math.is_finite(value)) for value in tf.nest.flatten(values)])

    def sums(inputs, fade, path_length):
        fakes, w, _ = step.level.generate(inputs.labels, inputs.draws, fade)
        return tf.reduce_sum(w), tf.reduce_sum(fakes), None

    inputs = step.draw(images, labels, images_seen, fade, due)
    parts = [part for part in updates_of(step.parts) if part.name in inputs]
    # The main parts of both networks are always due, and generate images.
    w, fakes, _ = step.in_rounds(sums, inputs[parts[0].name], fade)
    yield "the intermediate latents w", finite(w)
    yield "the generated images", finite(fakes)
    for part in parts:
        gradients, _, statistics, _ = step.in_rounds(partial(step.gradients, part), inputs[part.name], fade)
        values = dict(zip(part.statistics, tf.unstack(statistics), strict=True))
        for name in sorted(values, key=list(PHRASES).index):
            yield PHRASES[name], finite(values[name])
        for variable, gradient in zip(getattr(step.models, part.network).trainable_variables, gradients, strict=True):
            if gradient is not None:
                yield f"the gradient of {variable.path}", finite(gradient)
