"""What the speed benchmarks measure against: operations in a traced function, and the machine's best convolution."""

import time

import tensorflow as tf

# (side, feature maps) of 3 x 3 convolutions, large enough that a machine shows what it can do.
CANDIDATES = ((16, 512), (32, 512), (64, 256))


def count_flops(function):
    """Floating point operations of convolutions and products of matrices in a concrete function, two a multiply-add.

    Counts what is executed, forward and backward of any order: what leads to a result or a side effect. (The gradient
    of a convolution always brings that of its kernel, which TensorFlow drops where nobody asks for it.) All shapes must
    be static, and convolutions stand in the function itself, not in functions that it calls.
    """
    live, pending = set(), [*(tensor.op for tensor in function.graph.outputs), *function.graph.control_outputs]
    while pending:
        op = pending.pop()
        if op not in live:
            live.add(op)
            pending += [*(tensor.op for tensor in op.inputs), *op.control_inputs]
    return sum(_flops(op) for op in live)


def _flops(op):
    if op.type == "Conv2D":
        kernel, small = op.inputs[1].shape, op.outputs[0].shape
    elif op.type == "Conv2DBackpropInput":
        kernel, small = op.inputs[1].shape, op.inputs[2].shape
    elif op.type == "Conv2DBackpropFilter":
        kernel, small = op.outputs[0].shape, op.inputs[2].shape
    elif op.type == "MatMul":
        return 2 * op.inputs[0].shape.num_elements() * op.outputs[0].shape[1]
    else:
        return 0
    # `small` is the side that a stride has shrunk: every pixel of it meets the whole kernel once.
    if not kernel.is_fully_defined():
        kernel = tf.TensorShape(tf.get_static_value(op.inputs[1], partial=True))
    return 2 * kernel.num_elements() * small[0] * small[1] * small[2]


def best_rate(minibatch=8, seconds=2.0, dtype=tf.float32):
    """The best rate of a convolution here, in FLOP/s, over a few large shapes."""
    return max(_rate(minibatch, side, maps, seconds / len(CANDIDATES), dtype) for side, maps in CANDIDATES)


def _rate(minibatch, side, maps, seconds, dtype):
    x = tf.random.normal([minibatch, side, side, maps], dtype=dtype)
    kernel = tf.random.normal([3, 3, maps, maps], dtype=dtype)
    convolve = tf.function(lambda: tf.nn.conv2d(x, kernel, 1, "SAME")[0, 0, 0, 0])
    return 2 * 9 * maps**2 * minibatch * side**2 / best_time(lambda: convolve().numpy(), seconds)


def best_time(run, seconds, least=3):
    """Shortest time of a call of `run`, in seconds, after one call that is not counted."""
    run()
    times = []
    while sum(times) < seconds or len(times) < least:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def profile_calls(run, folder):
    """Writes a TensorBoard profile of three calls."""
    with tf.profiler.experimental.Profile(folder):
        for _ in range(3):
            run()
