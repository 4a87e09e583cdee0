"""The two nonlinearities of the networks. Their gain sqrt(2) sits in the weights before them."""

from keras import ops


def leaky_relu(x, alpha=0.2):
    """max(x, alpha x). Written this way, and not as `ops.leaky_relu`, for the reference's gradient of 1 at exactly 0."""
    return ops.maximum(x, alpha * x)


ACTIVATIONS = {"lrelu": leaky_relu, "relu": ops.relu}


def activation(nonlinearity):
    """The function behind the `nonlinearity` keyword of a network; ValueError for an unknown name."""
    if nonlinearity not in ACTIVATIONS:
        raise ValueError(f"nonlinearity must be one of {sorted(ACTIVATIONS)}; received {nonlinearity!r}.")
    return ACTIVATIONS[nonlinearity]
