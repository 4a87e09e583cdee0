"""Every layer of StyleGAN2's equals the original's operation, forward and backward, for the same stored weights."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from reference_vectors import assert_close
from test_ops import from_official, renamed, to_official

from stylegan_tf.layers import (
    Bias,
    EqualizedDense,
    FilteredConv2D,
    MinibatchStdDev,
    ModulatedConv2D,
    downsample,
    enlarge_filtered,
    filter_images,
    leaky_relu,
    shrink_filtered,
    upfirdn,
    upsample,
)
from stylegan_tf.layers.activations import SCALED_ACTIVATIONS, scaled_activation
from stylegan_tf.layers.modulated import filtered_conv

# What the original's gains are where nothing else is said.
WEIGHT_GAIN = {"gain": 1.0}


def our_upfirdn(kwargs, kernel):
    """The original's keyword arguments are those of one axis each."""
    up, down = ((kwargs.get(f"{what}y", 1), kwargs.get(f"{what}x", 1)) for what in ("up", "down"))
    padding = [[kwargs.get(f"pad{axis}{end}", 0) for end in (0, 1)] for axis in "yx"]
    return lambda x: upfirdn(x, kernel, up, down, padding)


def our_filter(function, kwargs):
    kwargs = dict(kwargs)
    taps = kwargs.pop("k", None) or [1] * kwargs.get("factor", 2)
    return lambda x: function(x, taps, **kwargs)


def our_activation(act, alpha=0.2, gain=None):
    """The nonlinearity with the gain that the original gives it, or with another slope and gain."""
    if gain is None and alpha == 0.2:
        input_gain, function = scaled_activation(act)
        return lambda x: function(x * input_gain)
    function, own_gain = SCALED_ACTIVATIONS[act]
    if act == "lrelu":
        function = functools.partial(leaky_relu, alpha=alpha)
    return lambda x: function(x) * (own_gain if gain is None else gain)


def our_conv(kwargs):
    kwargs = renamed(kwargs, fmaps="filters", kernel="kernel_size")
    up, down = kwargs.pop("up", False), kwargs.pop("down", False)
    kwargs.pop("fused_modconv", None)  # another way to the same result
    resample = "up" if up else "down" if down else None
    if "demodulate" not in kwargs:
        return FilteredConv2D(use_bias=False, resample=resample, **WEIGHT_GAIN | kwargs)
    if kwargs["demodulate"]:
        kwargs.pop("gain", None)  # drops out of the original's normalised weights
    return ModulatedConv2D(use_bias=False, resample=resample, **WEIGHT_GAIN | kwargs)


def our_layer(op, kwargs, arrays):
    match op:
        case "upfirdn_2d":
            return our_upfirdn(kwargs, arrays["k"])
        case "filter_2d":
            return our_filter(filter_images, kwargs)
        case "upsample_2d":
            return our_filter(enlarge_filtered, kwargs)
        case "downsample_2d":
            return our_filter(shrink_filtered, kwargs)
        case "upsample_conv_2d":
            return lambda x, kernel: filtered_conv(x, kernel, "up", kwargs["k"])
        case "conv_downsample_2d":
            return lambda x, kernel: filtered_conv(x, kernel, "down", kwargs["k"])
        case "naive_upsample_2d":
            return lambda x: upsample(x, **kwargs)
        case "naive_downsample_2d":
            return lambda x: downsample(x, **kwargs)
        case "fused_bias_act":
            activation = our_activation(**kwargs)
            return lambda x, bias=0.0: activation(x + bias)
        case "apply_bias_act":
            kwargs = dict(kwargs)
            bias = Bias(lrmul=kwargs.pop("lrmul", 1.0))
            return Sequence(bias, our_activation(**kwargs))
        case "conv2d_layer" | "modulated_conv2d_layer":
            return our_conv(kwargs)
        case "dense_layer":
            return EqualizedDense(use_bias=False, **WEIGHT_GAIN | renamed(kwargs, fmaps="units"))
        case "minibatch_stddev_layer":
            return MinibatchStdDev(**renamed(kwargs, num_new_features="num_features"))
    raise NotImplementedError(f"No layer of ours is known for {op}.")


class Sequence:
    """A layer with a bias, and a function after it."""

    def __init__(self, layer, function):
        self.layer, self.function = layer, function

    def __call__(self, x):
        return self.function(self.layer(x))

    @property
    def bias(self):
        return self.layer.bias


def our_variable(layer, official_name):
    match official_name:
        case "weight":
            return layer.kernel
        case "bias":
            return layer.bias
        case "mod_weight":
            return layer.style.kernel
        case "mod_bias":
            return layer.style.bias
    raise NotImplementedError(f"No variable of ours is known for {official_name}.")


@pytest.mark.vectors("stylegan2-ops")
def test_op(vector, run):
    key, op, kwargs = run["key"], run["op"], run["kwargs"]
    # This one alone takes its images as we do; kernels are as ours everywhere.
    is_nchw = op != "upfirdn_2d"
    arrays = vector.below(f"inputs/{key}/")
    inputs = {
        name: tf.constant(from_official("dense" if op == "dense_layer" else op, array) if moved else array)
        for name, array in sorted(arrays.items())
        if name.startswith("x")
        for moved in [is_nchw and name == "x0"]
    }
    dy = from_official(op, arrays["dy"]) if is_nchw else arrays["dy"]
    layer = our_layer(op, kwargs, arrays)
    layer(*inputs.values())  # builds it
    variables = {name: our_variable(layer, name) for name in vector.below(f"weights/{key}/")}
    for name, variable in variables.items():
        variable.assign(vector[f"weights/{key}/{name}"])

    with tf.GradientTape() as tape:
        tape.watch(list(inputs.values()))
        y = layer(*inputs.values())
        total = ops.sum(y * dy)
    sources = {f"d{name}": x for name, x in inputs.items()}
    sources |= {f"d_{name}": variable.value for name, variable in variables.items()}
    gradients = tape.gradient(total, sources)

    references = vector.below(f"outputs/{key}/")
    reference = references.pop("y")
    assert_close(to_official(y, reference) if is_nchw else np.asarray(y), reference, 1e-5, "y")
    assert references.keys() == gradients.keys()
    for name, reference in references.items():
        gradient = gradients[name]
        if is_nchw and name == "dx0":
            gradient = to_official(gradient, reference)
        assert_close(gradient, reference, 1e-3, name)
