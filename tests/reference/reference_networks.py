"""Our networks, built from what a reference vector says about the reference's."""

from unittest.mock import patch

import keras
import numpy as np

from stylegan_tf.files.official import behaviour_arguments, load_variables
from stylegan_tf.networks.families import official_function


def build(func, static_kwargs):
    """The network that the reference's function makes of these arguments, freshly initialised."""
    _, cls = official_function(func, static_kwargs)
    beside = behaviour_arguments | {"synthesis_func"}
    return cls(**{name: value for name, value in static_kwargs.items() if name not in beside})


def load(vector, func, static_kwargs, prefix):
    """The same, with the weights of the file. `Vector.networks` gives the arguments."""
    # What is drawn is replaced. JAX would compile the drawing of each shape.
    with patch.object(
        keras.initializers.RandomNormal, "__call__", lambda _, shape, dtype: np.full(shape, np.nan, dtype)
    ):
        network = build(func, static_kwargs)
    load_variables(network, vector.below(prefix))
    return network
