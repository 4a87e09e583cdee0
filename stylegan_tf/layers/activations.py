"""The nonlinearities of the networks. StyleGAN has a gain of sqrt(2) in the weights before, StyleGAN2 on the output."""

import math

import keras
from keras import ops


def leaky_relu(x, alpha=0.2):
    """max(x, alpha x), with a gradient of 1 at exactly 0, as the reference's.

    The backends give alpha there. The tiny number changes no other float32 or bfloat16, and a float16 by 6e-8 at most;
    it is cheaper than `ops.maximum`, whose backward pass takes several more.
    """
    smallest_float16 = 6e-8
    tiny = smallest_float16 if keras.backend.standardize_dtype(x.dtype) == "float16" else 1e-30
    return ops.leaky_relu(x + tiny, alpha)


ACTIVATIONS = {"lrelu": leaky_relu, "relu": ops.relu}


def activation(nonlinearity):
    """The function behind the `nonlinearity` keyword of a network; ValueError for an unknown name."""
    if nonlinearity not in ACTIVATIONS:
        raise ValueError(f"nonlinearity must be one of {sorted(ACTIVATIONS)}; received {nonlinearity!r}.")
    return ACTIVATIONS[nonlinearity]


# StyleGAN2's nonlinearities, with the gains of their outputs.
SCALED_ACTIVATIONS = {
    "linear": (lambda x: x, 1.0),
    "relu": (ops.relu, math.sqrt(2)),
    "lrelu": (leaky_relu, math.sqrt(2)),
    "tanh": (ops.tanh, 1.0),
    "sigmoid": (ops.sigmoid, 1.0),
    "elu": (ops.elu, 1.0),
    "selu": (ops.selu, 1.0),
    "softplus": (ops.softplus, 1.0),
    "swish": (ops.silu, math.sqrt(2)),
}


def clamped(x, limit):
    """x, cut off at +-limit; None for `limit` leaves it as it is. It keeps half precision from overflowing."""
    return x if limit is None else ops.clip(x, -limit, limit)


def scaled_activation(nonlinearity, gain=1.0):
    """A nonlinearity of StyleGAN2's as (gain of its input, function), which together scale its output.

    Where f(a x) = a f(x) for a > 0, a gain in the weights and biases before it costs nothing; else the function has it.

    Args:
        nonlinearity: One of `SCALED_ACTIVATIONS`; ValueError for another.
        gain: Factor on the output, beside the nonlinearity's own.
    """
    if nonlinearity not in SCALED_ACTIVATIONS:
        raise ValueError(f"nonlinearity must be one of {sorted(SCALED_ACTIVATIONS)}; received {nonlinearity!r}.")
    function, own_gain = SCALED_ACTIVATIONS[nonlinearity]
    gain = gain * own_gain
    if nonlinearity in ("linear", "relu", "lrelu"):
        return gain, function
    return 1.0, lambda x: function(x) * gain
