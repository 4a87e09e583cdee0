"""Our networks, built from what a reference vector says about the reference's."""

from stylegan_tf.files.official import CLASSES, behaviour_arguments, load_variables


def build(func, static_kwargs):
    """The network that the reference's function makes of these arguments, freshly initialised."""
    return CLASSES[func](**{name: value for name, value in static_kwargs.items() if name not in behaviour_arguments})


def load(vector, func, static_kwargs, prefix):
    """The same, with the weights of the file. `Vector.networks` gives the arguments."""
    network = build(func, static_kwargs)
    load_variables(network, vector.below(prefix))
    return network
