"""Times forms of the low-pass filters and of the convolutions that go with them, beside the best convolution.

python benchmarks/kernels.py
python benchmarks/kernels.py --resolution=32 --maps=16 --minibatch=32
KERAS_BACKEND=jax python benchmarks/kernels.py --resolution=64

All forms of a kernel compute the same. They are timed forward, with the gradient by input and weights, and with that of
a function of the input's gradient, as in a regularizer. "layers" is what the networks do. "one operation" is the
same forward, with the gradients of the backend.
"""

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import dnnlib.quiet_tensorflow  # noqa: F401

# isort: split

import click
import keras
import numpy as np
import tensorflow as tf
from keras import ops

from benchmarks.convolutions import best_rate, best_time
from stylegan_tf.layers import enlarge_filtered, filter_images, shrink_filtered, upfirdn
from stylegan_tf.layers.convolution import convolve
from stylegan_tf.layers.kernel_gradient import conv_transpose
from stylegan_tf.layers.modulated import filtered_conv
from stylegan_tf.layers.resample import fir_kernel
from stylegan_tf.networks.network import feature_maps_by_stage
from stylegan_tf.recipes.presets import make_config
from stylegan_tf.runtime.precision import PRECISIONS, dtype_policy, use_precision
from stylegan_tf.runtime.processor import describe_processor

jax = importlib.import_module("jax") if keras.backend.backend() == "jax" else None

TAPS = (1, 3, 3, 1)
ROW = fir_kernel(TAPS).sum(axis=0)
HEADER = "kernel           form                         side  maps  forward   gradient  second order  (ms)"


def blur_by_axis(x, _):
    """Columns, then rows."""
    return upfirdn(upfirdn(x, ROW[:, None], padding=((2, 1), (0, 0))), ROW[None], padding=((0, 0), (2, 1)))


def blur_by_shifts(x, _):
    """Sums of shifted maps, columns, then rows."""
    height, width = x.shape[1:3]
    x = ops.pad(x, [(0, 0), (2, 1), (2, 1), (0, 0)])
    x = sum(x[:, i : i + height] * tap for i, tap in enumerate(ROW.tolist()))
    return sum(x[:, :, i : i + width] * tap for i, tap in enumerate(ROW.tolist()))


def enlarge_transposed(x, _):
    """One transposed convolution of all maps."""
    kernel = ops.convert_to_tensor(np.multiply.outer(fir_kernel(TAPS, 4.0), np.eye(x.shape[-1])), x.dtype)
    return ops.conv_transpose(x, kernel, strides=2, padding="same", data_format="channels_last")


def folded(kernel):
    """The 6 x 6 kernel that a 3 x 3 one is together with the filter."""
    rows = np.stack([np.pad(ROW, (i, 2 - i)) for i in range(3)], axis=1)
    taps = ops.convert_to_tensor(rows, kernel.dtype)
    return ops.einsum("pa,qb,abcd->pqcd", taps, taps, kernel)


def up_folded(x, kernel):
    """One transposed convolution with the filter in its kernel."""
    kernel = 4.0 * ops.transpose(folded(ops.flip(kernel, axis=(0, 1))), (0, 1, 3, 2))
    return ops.conv_transpose(x, kernel, strides=2, padding="same", data_format="channels_last")


