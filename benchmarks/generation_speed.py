"""Seconds per generated image, beside the machine's own best convolution in the same process; and memory.

python benchmarks/generation_speed.py
python benchmarks/generation_speed.py --resolution=1024 --minibatch=1 --precision=fp32 --memory-images=10
python benchmarks/generation_speed.py --config=f --config=sg2-f --minibatch=1 --precision=fp32
"""

import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import dnnlib.quiet_tensorflow  # noqa: F401

# isort: split

import click
import tensorflow as tf

from benchmarks.convolutions import best_rate, best_time, count_flops, profile_calls
from run_generator import main as run_generator
from stylegan_tf.export.savedmodel import export_savedmodel
from stylegan_tf.files.find import load_generator
from stylegan_tf.networks.families import FAMILIES
from stylegan_tf.recipes.presets import CONFIGS, make_config
from stylegan_tf.runtime.precision import PRECISIONS, dtype_policy, use_precision
from stylegan_tf.runtime.processor import describe_processor

HEADER = (
    "config  resolution  minibatch  precision  call            load  first call   s/image   GFLOP/s  best conv  share"
)
COMPUTE = {"bf16": tf.bfloat16, "fp16": tf.float16}


@click.command(context_settings={"show_default": True})
@click.option("--config", multiple=True, default=["f"], type=click.Choice(CONFIGS), help="Whose network, of a paper.")
@click.option("--resolution", multiple=True, default=[256, 1024], help="Side of the images.")
@click.option("--minibatch", multiple=True, default=[1, 8], help="Images at a time.")
@click.option("--precision", multiple=True, default=["fp32", "bf16"], type=click.Choice(PRECISIONS))
@click.option("--seconds", default=10.0, help="Time to measure each line for.")
@click.option("--profile", metavar="DIR", help="Write a TensorBoard profile of three calls of each line.")
@click.option("--memory-images", multiple=True, default=[10, 1000], help="Measure memory for so many images.")
@click.option("--memory-resolution", default=64, help="Side of those images.")
@click.option("--one", hidden=True, help="A task for this process, in JSON.")
def main(config, resolution, minibatch, precision, seconds, profile, memory_images, memory_resolution, one):
    """Measure the generator, from z to images with truncation and fixed noise: called directly, as a compiled function
    that gives float32, and as a SavedModel that gives uint8. Then the memory of run_generator.py.

    Every line is a process of its own: its first call traces (or loads what was traced) and prepares convolutions.
    """
    if one:
        task, arguments = json.loads(one)
        print(json.dumps(TASKS[task](*arguments)))
        return
    print(describe_processor())
    print(HEADER)
    for network, side in itertools.product(config, resolution):
        with tempfile.TemporaryDirectory() as folder:
            alone("save", folder, network, side)
            for name in precision:
                alone("export", folder, name, max(minibatch))
                for images in minibatch:
                    for line in measure_both(folder, network, side, name, images, seconds, profile):
                        print(line, flush=True)
    print(f"\nPeak memory of run_generator.py images, {memory_resolution}x{memory_resolution}")
    with tempfile.TemporaryDirectory() as folder:
        alone("save", folder, config[0], memory_resolution)
        for count in memory_images:
            print(f"{count:6,} images  {alone('memory', folder, count):6.0f} MiB", flush=True)


def alone(task, *arguments):
    """Result of one of `TASKS` in a process of its own."""
    command = [sys.executable, __file__, "--one", json.dumps([task, arguments])]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def measure_both(folder, config, resolution, precision, minibatch, seconds, profile):
    """Yields the two lines of the table for one minibatch."""
    flops = None
    for task in ("direct", "SavedModel"):
        found = alone(task, folder, precision, minibatch, seconds, profile)
        # Both compute the same convolutions.
        flops = found.get("flops", flops)
        rate = flops / found["seconds"]
        yield (
            f"{config:6s}  {resolution:10d}  {minibatch:9d}  {precision:>9s}  {task:<10s}  {found['load']:6.2f} s  "
            f"{found['first']:8.2f} s  {found['seconds'] / minibatch:8.4f}  {rate / 1e9:8.1f}  "
            f"{found['best'] / 1e9:9.1f}  {rate / found['best']:5.1%}"
        )


def save(folder, name, resolution):
    """Writes the network of a configuration with random weights."""
    config = make_config(name)
    FAMILIES[config.networks].generator(resolution=resolution, **config.generator).save(f"{folder}/network.keras")


def load(folder, precision):
    """Opens it, to compute in a precision."""
    use_precision(precision)
    return load_generator(f"{folder}/network.keras", dtype_policy(precision))


def export(folder, precision, max_batch):
    """Writes it as SavedModel."""
    export_savedmodel(load(folder, precision), f"{folder}/{precision}", version=1, max_batch=max_batch)


def measure_direct(folder, precision, minibatch, seconds, profile):
    """Times the generator as a function; {name: number}."""
    start = time.perf_counter()
    generator = load(folder, precision)
    loading = time.perf_counter() - start
    z = tf.random.normal([minibatch, generator.latent_size])
    generate = tf.function(generator)
    found = measure(lambda: generate(z), precision, seconds, profile)
    return found | {"load": loading, "flops": count_flops(generate.get_concrete_function(z))}


def measure_savedmodel(folder, precision, minibatch, seconds, profile):
    """Times the signature serving_default; {name: number}."""
    use_precision(precision)
    start = time.perf_counter()
    model = tf.saved_model.load(f"{folder}/{precision}/1")
    loading = time.perf_counter() - start
    generate = model.signatures["serving_default"]
    _, inputs = generate.structured_input_signature
    request = {
        "latents": tf.random.normal([minibatch, inputs["latents"].shape[1]]),
        "truncation_psi": tf.fill([minibatch], 0.7),
        "noise_seed": tf.fill([minibatch], tf.constant(-1, tf.int64)),
    }
    return measure(lambda: generate(**request)["images"], precision, seconds, profile) | {"load": loading}


def measure(generate, precision, seconds, profile):
    """Times a function that returns images: the first call, and the best of the later ones."""

    def run():
        return generate()[0, 0, 0, 0].numpy()

    start = time.perf_counter()
    run()
    first = time.perf_counter() - start
    if profile:
        profile_calls(run, profile)
    dtype = COMPUTE.get(precision, tf.float32)
    # Before and after, as the speed of a shared machine changes.
    best = best_rate(dtype=dtype)
    duration = best_time(run, seconds)
    return {"first": first, "seconds": duration, "best": max(best, best_rate(dtype=dtype))}


def measure_memory(folder, count):
    """Makes so many images with run_generator.py; this process' peak memory in MiB."""
    options = [f"--network={folder}/network.keras", f"--seeds=0-{count - 1}", f"--outdir={folder}/{count}"]
    # No more at a time for many images than for few.
    run_generator(["images", "--minibatch=8", *options], standalone_mode=False)
    # ru_maxrss would count what was inherited from the process that started this one.
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 2**10


TASKS = {
    "save": save,
    "export": export,
    "direct": measure_direct,
    "SavedModel": measure_savedmodel,
    "memory": measure_memory,
}


if __name__ == "__main__":
    main()
