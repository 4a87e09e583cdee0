"""Official networks and variables: the only place where the original's names and NCHW layouts meet ours.

`load_variables` and `export_variables` are exact inverses of each other; images and noise are moved from NCHW to NHWC,
and dense layers beside a 4 x 4 image are permuted, since the original flattens it in C, H, W order.
"""

import math
import re
from pathlib import Path

import numpy as np
from keras import ops

from stylegan_tf.files.ada import in_our_words
from stylegan_tf.files.contents import read_networks
from stylegan_tf.files.pickled_arguments import constructor_arguments, is_unused_rgb, was_not_grown
from stylegan_tf.files.published import is_published, obtain_network
from stylegan_tf.networks.families import family_of, official_function
from stylegan_tf.recipes.schedule import growth_at

# Keyword arguments of the original's generator that are behaviour, not architecture: ours take them at the call, or
# leave them to the trainer.
behaviour_arguments = frozenset(
    {
        "truncation_psi",
        "truncation_cutoff",
        "truncation_psi_val",
        "truncation_cutoff_val",
        "dlatent_avg_beta",
        "style_mixing_prob",
        "randomize_noise",
        "structure",
        "is_training",
        "is_validation",
        "fused_modconv",  # how modulated convolutions are computed
    }
)


def load_pickle(path_or_url, cache_dir="cache"):
    """Opens a file of networks of another project; it is read as data, and nothing in it is run.

    A generator that had not finished growing knows it, as its `growth`.

    Args:
        path_or_url: A file, see `contents.read_networks`; or, where there is none of that name, an http(s) URL or a
            name in `published.PUBLISHED`.
        cache_dir: Where downloads are kept.

    Returns:
        The networks in the file, a tuple, (G, D, Gs) as a rule; or the network if the file holds a single one.

    Raises:
        ValueError: The file is damaged, holds anything else than networks that this project has, or asks for larger
            networks than it has variables for.
        OSError: It cannot be read or downloaded.
    """
    path = Path(path_or_url)
    if not path.exists() and is_published(str(path_or_url)):
        path = obtain_network(str(path_or_url), cache_dir)
    pickled = read_networks(path)
    if not isinstance(pickled, tuple):
        return _build(path, pickled)
    networks = {}
    for network in pickled:
        # As in the file, what is there twice is one network.
        if id(network) not in networks:
            networks[id(network)] = _build(path, network)
    return tuple(networks[id(network)] for network in pickled)


def _build(path, pickled):
    """Our network for a PickledNetwork."""
    function = pickled.function
    try:
        pickled = in_our_words(pickled)
        variables = pickled.variables
    except ValueError as error:
        raise _inconsistent(path, function, error) from None
    try:
        family, cls = official_function(pickled.function, pickled.arguments, pickled.version)
    except ValueError:
        raise ValueError(
            f"{path} cannot be used: it holds a network {function}, which this project does not build."
        ) from None
    try:
        architecture = {key: value for key, value in pickled.arguments.items() if key not in behaviour_arguments}
        arguments = constructor_arguments(family, cls, architecture, variables)
        for key, inside in pickled.components.items():
            if inside not in family.functions:
                raise ValueError(f"Its component {key} is built by {inside}.")
        # Keras allows less in a name than a file.
        name = pickled.name if re.fullmatch(r"[A-Za-z]\w{0,63}", pickled.name, re.ASCII) else None
        network = cls(**arguments, name=name)
        load_variables(network, variables)
    except ValueError as error:
        raise _inconsistent(path, function, error) from None
    if not pickled.average_known:
        network.w_average.assign(_measured_average(network))
    return network


def _measured_average(generator, samples=10_000):
    """The mean of w over latents, the same ones every time, and over all labels."""
    z = np.random.RandomState(0).standard_normal((samples, generator.latent_size)).astype(np.float32)
    size = generator.label_size
    labels = np.eye(size, dtype=np.float32)[np.arange(samples) % size] if size else None
    return ops.mean(generator.mapping(z, labels)[:, 0], axis=0)


