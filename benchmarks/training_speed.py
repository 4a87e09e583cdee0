"""Images per second of training, beside the machine's own best convolution in the same run.

python benchmarks/training_speed.py --resolution=64 --minibatch=8
python benchmarks/training_speed.py --resolution=32 --resolution=64 --precision=fp32 --precision=bf16 --fading
python benchmarks/training_speed.py --config=f --config=sg2-e
"""

import collections
import dataclasses
import itertools
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import time
from functools import partial

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import dnnlib.quiet_tensorflow  # noqa: F401

# isort: split

import click
import numpy as np
import tensorflow as tf

from benchmarks.convolutions import best_rate, count_flops, profile_calls
from datasets.tfrecords import MultiResolutionDataset, MultiResolutionWriter
from stylegan_tf.networks.families import FAMILIES
from stylegan_tf.recipes.presets import CONFIGS, make_config, merge
from stylegan_tf.recipes.settings import ScheduleConfig
from stylegan_tf.runtime.devices import count_gpus
from stylegan_tf.runtime.hosts import Hosts
from stylegan_tf.runtime.precision import PRECISIONS, use_precision
from stylegan_tf.runtime.processor import describe_processor
from stylegan_tf.training.checkpoint import Progress
from stylegan_tf.training.models import Models
from stylegan_tf.training.parts import due_parts, updates_of
from stylegan_tf.training.reporting import peak_memory_gb
from stylegan_tf.training.steps import TrainingStep
from stylegan_tf.training.stream import RealImages

HEADER = (
    "config  resolution  minibatch  devices  precision  fading   images/s  s/image   GFLOP/s  best conv  share  memory"
    "  data wait"
)


@click.command(context_settings={"show_default": True})
@click.option("--config", multiple=True, default=["f"], type=click.Choice(CONFIGS), help="Of a paper, as in training.")
@click.option("--resolution", multiple=True, default=[64], help="Side of the images; there are no higher levels.")
@click.option("--minibatch", default=8, help="Images in a minibatch over all devices.")
@click.option("--precision", multiple=True, default=["fp32"], type=click.Choice(PRECISIONS))
@click.option("--devices", multiple=True, default=[1], help="GPUs, or logical CPUs on the same cores.")
@click.option("--fading", is_flag=True, help="Measure with a block that fades in as well.")
@click.option("--fmap-base", type=int, help="Feature maps, as in the networks.  [default: the configuration's]")
@click.option("--fmap-max", type=int, help="Likewise.")
@click.option("--seconds", default=20.0, help="Time to measure each line for.")
@click.option("--profile", metavar="DIR", help="Write a TensorBoard profile of three steps of each line.")
@click.option("--one", is_flag=True, hidden=True, help="Measure one line in this process.")
def main(config, resolution, precision, devices, fading, one, **options):
    """Measure steps of D and G, with moving averages and optimizers, on random images from a data set.

    Where regularizers are not due in every step, it is the mean over as many steps as their interval. Every combination
    is a process of its own, as the memory's peak is one's.
    """
    if one:
        print(json.dumps(measure(config[0], resolution[0], devices[0], precision[0], fading, **options)))
        return
    print(describe_processor())
    print(HEADER)
    for row in itertools.product(config, resolution, devices, precision, [False, True] if fading else [False]):
        # What does not grow does not fade either.
        if row[-1] and not FAMILIES[make_config(row[0]).networks].generator.grows:
            continue
        print(line(row, measure_alone(*row, **options)), flush=True)


def line(row, found):
    """A line of the table."""
    config, resolution, devices, precision, fading = row
    return (
        f"{config:6s}  {resolution:10d}  {found['minibatch']:9d}  {devices:7d}  {precision:>9s}  "
        f"{'yes' if fading else 'no':>6s}  "
        f"{found['images_per_second']:9.2f}  {1 / found['images_per_second']:7.3f}  {found['rate'] / 1e9:8.1f}  "
        f"{found['best'] / 1e9:9.1f}  {found['rate'] / found['best']:5.1%}  {found['memory_gb']:3.1f} GB  "
        f"{found['data_wait']:9.2%}"
    )


