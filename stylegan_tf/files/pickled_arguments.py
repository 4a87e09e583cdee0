"""The keyword arguments that the original's networks were built with, as arguments of ours."""

import re

import numpy as np

from dnnlib.pickle_reader import shown
from stylegan_tf.networks.network import keywords_of
from stylegan_tf.networks.official_names import feature_maps_of_stages

# Arguments that name a function which builds a part, with the beginning of those functions' names.
_PARTS = {"mapping_func": "G_mapping", "synthesis_func": "G_synthesis"}

# Sizes that may be 0, and what is larger in no network: a file must not keep us busy.
_MAY_BE_ZERO = ("label_size", "mapping_layers", "mbstd_group_size")
_LARGEST = {"mapping_layers": 64}
_LARGEST_SIZE = 2**24
_LONGEST_FILTER = 16
_RGB = "(G_synthesis/)?(ToRGB|FromRGB)_lod"


def constructor_arguments(family, network, static_kwargs, variables):
    """What to build a network with; nothing is built before its sizes are known to be those of the variables.

    Args:
        family, network: The Family, and the class in it, such as Generator.
        static_kwargs: The original's keyword arguments that concern architecture, whatever a file says they are.
        variables: {official name: array}.

    Raises:
        ValueError: An argument is unknown, has a value that no network takes, or asks for more weights than there are.
    """
    defaults = _defaults(network)
    # The original hands all arguments of a generator on to its parts, which take theirs.
    ignored = () if network in (family.generator, family.discriminator) else _defaults(family.generator)
    arguments = {}
    for name, value in static_kwargs.items():
        value = value.item() if isinstance(value, np.generic) else value
        if name in defaults:
            arguments[name] = _checked(name, value, defaults[name])
        elif name == "dtype" or name in _PARTS:
            known = ["float32"] if name == "dtype" else [f for f in family.functions if f.startswith(_PARTS[name])]
            if type(value) is not str or value not in known:
                raise ValueError(f"Only {known[0] if known else 'none'} is known for its argument {name}.")
        elif name not in ignored:
            raise ValueError(f"Its argument {shown(name)} is unknown.")
    expected, held = family.weights(network, defaults | arguments), sum(array.size for array in variables.values())
    if "resolution" in defaults and was_not_grown(variables):
        maps = feature_maps_of_stages(defaults | arguments)
        expected -= (defaults | arguments)["num_channels"] * sum(maps[1:-1])
    if expected > held:
        raise ValueError(f"Its arguments stand for {expected} weights or more, but there are {held} in the file.")
    return arguments


def was_not_grown(variables):
    """Whether the original trained a network at full resolution from the start: it has one RGB layer, of that level.

    Networks that grow have one for each level. The lower ones are not used any more where the last level is reached.
    """
    if not any(re.fullmatch(rf"{_RGB}0/weight", name) for name in variables) or any(map(is_unused_rgb, variables)):
        return False
    return "lod" in variables and np.ndim(variables["lod"]) == 0 and variables["lod"] == 0


def is_unused_rgb(name):
    """Whether an official variable belongs to an RGB layer that only networks have which grow."""
    return re.fullmatch(rf"{_RGB}[1-9]\d?/\w+", name) is not None


def _defaults(network):
    """{argument: default} of a network's constructor, without what a variable of the original tells."""
    return {name: default for name, default in keywords_of(network).items() if name != "growth"}


def _checked(name, value, default):
    """The value, if it is one like the default."""
    if name == "fused_scale":
        fits = type(value) is bool or (type(value) is str and value == "auto")
    elif name in ("blur_filter", "resample_kernel"):
        fits = value is None or (type(value) in (list, tuple) and len(value) <= _LONGEST_FILTER)
        fits = fits and all(_is_number(tap) for tap in value or ()) and (not value or sum(value) != 0)
    elif name == "fmaps":
        fits = value is None or (type(value) in (list, tuple) and len(value) <= _LONGEST_FILTER)
        fits = fits and all(type(count) is int and 1 <= count <= _LARGEST_SIZE for count in value or ())
    elif name == "conv_clamp":
        fits = value is None or (_is_number(value) and value > 0)
    elif name == "mbstd_group_size" and value is None:
        fits = True
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