def _inconsistent(path, function, error):
    return ValueError(f"{path} cannot be used: it holds a network {function} that is inconsistent. {error}")


def load_variables(network, arrays):
    """Fills a network with official variables; `lod`, where there is one, becomes a generator's `growth`.

    Args:
        network: One of the classes in `families.FAMILIES`.
        arrays: {official name: array in the original's layout}, exactly the variables of the network; of one that was
            trained at full resolution from the start, the lower levels' RGB layers may be missing, and become 0.

    Raises:
        ValueError: A variable is missing, unknown or of another shape; nothing is changed then.
    """
    variables = official_variables(network)
    if was_not_grown(arrays):
        unused = {name: official for name, official in variables.items() if is_unused_rgb(name)}
        arrays = {name: np.zeros(_official_shape(official), np.float32) for name, official in unused.items()} | arrays
    missing, extra = sorted(variables.keys() - arrays.keys()), sorted(arrays.keys() - variables.keys())
    if missing:
        raise ValueError(f"{_count(missing)} missing for {type(network).__name__}: {_listed(missing)}.")
    if extra:
        raise ValueError(f"{_count(extra)} unknown to {type(network).__name__}: {_listed(extra)}.")
    for name, official in variables.items():
        shape, expected = np.shape(arrays[name]), _official_shape(official)
        if shape != expected:
            raise ValueError(f"Variable {name} must have shape {expected}; received {shape}.")
    if "lod" in variables:
        lod, most = float(arrays["lod"]), math.log2(network.resolution) - 2
        if not 0 <= lod <= most:
            raise ValueError(f"Its lod must be from 0 to {most:.0f}; it is {lod}.")
        if "growth" in network.arguments:
            network.growth = growth_at(lod, network.resolution)
    for name, (variable, layout) in variables.items():
        if variable is not None:
            variable.assign(_from_official(np.asarray(arrays[name]), layout))


def export_variables(network):
    """The inverse of `load_variables`: {official name: float32 array in the original's layout}."""
    growth = getattr(network, "growth", None)
    lod = np.float32(math.log2(network.resolution / growth[0]) + 1 - growth[1] if growth else 0)
    return {
        name: lod if variable is None else _to_official(ops.convert_to_numpy(variable), layout)
        for name, (variable, layout) in official_variables(network).items()
    }


def official_variables(network):
    """{official name: `official_names.Variable`} of a network; ValueError where the original has no such network."""
    family = family_of(network)
    if family.variables is None:
        raise ValueError(f"The original has no {type(network).__name__}, and no names for its variables.")
    return family.variables(network)


def _official_shape(official):
    if official.variable is None:
        return ()
    shape = tuple(official.variable.shape)
    return (shape[0], shape[3], shape[1], shape[2]) if official.layout == "image" else shape


def _from_official(array, layout):
    if layout == "image":
        return array.transpose(0, 2, 3, 1)
    if layout == "flatten":
        return array.reshape(-1, 4, 4, array.shape[1]).transpose(1, 2, 0, 3).reshape(array.shape)
    if layout == "unflatten":
        return array.reshape(array.shape[0], -1, 4, 4).transpose(0, 2, 3, 1).reshape(array.shape)
    return array


def _to_official(array, layout):
    if layout == "image":
        return array.transpose(0, 3, 1, 2)
    if layout == "flatten":
        return array.reshape(4, 4, -1, array.shape[1]).transpose(2, 0, 1, 3).reshape(array.shape)
    if layout == "unflatten":
        return array.reshape(array.shape[0], 4, 4, -1).transpose(0, 3, 1, 2).reshape(array.shape)
    return array


def _listed(names):
    return ", ".join([*names[:8], "..."] if len(names) > 8 else names)


def _count(names):
    return f"{len(names)} variable{'s' if len(names) > 1 else ''}"
