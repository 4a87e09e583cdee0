"""Every layer equals the original's operation, forward and backward, for the same stored weights."""

import numpy as np
import pytest
import tensorflow as tf
from reference_vectors import assert_close, nchw, nhwc

from stylegan_tf.layers import (
    AdaIN,
    Bias,
    Blur,
    EqualizedConv2D,
    EqualizedDense,
    InstanceNorm,
    MinibatchStdDev,
    NoiseInput,
    PixelNorm,
    downsample,
    leaky_relu,
    upsample,
)


def renamed(kwargs, **names):
    """Arguments with the reference's names replaced by ours."""
    return {names.get(name, name): value for name, value in kwargs.items()}


def conv(kwargs, **options):
    return EqualizedConv2D(use_bias=False, **renamed(kwargs, fmaps="filters", kernel="kernel_size"), **options)


def resampling_conv(kwargs, resample, larger_side):
    kwargs = dict(kwargs)
    fused = kwargs.pop("fused_scale")
    return conv(kwargs, resample=resample, fused=larger_side >= 128 if fused == "auto" else fused)


def our_layer(op, kwargs, inputs):
    side = inputs[0].shape[1]
    match op:
        case "blur2d":
            return Blur(**renamed(kwargs, f="blur_filter"))
        case "upscale2d":
            return lambda x: upsample(x, **kwargs)
        case "downscale2d":
            return lambda x: downsample(x, **kwargs)
        case "upscale2d_conv2d":
            return resampling_conv(kwargs, "up", side * 2)
        case "conv2d_downscale2d":
            return resampling_conv(kwargs, "down", side)
        case "conv2d":
            return conv(kwargs)
        case "dense":
            return EqualizedDense(use_bias=False, **renamed(kwargs, fmaps="units"))
        case "apply_bias":
            return Bias(**kwargs)
        case "leaky_relu":
            return lambda x: leaky_relu(x, **kwargs)
        case "pixel_norm":
            return PixelNorm(**kwargs)
        case "instance_norm":
            return InstanceNorm(**kwargs)
        case "style_mod":
            return AdaIN(normalize=False, **kwargs)
        case "apply_noise":
            return NoiseInput()
        case "minibatch_stddev_layer":
            return MinibatchStdDev(**renamed(kwargs, num_new_features="num_features"))
    raise NotImplementedError(f"No layer of ours is known for {op}.")


def our_variable(layer, official_name):
    match official_name:
        case "weight":
            return layer.kernel
        case "bias":
            return layer.bias
        case "Noise/weight":
            return layer.strength
        case "StyleMod/weight":
            return layer.style.kernel
        case "StyleMod/bias":
            return layer.style.bias
    raise NotImplementedError(f"No variable of ours is known for {official_name}.")


def from_official(op, x):
    if op == "dense" and x.ndim == 4:
        return x.reshape(len(x), -1)  # flattened in C, H, W order, as the rows of the weight are
    return nhwc(x) if x.ndim == 4 else x


def to_official(x, reference):
    x = np.asarray(x)
    return nchw(x) if x.ndim == 4 else x.reshape(reference.shape)


@pytest.mark.vectors("ops")
def test_op(vector, run):
    key, op, kwargs = run["key"], run["op"], run["kwargs"]
    arrays = vector.below(f"inputs/{key}/")
    names = sorted(name for name in arrays if name.startswith("x"))
    inputs = [tf.constant(from_official(op, arrays[name])) for name in names]
    layer = our_layer(op, kwargs, inputs)
    layer(*inputs)  # builds it
    variables = {name: our_variable(layer, name) for name in vector.below(f"weights/{key}/")}
    for name, variable in variables.items():
        variable.assign(vector[f"weights/{key}/{name}"])

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = layer(*inputs)
        total = tf.reduce_sum(y * from_official(op, arrays["dy"]))
    sources = {name.replace("x", "dx"): x for name, x in zip(names, inputs, strict=True)}
    sources |= {f"d_{name}": variable.value for name, variable in variables.items()}
    gradients = tape.gradient(total, sources)

    references = vector.below(f"outputs/{key}/")
    reference = references.pop("y")
    assert_close(to_official(y, reference), reference, 1e-5, "y")
    assert references.keys() == gradients.keys()
    if op == "blur2d" and len(kwargs.get("f", [1, 2, 1])) % 2 == 0:
        # An even filter has no middle. The reference's gradient for one is not the adjoint of its blur; ours is, on
        # purpose: <blur(x), dy> = <x, dx>.
        assert float(tf.reduce_sum(inputs[0] * gradients["dx0"])) == pytest.approx(float(total), rel=1e-4)
        return
    for name, reference in references.items():
        gradient = gradients[name]
        if name.startswith("dx"):
            gradient = to_official(gradient, reference)
        assert_close(gradient, reference, 1e-3, name)
