"""The keyword arguments that the original's networks were built with, as arguments of ours."""

import inspect
from itertools import pairwise

import numpy as np

from dnnlib.pickle_reader import shown
from stylegan_tf.networks import Discriminator, Generator, MappingNetwork, ProGANGenerator, SynthesisNetwork
from stylegan_tf.networks.network import feature_maps, log2_resolution

# Arguments whose other values stand for networks that there are not here.
_ONLY_VALUES = {"dtype": "float32", "mapping_func": "G_mapping", "synthesis_func": "G_synthesis"}

# Sizes that may be 0, and what is larger in no network: a file must not keep us busy.
_MAY_BE_ZERO = ("label_size", "mapping_layers", "mbstd_group_size")
_LARGEST = {"mapping_layers": 64}
_LARGEST_SIZE = 2**24
_LONGEST_FILTER = 16


def constructor_arguments(network, static_kwargs, variables):
    """What to build a network with; nothing is built before its sizes are known to be those of the variables.

    Args:
        network: The class, such as Generator.
        static_kwargs: The original's keyword arguments that concern architecture, whatever a file says they are.
        variables: {official name: array}.

    Raises:
        ValueError: An argument is unknown, has a value that no network takes, or asks for more weights than there are.
    """
    defaults = _defaults(network)
    # The original hands all arguments of a generator on to its parts, which take theirs.
    ignored = _defaults(Generator).keys() if network in (MappingNetwork, SynthesisNetwork) else ()
    arguments = {}
    for name, value in static_kwargs.items():
        value = value.item() if isinstance(value, np.generic) else value
        if name in defaults:
            arguments[name] = _checked(name, value, defaults[name])
        elif name in _ONLY_VALUES:
            if type(value) is not str or value != _ONLY_VALUES[name]:
                raise ValueError(f"Only {_ONLY_VALUES[name]} is known for its argument {name}.")
        elif name not in ignored:
            raise ValueError(f"Its argument {shown(name)} is unknown.")
    expected, held = _count_weights(network, {**defaults, **arguments}), sum(array.size for array in variables.values())
    if expected > held:
        raise ValueError(f"Its arguments stand for {expected} weights or more, but there are {held} in the file.")
    return arguments


def _defaults(network):
    """{argument: default} of a network's constructor."""
    parameters = inspect.signature(network).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters if parameter.default is not parameter.empty}


def _checked(name, value, default):
    """The value, if it is one like the default."""
    if name == "fused_scale":
        fits = type(value) is bool or (type(value) is str and value == "auto")
    elif name == "blur_filter":
        fits = value is None or (type(value) in (list, tuple) and len(value) <= _LONGEST_FILTER)
        fits = fits and all(_is_number(tap) for tap in value or ()) and (not value or sum(value) != 0)
    elif type(default) in (bool, str):
        fits = type(value) is type(default)
    elif type(default) is float:
        fits = _is_number(value)
    else:
        smallest, largest = 0 if name in _MAY_BE_ZERO else 1, _LARGEST.get(name, _LARGEST_SIZE)
        fits = (type(value) is int and smallest <= value <= largest) or (value is None and default is None)
    if not fits:
        what = shown(value) if type(value) in (bool, float, int, str) else f"of type {type(value).__name__}"
        raise ValueError(f"Its argument {name} has a value that no network takes ({what}).")
    return value


def _is_number(value):
    """Whether this is a number of a size that weights and filters have."""
    return type(value) in (int, float) and abs(value) < 1e6


def _count_weights(network, arguments):
    """The number of weights in the kernels and matrices of a network, which are nearly all that it has."""
    if network is MappingNetwork:
        return _count_mapping(arguments)
    if network is ProGANGenerator:
        latent_size = arguments["latent_size"] or _feature_maps(arguments)[0]
        traditional = dict(use_styles=False, const_input_layer=False)
        arguments = {**arguments, **traditional, "dlatent_size": latent_size + arguments["label_size"]}
    maps = _feature_maps(arguments)
    count = 9 * maps[1] ** 2 + sum(9 * above * (above + below) for below, above in pairwise(maps[1:]))
    count += arguments["num_channels"] * sum(maps[1:])
    if issubclass(network, Discriminator):
        return count + maps[0] * (16 * maps[1] + max(arguments["label_size"], 1))
    count += arguments["dlatent_size"] * (4 * sum(maps[1:]) if arguments["use_styles"] else 0)
    count += 0 if arguments["const_input_layer"] else arguments["dlatent_size"] * 16 * maps[1]
    return count + (_count_mapping(arguments) if network is Generator else 0)


def _count_mapping(arguments):
    latent_size, label_size, layers = (arguments[name] for name in ("latent_size", "label_size", "mapping_layers"))
    inputs = 2 * latent_size if label_size else latent_size
    widths = [inputs, *[arguments["mapping_fmaps"]] * (layers - 1), arguments["dlatent_size"]] if layers else []
    return label_size * latent_size + sum(a * b for a, b in pairwise(widths))


def _feature_maps(arguments):
    """Of every stage from 0 on; resolution 2^r is stage r - 1."""
    growth = [arguments[name] for name in ("fmap_base", "fmap_decay", "fmap_max")]
    try:
        maps = [feature_maps(stage, *growth) for stage in range(log2_resolution(arguments["resolution"]))]
    except (OverflowError, ZeroDivisionError):
        maps = [0]
    if min(maps) < 1:
        raise ValueError("Its arguments fmap_base and fmap_decay leave a resolution without feature maps.")
    return maps
