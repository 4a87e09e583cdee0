"""Of how many pieces a training step is made: what a GPU would be sent one after the other, counted without one.

python benchmarks/step_pieces.py
python benchmarks/step_pieces.py --config=f --config=sg2-e --resolution=64
"""

import collections
import dataclasses
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import dnnlib.quiet_tensorflow  # noqa: F401

# isort: split

import click
import tensorflow as tf

from stylegan_tf.recipes.presets import CONFIGS, make_config, merge
from stylegan_tf.recipes.settings import ScheduleConfig
from stylegan_tf.runtime.processor import describe_processor
from stylegan_tf.training.models import Models
from stylegan_tf.training.parts import updates_of
from stylegan_tf.training.steps import TrainingStep

TINY = {"fmap_base": 64, "fmap_max": 4}
# What costs a device nothing: the graph's own bookkeeping, and numbers that are there before the step.
FREE = {"Const", "Placeholder", "Identity", "IdentityN", "NoOp", "ReadVariableOp", "Shape", "StridedSlice", "Reshape"}
HEADER = f"{'config':6s}  resolution  {'piece':16s}  compiled  operations  the most of them"


@click.command(context_settings={"show_default": True})
@click.option("--config", multiple=True, default=["f", "sg2-e"], type=click.Choice(CONFIGS), help="As in training.")
@click.option("--resolution", default=16, help="Side of the images; the networks are as deep as in training.")
@click.option("--minibatch", default=4, help="Images in a minibatch.")
def main(config, resolution, minibatch):
    """Count, for a step on one device that is compiled with XLA, the functions that it calls, and what is in them.

    "compiled" is how many programs XLA makes of a function; "operations" are what is left, each of which a GPU is sent
    alone. Networks are narrow, as their width changes neither. The last line is what Python takes to send a step
    on its way, on tiny networks that are not compiled.
    """
    print(describe_processor())
    print(HEADER)
    for name in config:
        step, inputs = make_step(name, resolution, minibatch, xla=True)
        for piece, function in pieces_of(step, *inputs).items():
            print(f"{name:6s}  {resolution:10d}  {piece:16s}  {describe(function)}", flush=True)
    for name in config:
        step, inputs = make_step(name, 4, minibatch, xla=False)
        print(f"{name}: {1000 * time_python(step, inputs):.2f} ms of Python a step with all its parts", flush=True)


def make_step(name, resolution, minibatch, xla):
    """A TrainingStep of narrow networks, and what it is called with."""
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
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
    """The last three columns."""
    if is_compiled(function.function_def):
        return f"{1:8d}  {0:10d}"
    kinds, library = collections.Counter(), function.graph.as_graph_def().library.function
    compiled = {found.signature.name for found in library if is_compiled(found)}
    calls = 0
    for operation in operations(function.graph):
        if operation.type.endswith("PartitionedCall") and operation.get_attr("f").name in compiled:
            calls += 1
        else:
            kinds[operation.type] += 1
    most = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(3))
    return f"{calls:8d}  {kinds.total():10d}  {most}"


def is_compiled(definition):
    """Whether XLA makes one program of a function, of its FunctionDef."""
    return definition.attr["_XlaMustCompile"].b


def operations(graph):
    """The operations that a device is sent, of what leads to a result or a side effect."""
    live, pending = set(), [*(tensor.op for tensor in graph.outputs), *graph.control_outputs]
    while pending:
        op = pending.pop()
        if op not in live:
            live.add(op)
            pending += [*(tensor.op for tensor in op.inputs), *op.control_inputs]
    return [op for op in live if op.type not in FREE]


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