def weights_by_phase(kernel):
    """Of the weights of a transposed convolution with a stride of 2, [2 n, 2 n, A, B], those of one plain convolution
    to the maps of all four phases, [n, n, A, 4 B]."""
    side, _, maps, _ = kernel.shape
    kernel = ops.reshape(kernel, (side // 2, 2, side // 2, 2, maps, -1))[::-1, :, ::-1]
    return ops.reshape(ops.transpose(kernel, (0, 2, 4, 1, 3, 5)), (side // 2, side // 2, maps, -1))


def interleaved(y):
    """The phases of rows and columns, [N, H, W, 4 C], put between each other: [N, 2 H, 2 W, C]."""
    _, height, width, maps = y.shape
    y = ops.transpose(ops.reshape(y, (-1, height, width, 2, 2, maps // 4)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(y, (-1, 2 * height, 2 * width, maps // 4))


def up_folded_phases(x, kernel):
    """The same as one convolution to the maps of all four phases."""
    kernel = 4.0 * weights_by_phase(folded(ops.flip(kernel, axis=(0, 1))))
    return interleaved(ops.conv(x, kernel, padding="same", data_format="channels_last"))


def down_folded(x, kernel):
    """One convolution with a stride of 2 and the filter in its kernel."""
    x = ops.pad(x, [(0, 0), (2, 2), (2, 2), (0, 0)])
    return ops.conv(x, folded(kernel), strides=2, padding="valid", data_format="channels_last")


def smeared(kernel):
    """4 x 4 weights for StyleGAN's upsampling convolution."""
    return ops.pad(kernel, [(0, 1), (0, 1), (0, 0), (0, 0)])


def up_transposed(x, kernel):
    """StyleGAN's: one transposed convolution with 4 x 4 weights."""
    return conv_transpose(x, ops.transpose(smeared(kernel), (0, 1, 3, 2)))


def up_transposed_plainly(x, kernel):
    kernel = ops.transpose(smeared(kernel), (0, 1, 3, 2))
    return ops.conv_transpose(x, kernel, strides=2, padding="same", data_format="channels_last")


def up_phases(x, kernel):
    """The same as one convolution with 2 x 2 weights to the maps of all four phases."""
    x = ops.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    kernel = weights_by_phase(smeared(kernel))
    y = interleaved(ops.conv(x, kernel, padding="valid", data_format="channels_last"))
    return y[:, 1:-1, 1:-1]


# {kernel: (share of the side that its input has, number of maps or None, {form: function of (x, weights)})}.
KERNELS = {
    "blur": (
        1,
        None,
        {"layers": lambda x, _: filter_images(x, TAPS), "by axis": blur_by_axis, "shifted sums": blur_by_shifts},
    ),
    "shrink": (1, None, {"layers": lambda x, _: shrink_filtered(x, TAPS)}),
    "enlarge": (2, None, {"layers": lambda x, _: enlarge_filtered(x, TAPS), "transposed": enlarge_transposed}),
    "enlarge RGB": (2, 3, {"layers": lambda x, _: enlarge_filtered(x, TAPS), "transposed": enlarge_transposed}),
    "convolution up": (
        2,
        None,
        {
            "layers": lambda x, kernel: filtered_conv(x, kernel, "up", TAPS),
            "filter in the weights": up_folded,
            "the same, four phases": up_folded_phases,
        },
    ),
    "convolution down": (
        1,
        None,
        {
            "layers": lambda x, kernel: filtered_conv(x, kernel, "down", TAPS),
            "filter in the weights": down_folded,
        },
    ),
    "up, no filter": (
        2,
        None,
        {"layers of StyleGAN": up_transposed, "one operation": up_transposed_plainly, "four phases": up_phases},
    ),
    "convolution": (
        1,
        None,
        {"layers": convolve, "one operation": lambda x, kernel: ops.conv(x, kernel, padding="same")},
    ),
}


@click.command(context_settings={"show_default": True})
@click.option("--resolution", multiple=True, default=[64, 256], help="Side of the larger maps.")
@click.option("--maps", type=int, help="Feature maps on both sides.  [default: those of sg2-e]")
@click.option("--minibatch", default=4, help="Images.")
@click.option("--precision", default="fp32", type=click.Choice(PRECISIONS))
@click.option("--seconds", default=0.5, help="Time to measure each number for.")
def main(resolution, maps, minibatch, precision, seconds):
    """Measure all forms."""
    use_precision(precision)
    dtype = keras.DTypePolicy(dtype_policy(precision)).compute_dtype
    print(f"{describe_processor()}; {keras.backend.backend()}, {precision}, {minibatch} images")
    print(HEADER)
    for side in resolution:
        count = maps or feature_maps_by_stage(side, make_config("sg2-e").generator["fmap_base"], 1.0, 512)[-1]
        for name, (share, own_maps, forms) in KERNELS.items():
            channels = own_maps or count
            x = keras.random.normal((minibatch, side // share, side // share, channels), dtype=dtype, seed=0)
            kernel = keras.random.normal((3, 3, channels, channels), dtype=dtype, seed=1) / channels
            for form, function in forms.items():
                times = (1e3 * best_time(lambda: run(x, kernel), seconds) for run in derivatives(function))  # noqa: B023
                shown = "  ".join(f"{value:9.2f}" for value in times)
                print(f"{name:16s} {form:26s}  {side:5d} {channels:5d} {shown}", flush=True)
        best, plain = best_rate(dtype=tf.as_dtype(dtype)), 2 * 9 * count**2 * minibatch * side**2
        print(f"a 3x3 convolution at this side and maps would take {1e3 * plain / best:.2f} ms at the best rate here,")
        print(f"{best / 1e9:.1f} GFLOP/s; up and down have a quarter of its operations.", flush=True)


def derivatives(form):
    """[forward, gradient, second order] of a form: compiled functions of (x, kernel), which return when it is done."""

    def loss(x, kernel):
        return ops.sum(ops.square(ops.cast(form(x, kernel), "float32")))

    gradient = gradient_of(loss, 2)
    by_input = gradient_of(loss, 1)

    def penalty(x, kernel):
        return ops.sum(ops.square(ops.cast(by_input(x, kernel)[0], "float32")))

    return [compiled(function) for function in (form, gradient, gradient_of(penalty, 2))]


def gradient_of(function, count):
    """The gradients of a function by its first arguments, so many of them."""
    if jax:
        return jax.grad(function, tuple(range(count)))

    def gradient(*arguments):
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            value = function(*arguments)
        return tape.gradient(value, arguments[:count], unconnected_gradients="zero")

    return gradient


def compiled(function):
    if jax:
        jitted = jax.jit(function)
        return lambda *arguments: jax.block_until_ready(jitted(*arguments))
    # One number of each result is enough to wait for, where the device does not compute at once.
    traced = tf.function(
        lambda *arguments: [tf.reshape(y, [-1])[0] for y in tf.nest.flatten(function(*arguments))], autograph=False
    )
    return lambda *arguments: [y.numpy() for y in traced(*arguments)]


if __name__ == "__main__":
    if keras.backend.backend() not in ("tensorflow", "jax"):
        raise click.UsageError("KERAS_BACKEND must be tensorflow or jax.")
    main()
