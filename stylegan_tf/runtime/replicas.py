"""Functions of many samples, computed on all devices of a strategy."""

import numpy as np
import tensorflow as tf


def strategy_of(generator):
    """The strategy that a generator was made in, or the default one.

    Of several hosts only the first takes part, with one of its devices: the others do not know of it.
    """
    strategy = getattr(generator.variables[0].value, "distribute_strategy", None)
    if strategy is None or isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return tf.distribute.get_strategy()
    return strategy


def count_gpus_of(generator):
    """The number of GPUs that `strategy_of` a generator works on, 0 if it is the CPU."""
    # The default strategy does not tell its devices.
    on_gpu = "GPU" in generator.variables[0].value.device.upper()
    return strategy_of(generator).num_replicas_in_sync if on_gpu else 0


def distributed(strategy, function):
    """Returns a function of NumPy arrays that gives each device of a strategy an equal part of their first axis.

    Args:
        strategy: A tf.distribute strategy.
        function: Function of tensors with the first axis N, that returns a tensor with the same. It is traced once, for
            any N; if it is first called with one sample, also for one, which has convolutions of its own.

    Returns:
        Function of arrays, whose first axis is divisible by the number of devices, that returns an array.
    """
    replicas = strategy.num_replicas_in_sync

    @tf.function
    def step(*values):
        def part():
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            return function(*(tf.reshape(x, [replicas, -1, *x.shape[1:]])[replica] for x in values))

        return strategy.run(part)

    traced = {}  # {number of samples, None for any: function}

    def run(*arrays):
        count = 1 if len(arrays[0]) == 1 and (1 in traced or not traced) else None
        if count not in traced:
            # Calls of `step` itself would count as retracing, of which TensorFlow warns after a few tables.
            specifications = (tf.TensorSpec([count, *x.shape[1:]], x.dtype) for x in arrays)
            traced[count] = step.get_concrete_function(*specifications)
        results = strategy.experimental_local_results(traced[count](*map(tf.constant, arrays)))
        return np.concatenate([result.numpy() for result in results])

    return run
