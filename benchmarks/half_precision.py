"""What half precision changes: in the images of trained networks, and in the gradients of a step.

    python benchmarks/half_precision.py digits-32 avatars-64
    python benchmarks/half_precision.py results/00000-digits-f-cpu --precision=fp16

Images of the same seeds are made in float32 and in half precision with the same weights, at each resolution that the
network can show. Gradients are those of a step of G, and of D with R1, where the network has its D beside it, as the
runs of training have: for each variable, how long the gradient is beside that of float32, and the angle between both.
"""

import pathlib
import sys

# Python puts this file's folder on the path, not the project's.
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import dnnlib.quiet_tensorflow  # noqa: F401

# isort: split

import click
import numpy as np
import tensorflow as tf

from dnnlib.cli import Command, UserPath, Whole, one_line_errors
from stylegan_tf.files.find import find_targets, load_generator, load_trained
from stylegan_tf.pictures.sampler import Sampler, latents
from stylegan_tf.runtime.precision import dtype_policy, with_policy
from stylegan_tf.runtime.processor import describe_processor
from stylegan_tf.training.losses import discriminator_loss, generator_loss

HALF = ("bf16", "fp16")
R1_GAMMA = 10.0
# Keeps float16's gradients from underflowing, as the loss scale of training does.
SCALE = {"bf16": 1.0, "fp16": 2.0**12}


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("networks", metavar="NETWORK...", nargs=-1, required=True, type=UserPath())
@click.option("--precision", type=click.Choice(HALF), default="bf16", help="Half precision to compare with float32.")
@click.option("--images", "count", type=Whole(1, 10**6), default=64, help="Images of each network.")
@click.option("--minibatch", type=Whole(1, 1000), default=32, help="Images of the gradients' step.")
@one_line_errors
def main(networks, precision, count, minibatch):
    """Compare images and gradients of trained networks in half precision with those in float32."""
    click.echo(f"{describe_processor()}; {precision} beside fp32")
    for network in networks:
        path = find_targets(network)[-1].path
        full, half = load_generator(path), load_generator(path, dtype_policy(precision))
        click.echo(f"\n{network}: {count} images, differences of 255 grey levels")
        click.echo("  resolution   mean   99.9%  largest")
        for side, differences in image_differences(full, half, count).items():
            mean, most, largest = differences.mean(), np.quantile(differences, 0.999), differences.max()
            click.echo(f"  {side:10d}  {mean:5.3f}  {most:6.2f}  {largest:7.2f}")
        if path.with_name("D.keras").exists():
            click.echo(f"  gradients of a step with {minibatch} images; of the variables, median and worst")
            click.echo("     variables    length            angle")
            for name, (lengths, angles) in gradient_differences(path.parent, precision, minibatch).items():
                worst = lengths[np.argmax(np.abs(np.log(lengths)))]
                click.echo(
                    f"  {name}  {len(lengths):9d}    {np.median(lengths):.3f}, {worst:.3f}      "
                    f"{np.median(angles):.2f}, {angles.max():.2f} degrees"
                )


def image_differences(full, half, count):
    """{side: absolute differences in grey levels, [N, R, R, C]} between two generators with the same weights."""
    made = []
    for generator in (full, half):
        sampler = Sampler(generator)
        label = None if not sampler.label_size else np.eye(sampler.label_size, dtype=np.float32)[[0] * count]
        w = sampler.truncate(sampler.mapping(latents(range(count), sampler.latent_size), label), 0.7)
        synthesis = generator.synthesis
        images = {side: synthesis.preview(w, side) for side in synthesis.preview_sides}
        images[generator.resolution] = synthesis(w)
        made.append({side: np.clip(images.numpy() * 127.5 + 127.5, 0, 255) for side, images in images.items()})
    return {side: np.abs(made[0][side] - made[1][side]) for side in made[0]}


def gradient_differences(folder, precision, minibatch):
    """How gradients of a snapshot's networks differ in half precision.

    Returns:
        {"G" or "D": (length beside that in float32, angle between both in degrees)}, an array each, a number a variable
        whose gradient is not 0.
    """
    _, trained = load_trained(folder)
    z = tf.random.stateless_normal([minibatch, trained["G"].latent_size], [0, 0])
    label = tf.one_hot([0] * minibatch, trained["G"].label_size) if trained["G"].label_size else None
    reals = trained["Gs"](z[::-1], label)
    found = []
    for policy, scale in (("float32", 1.0), (dtype_policy(precision), SCALE[precision])):
        g, d = (with_policy(trained[name], policy) for name in ("G", "D"))

        def loss_of_g(g=g, d=d):
            return generator_loss("logistic-nonsaturating", d(g(z, label), label))

        def loss_of_d(g=g, d=d):
            return discriminator_loss(
                "logistic", lambda images: d(images, label), reals, g(z, label), r1_gamma=R1_GAMMA
            ).loss

        found.append({"G": gradients(loss_of_g, g, scale), "D": gradients(loss_of_d, d, scale)})
    return {name: compare(found[1][name], expected) for name, expected in found[0].items()}


def gradients(loss, network, scale):
    """[gradient of the mean loss] by a network's trainable variables, zeros where it has none."""
    variables = [variable.value for variable in network.trainable_variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        scaled = tf.reduce_mean(loss()) * scale
    found = tape.gradient(scaled, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [gradient.numpy().ravel() / scale for gradient in found]


def compare(found, expected):
    """(lengths, angles in degrees) of gradients beside those that were expected, of those that are not 0."""
    lengths, angles = [], []
    for one, other in zip(found, expected, strict=True):
        length, wanted = np.linalg.norm(one), np.linalg.norm(other)
        if wanted:
            lengths.append(length / wanted)
            angles.append(np.degrees(np.arccos(np.clip(one @ other / (length * wanted), -1, 1))))
    return np.array(lengths), np.array(angles)


if __name__ == "__main__":
    main()
