"""Of how many pieces a training step is made: what a GPU would be sent one after the other, counted without one.

python benchmarks/step_pieces.py
python benchmarks/step_pieces.py --config=f --config=sg2-e --resolution=64
"""

import collections
import dataclasses
import itertools
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import dnnlib.quiet_tensorflow  # noqa: F401

# isort: split

import click
import tensorflow as tf
from tensorflow.python.framework import kernels

from stylegan_tf.recipes.presets import CONFIGS, make_config, merge
from stylegan_tf.recipes.settings import ScheduleConfig
from stylegan_tf.runtime.processor import describe_processor
from stylegan_tf.training.models import Models
from stylegan_tf.training.parts import updates_of
from stylegan_tf.training.steps import TrainingStep

# What stands for a GPU, beside the processor that sends it what it does.
HOST, DEVICE = "CPU:0", "CPU:1"
TINY = {"fmap_base": 64, "fmap_max": 4}
# What costs a device nothing: the graph's own bookkeeping, and numbers that are there before the step.
FREE = {"Const", "Placeholder", "Identity", "IdentityN", "NoOp", "ReadVariableOp", "Shape", "StridedSlice", "Reshape"}
HEADER = f"{'config':6s}  resolution  {'piece':16s}  compiled  operations  waits  the most of them"


@click.command(context_settings={"show_default": True})
@click.option("--config", multiple=True, default=["f", "sg2-e"], type=click.Choice(CONFIGS), help="As in training.")
@click.option("--resolution", default=16, help="Side of the images; the networks are as deep as in training.")
@click.option("--minibatch", default=4, help="Images in a minibatch.")
def main(config, resolution, minibatch):
    """Count, for a step on one device that is compiled with XLA, the functions that it calls, and what is in them.

    "compiled" is how many programs XLA makes of a function. "operations" are what else a GPU is sent, one by one, and
    "waits" what of it the processor reads, by TensorFlow's list of kernels for GPUs: for each, it waits until the GPU
    has done all that it was sent before. Networks are narrow, as their width changes neither. The last line is what
    Python takes to send a step on its way, on tiny networks that are not compiled.
    """
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    print(describe_processor())
    print(HEADER)
    for name in config:
        step, inputs = make_step(name, resolution, minibatch, DEVICE, xla=True)
        for piece, function in pieces_of(step, *inputs).items():
            print(f"{name:6s}  {resolution:10d}  {piece:16s}  {describe(function)}", flush=True)
    for name in config:
        step, inputs = make_step(name, 4, minibatch, HOST, xla=False)
        print(f"{name}: {1000 * time_python(step, inputs):.2f} ms of Python a step with all its parts", flush=True)


def make_step(name, resolution, minibatch, device, xla):
    """A TrainingStep of narrow networks, and what it is called with."""
    strategy = tf.distribute.MirroredStrategy([device])
    preset = make_config(name)
    config = dataclasses.replace(
        preset,
        schedule=ScheduleConfig(lod_initial_resolution=resolution, minibatch_base=minibatch),
        resolution=resolution,
        num_gpus=0,
        xla=xla,
        generator=merge(preset.generator, TINY | {"latent_size": 8, "dlatent_size": 8, "mapping_fmaps": 8}),
        discriminator=merge(preset.discriminator, TINY),
    )
    with strategy.scope():
        models = Models(config, num_channels=3, label_size=0)
    step = TrainingStep(models, config, strategy, resolution, fading=False, all_labels=tf.zeros([1, 0]))
    images = tf.zeros([minibatch, resolution, resolution, 3], tf.uint8)
    scalars = [tf.constant(value) for value in (1.0, 0.001, 0.001, 0.999)]
    return step, (images, tf.zeros([minibatch, 0]), tf.constant(0, tf.int64), *scalars)


def pieces_of(step, images, labels, images_seen, fade, G_lrate, D_lrate, beta):
    """{name: concrete function} of all that a step calls."""
    rates, pieces = {"G": G_lrate, "D": D_lrate}, {}
    for part in updates_of(step.parts):
        taking = step.taking[part.name]
        pieces[part.name] = taking.get_concrete_function(images, labels, images_seen, fade, rates[part.network])
    return pieces | {"average": step.averaging.get_concrete_function(beta)}


def describe(function):
    """The last four columns."""
    if is_compiled(function.function_def):
        return f"{1:8d}  {0:10d}  {0:5d}"
    compiled = {found.signature.name for found in function.graph.as_graph_def().library.function if is_compiled(found)}
    live = operations(function.graph)
    calls = [op for op in live if op.type.endswith("PartitionedCall") and op.get_attr("f").name in compiled]
    sent = [op for op in live if op not in calls and not on_host(op)]
    waits = {tensor.ref() for op in live for tensor in wanted_by_host(op) if not on_host(tensor.op)}
    most = ", ".join(f"{count} {kind}" for kind, count in collections.Counter(op.type for op in sent).most_common(3))
    return f"{len(calls):8d}  {len(sent):10d}  {len(waits):5d}  {most}"


def is_compiled(definition):
    """Whether XLA makes one program of a function, of its FunctionDef."""
    return definition.attr["_XlaMustCompile"].b


def operations(graph):
    """What is computed of a graph: what leads to a result or a side effect, but for what costs nothing."""
    live, pending = set(), [*(tensor.op for tensor in graph.outputs), *graph.control_outputs]
    while pending:
        op = pending.pop()
        if op not in live:
            live.add(op)
            pending += [*(tensor.op for tensor in op.inputs), *op.control_inputs]
    return [op for op in live if op.type not in FREE]


def on_host(op):
    """Whether an operation is computed by the processor beside a GPU, or leaves its results in its memory."""
    names = host_arguments(op)
    return HOST in op.device or op.type in FREE or all(result.name in names for result in op.op_def.output_arg)


def wanted_by_host(op):
    """Those inputs of an operation that the processor reads."""
    names, inputs = host_arguments(op), iter(op.inputs)
    for argument in op.op_def.input_arg:
        count = op.get_attr(argument.number_attr) if argument.number_attr else 1
        if argument.type_list_attr:
            count = len(op.get_attr(argument.type_list_attr))
        for tensor in itertools.islice(inputs, count):
            while tensor.op.type in FREE and tensor.op.inputs:
                tensor = tensor.op.inputs[0]
            if HOST in op.device or argument.name in names:
                yield tensor


def host_arguments(op):
    """Names of an operation's inputs and outputs that are in the processor's memory though a GPU computes it."""
    for kernel in kernels.get_registered_kernels_for_op(op.type).kernel:
        fits = all(op.get_attr(limit.name) in limit.allowed_values.list.type for limit in kernel.constraint)
        if kernel.device_type == "GPU" and fits:
            return set(kernel.host_memory_arg)
    return set()


def time_python(step, inputs, seconds=2.0):
    """Seconds in which a step's functions have been sent on their way, the shortest time; they run beside it."""
    step(*inputs).numpy()
    times = []
    tf.config.experimental.set_synchronous_execution(False)
    while sum(times) < seconds:
        start = time.perf_counter()
        result = step(*inputs)
        times.append(time.perf_counter() - start)
        result.numpy()
    tf.config.experimental.set_synchronous_execution(True)
    return min(times)


if __name__ == "__main__":
    main()
