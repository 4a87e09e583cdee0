"""The two nonlinearities of the networks. Their gain sqrt(2) sits in the weights before them."""

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
