"""Images per second of training, beside the machine's own best convolution in the same run.

python benchmarks/training_speed.py --resolution=64 --minibatch=8
python benchmarks/training_speed.py --resolution=32 --resolution=64 --precision=fp32 --precision=bf16 --fading
"""

import dataclasses
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import click
import numpy as np
import tensorflow as tf

from benchmarks.convolutions import best_rate, count_flops, profile_calls
from datasets.tfrecords import MultiResolutionDataset, MultiResolutionWriter
from stylegan_tf.recipes.settings import ScheduleConfig, TrainingConfig
from stylegan_tf.runtime.devices import count_gpus
from stylegan_tf.runtime.hosts import Hosts
from stylegan_tf.runtime.precision import PRECISIONS, use_precision
from stylegan_tf.training.checkpoint import Progress
from stylegan_tf.training.models import Models
from stylegan_tf.training.reporting import peak_memory_gb
from stylegan_tf.training.steps import TrainingStep
from stylegan_tf.training.stream import RealImages

HEADER = (
    "resolution  minibatch  devices  precision  fading   images/s  s/image   GFLOP/s  best conv  share  memory"
    "  data wait"
)


@click.command(context_settings={"show_default": True})
@click.option("--resolution", multiple=True, default=[64], help="Side of the images; there are no higher levels.")
@click.option("--minibatch", default=8, help="Images in a minibatch over all devices.")
@click.option("--precision", multiple=True, default=["fp32"], type=click.Choice(PRECISIONS))
@click.option("--devices", multiple=True, default=[1], help="GPUs, or logical CPUs on the same cores.")
@click.option("--fading", is_flag=True, help="Measure with a block that fades in as well.")
@click.option("--fmap-base", default=8192, help="Feature maps, as in the networks; the paper's by default.")
@click.option("--fmap-max", default=512, help="Likewise.")
@click.option("--seconds", default=20.0, help="Time to measure each line for.")
@click.option("--profile", metavar="DIR", help="Write a TensorBoard profile of three steps of each line.")
@click.option("--one", is_flag=True, hidden=True, help="Measure one line in this process.")
def main(resolution, precision, devices, fading, one, **options):
    """Measure one D step with R1 and one G step, with moving averages and optimizers, on random images from a data set.

    Every combination is a process of its own, as the memory's peak is one's.
    """
    if one:
        print(json.dumps(measure(resolution[0], precision[0], devices[0], fading, **options)))
        return
    print(HEADER)
    for row in itertools.product(resolution, devices, precision, [False, True] if fading else [False]):
        print(line(row, measure_alone(*row, **options)), flush=True)


def line(row, found):
    """A line of the table."""
    resolution, devices, precision, fading = row
    return (
        f"{resolution:10d}  {found['minibatch']:9d}  {devices:7d}  {precision:>9s}  {'yes' if fading else 'no':>6s}  "
        f"{found['images_per_second']:9.2f}  {1 / found['images_per_second']:7.3f}  {found['rate'] / 1e9:8.1f}  "
        f"{found['best'] / 1e9:9.1f}  {found['rate'] / found['best']:5.1%}  {found['memory_gb']:3.1f} GB  "
        f"{found['data_wait']:9.2%}"
    )


def measure_alone(resolution, devices, precision, fading, **options):
    """`measure` in a process of its own."""
    row = {"resolution": resolution, "devices": devices, "precision": precision} | options
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in row.items() if value is not None]
    command = [sys.executable, __file__, "--one", *arguments, *(["--fading"] if fading else [])]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def measure(resolution, precision, devices, fading, minibatch, fmap_base, fmap_max, seconds, profile):
    """Times steps for a while; {name: number}."""
    strategy = make_strategy(devices)
    use_precision(precision)
    maps = {"fmap_base": fmap_base, "fmap_max": fmap_max}
    schedule = ScheduleConfig(lod_initial_resolution=resolution, minibatch_base=minibatch)
    config = TrainingConfig(
        schedule=schedule,
        resolution=resolution,
        # Logical CPUs are treated as GPUs are, but for XLA: each gets its part of the images ahead of time.
        num_gpus=devices if count_gpus() or devices > 1 else 0,
        xla=count_gpus() > 0,
        precision=precision,
        generator=maps,
        discriminator=maps,
    )
    with strategy.scope():
        models = Models(config, num_channels=3, label_size=0)
    step = TrainingStep(models, config, strategy, resolution, fading, all_labels=tf.zeros([1, 0]))
    seen = tf.constant(0, tf.int64)
    scalars = [tf.constant(value) for value in (0.5 if fading else 1.0, 0.001, 0.001, 0.999)]
    progress = Progress()
    with tempfile.TemporaryDirectory() as folder:
        reals = RealImages(write_images(pathlib.Path(folder), resolution), config, strategy, Hosts())
        phase = config.phase(0)

        def run():
            step(*reals.next(phase, progress), seen, *scalars).numpy()
            progress.images_seen += minibatch

        run()
        if profile:
            profile_calls(run, profile)
        times, reals.waited = [], 0.0
        while sum(times) < seconds or len(times) < 3:
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        flops = count_operations(
            models, config, strategy, resolution, fading, *reals.next(phase, progress), seen, *scalars
        )
    memory = peak_memory_gb()
    duration = min(times)
    return {
        "minibatch": minibatch,
        "images_per_second": minibatch / duration,
        "rate": flops / duration,
        "best": best_rate(dtype={"bf16": tf.bfloat16, "fp16": tf.float16}.get(precision, tf.float32)),
        "memory_gb": memory,
        "data_wait": reals.waited / sum(times),
    }


def make_strategy(devices):
    """MirroredStrategy on GPUs, or where there are none on logical CPUs."""
    if not count_gpus():
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    kind = "gpu" if count_gpus() else "cpu"
    return tf.distribute.MirroredStrategy([f"/{kind}:{i}" for i in range(devices)])


def write_images(folder, resolution, count=64):
    """A data set of random images."""
    random = np.random.default_rng(0)
    with MultiResolutionWriter(folder / "random") as writer:
        for _ in range(count):
            writer.add_image(random.integers(0, 256, (resolution, resolution, 3), np.uint8))
    return MultiResolutionDataset(folder / "random")


def count_operations(models, config, strategy, resolution, fading, *arguments):
    """Operations of the convolutions in a step, counted where XLA does not compile it."""
    plain = TrainingStep(
        models, dataclasses.replace(config, xla=False), strategy, resolution, fading, all_labels=tf.zeros([1, 0])
    )
    return count_flops(TrainingStep.__call__.get_concrete_function(plain, *arguments))


if __name__ == "__main__":
    main()
