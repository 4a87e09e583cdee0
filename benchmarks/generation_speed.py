"""Seconds per generated image, beside the machine's own best convolution in the same run.

python benchmarks/generation_speed.py --resolution=1024
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import click
import tensorflow as tf
from convolutions import best_rate, best_time, count_flops

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

    run()
    if profile:
        with tf.profiler.experimental.Profile(profile):
            for _ in range(3):
                run()
    peak_before = best_rate()
    time = best_time(run, seconds)
    peak = max(peak_before, best_rate())
    print(f"{resolution}x{resolution}, minibatch {minibatch}")
    print(f"generator     {time * 1e3:10.1f} ms    {time / minibatch:8.3f} s/image")
    print(f"convolutions  {flops / 1e9:10.1f} GFLOP {flops / time / 1e9:8.1f} GFLOP/s")
    print(f"best conv     {'':16s} {peak / 1e9:8.1f} GFLOP/s")
    print(f"share of the best convolution rate: {flops / time / peak:.1%}")


if __name__ == "__main__":
    main()
