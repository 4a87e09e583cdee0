"""Seconds per generated image, beside the machine's own best convolution in the same run.

python benchmarks/generation_speed.py --resolution=1024
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import click
import tensorflow as tf
from convolutions import count_flops, measure

from stylegan_tf.networks import Generator


@click.command(context_settings={"show_default": True})
@click.option("--resolution", default=1024, help="Side of the images; the network is the paper's for it.")
@click.option("--minibatch", default=1, help="Images at a time.")
@click.option("--seconds", default=10.0, help="Time to measure for.")
@click.option("--profile", metavar="DIR", help="Write a TensorBoard profile of three calls.")
def main(resolution, minibatch, seconds, profile):
    """Measure the generator, from z to images, with truncation and fixed noise, as a compiled function."""
    generator = Generator(resolution=resolution)
    z = tf.random.normal([minibatch, generator.latent_size])
    generate = tf.function(generator)
    flops = count_flops(generate.get_concrete_function(z))

    def run():
        return generate(z)[0, 0, 0, 0].numpy()

    print(f"{resolution}x{resolution}, minibatch {minibatch}")
    measure(run, flops, minibatch, seconds, profile)


if __name__ == "__main__":
    main()
