"""Small networks whose every variable matters, and inputs that fit them."""

import numpy as np

from stylegan_tf.networks.interface import BaseDiscriminator, BaseSynthesis


def scattered(network, seed=0):
    """The network with all its variables away from their zeros and ones, so that each of them matters."""
    random = np.random.RandomState(seed)
    for variable in network.variables:
        variable.assign(random.standard_normal(variable.shape))
    return network


def normal(*shape, seed=0):
    return np.random.RandomState(seed).standard_normal(shape).astype("float32")


def one_hot(count, label_size):
    return np.eye(label_size, dtype="float32")[np.arange(count) % label_size]


def inputs_of(network, count=4):
    """Inputs that fit: [z or w or images, labels if it takes any]."""
    if isinstance(network, BaseSynthesis):
        return [normal(count, network.num_layers, network.dlatent_size)]
    if isinstance(network, BaseDiscriminator):
        first = normal(count, network.resolution, network.resolution, network.num_channels)
    else:
        first = normal(count, network.arguments["latent_size"])
    return [first, one_hot(count, network.label_size)] if network.label_size else [first]


def shapes(network):
    return [(variable.path.split("/", 1)[-1], tuple(variable.shape)) for variable in network.variables]
