"""Images per second of a training step, beside the machine's own best convolution in the same run.

python benchmarks/training_speed.py --resolution=64 --minibatch=8
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import click
import tensorflow as tf
from convolutions import count_flops, measure

from stylegan_tf.configs import TrainingConfig
from stylegan_tf.training.models import Models
from stylegan_tf.training.steps import TrainingStep
from stylegan_tf.training.trainer import count_gpus, make_strategy


@click.command(context_settings={"show_default": True})
@click.option("--resolution", default=64, help="Side of the images; the networks have no higher levels.")
@click.option("--minibatch", default=8, help="Images in a minibatch.")
@click.option("--fmap-base", default=8192, help="Feature maps, as in the networks; the paper's by default.")
@click.option("--fmap-max", default=512, help="Likewise.")
@click.option("--seconds", default=20.0, help="Time to measure for.")
@click.option("--profile", metavar="DIR", help="Write a TensorBoard profile of three calls.")
def main(resolution, minibatch, fmap_base, fmap_max, seconds, profile):
    """Measure one D step with R1 and one G step, with moving averages and optimizers, on random images."""
    maps = {"fmap_base": fmap_base, "fmap_max": fmap_max}
    config = TrainingConfig(resolution=resolution, num_gpus=min(count_gpus(), 1), generator=maps, discriminator=maps)
    strategy = make_strategy(config.num_gpus)
    with strategy.scope():
        models = Models(config, num_channels=3, label_size=0)
    step = TrainingStep(models, config, strategy, resolution, fading=False, all_labels=tf.zeros([1, 0]))
    images = tf.cast(tf.random.uniform([minibatch, resolution, resolution, 3], maxval=256, dtype=tf.int32), tf.uint8)
    seen = tf.constant(0, tf.int64)
    arguments = (images, tf.zeros([minibatch, 0]), seen, *(tf.constant(v) for v in (1.0, 0.001, 0.001, 0.999)))
    flops = count_flops(TrainingStep.__call__.get_concrete_function(step, *arguments))

    def run():
        return step(*arguments).numpy()

    print(f"{resolution}x{resolution}, minibatch {minibatch}")
    measure(run, flops, minibatch, seconds, profile)


if __name__ == "__main__":
    main()