def measure_alone(config, resolution, devices, precision, fading, **options):
    """`measure` in a process of its own."""
    row = {"config": config, "resolution": resolution, "devices": devices, "precision": precision} | options
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in row.items() if value is not None]
    command = [sys.executable, __file__, "--one", *arguments, *(["--fading"] if fading else [])]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def measure(config, resolution, devices, precision, fading, minibatch, fmap_base, fmap_max, seconds, profile):
    """Times steps for a while; {name: number}."""
    strategy = make_strategy(devices)
    use_precision(precision)
    maps = {name: value for name, value in (("fmap_base", fmap_base), ("fmap_max", fmap_max)) if value}
    config = make_config(config)
    config = dataclasses.replace(
        config,
        schedule=ScheduleConfig(lod_initial_resolution=resolution, minibatch_base=minibatch),
        resolution=resolution,
        # Logical CPUs are treated as GPUs are, but for XLA: each gets its part of the images ahead of time.
        num_gpus=devices if count_gpus() or devices > 1 else 0,
        xla=count_gpus() > 0,
        precision=precision,
        generator=merge(config.generator, maps),
        discriminator=merge(config.discriminator, maps),
    )
    with strategy.scope():
        models = Models(config, num_channels=3, label_size=0)
    no_labels = tf.zeros([1, 0])
    step = TrainingStep(models, config, strategy, resolution, fading, no_labels)
    seen = tf.constant(0, tf.int64)
    scalars = [tf.constant(value) for value in (0.5 if fading else 1.0, 0.001, 0.001, 0.999)]
    progress = Progress()
    with tempfile.TemporaryDirectory() as folder:
        reals = RealImages(write_images(pathlib.Path(folder), resolution), config, strategy, Hosts())
        phase = config.phase(0)

        def run(due=None):
            step(*reals.next(phase, progress), seen, *scalars, due).numpy()
            progress.images_seen += minibatch

        run()
        if profile:
            profile_calls(run, profile)
        reals.waited = 0.0
        duration, total = time_steps(run, step.parts, seconds)
        waited = reals.waited / total
        if config.xla:  # whose functions show no operations
            plain = dataclasses.replace(config, xla=False)
            step = TrainingStep(models, plain, strategy, resolution, fading, no_labels)
        flops = count_operations(step, *reals.next(phase, progress), seen, *scalars)
    memory = peak_memory_gb()
    return {
        "minibatch": minibatch,
        "images_per_second": minibatch / duration,
        "rate": flops / duration,
        "best": best_rate(dtype={"bf16": tf.bfloat16, "fp16": tf.float16}.get(precision, tf.float32)),
        "memory_gb": memory,
        "data_wait": waited,
    }


def time_steps(run, parts, seconds):
    """Seconds of a step, the mean over the shortest of each kind, weighted by how often it is; and of all together.

    Args:
        run: Function that takes a step with some parts, a tuple of names.
        parts: Parts of the step.
        seconds: For how long to measure, at least; each kind of step is taken three times at least.
    """
    period = math.lcm(*(part.interval for part in updates_of(parts)))
    kinds = collections.Counter(due_parts(parts, number) for number in range(period))
    times = {due: [] for due in kinds}
    while sum(map(sum, times.values())) < seconds or min(map(len, times.values())) < 3:
        for due in kinds:
            start = time.perf_counter()
            run(due)
            times[due].append(time.perf_counter() - start)
    return sum(min(times[due]) * count for due, count in kinds.items()) / period, sum(map(sum, times.values()))


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


def count_operations(step, images, labels, images_seen, fade, G_lrate, D_lrate, beta):
    """Operations of the convolutions in a step, with as much of each part as falls to it on average."""
    total, rates = 0.0, {"G": G_lrate, "D": D_lrate}
    for part in updates_of(step.parts):
        draw = tf.function(partial(step.strategy.run, step.draw, (images, labels, images_seen, fade, (part.name,))))
        inputs = draw()[part.name]
        function = step.training[part.name].get_concrete_function(inputs, fade, rates[part.network])
        total += count_flops(function) / part.interval
    return total


if __name__ == "__main__":
    main()
