"""The two nonlinearities of the networks. Their gain sqrt(2) sits in the weights before them."""

from keras import ops


def leaky_relu(x, alpha=0.2):
    """max(x, alpha x), with a gradient of 1 at exactly 0, as the reference's.

    The backends give alpha there. The tiny number changes no other float32, and is cheaper than `ops.maximum`, whose
    backward pass takes several more.
    """
    return ops.leaky_relu(x + 1e-30, alpha)


ACTIVATIONS = {"lrelu": leaky_relu, "relu": ops.relu}


def activation(nonlinearity):
    """The function behind the `nonlinearity` keyword of a network; ValueError for an unknown name."""
    if nonlinearity not in ACTIVATIONS:
        raise ValueError(f"nonlinearity must be one of {sorted(ACTIVATIONS)}; received {nonlinearity!r}.")
    return ACTIVATIONS[nonlinearity]
