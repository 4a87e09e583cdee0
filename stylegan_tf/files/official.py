"""Official networks and variables: the only place where the original's names and NCHW layouts meet ours.

`load_variables` and `export_variables` are exact inverses of each other; images and noise are moved from NCHW to NHWC,
and dense layers beside a 4 x 4 image are permuted, since the original flattens it in C, H, W order.
"""

import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from keras import ops

from stylegan_tf.files.pickled_arguments import constructor_arguments
from stylegan_tf.files.pickles import read_networks
from stylegan_tf.files.published import is_published, obtain_network
from stylegan_tf.networks import (
    Discriminator,
    Generator,
    MappingNetwork,
    ProGANDiscriminator,
    ProGANGenerator,
    SynthesisNetwork,
)

# Which of the original's functions builds which of our networks.
CLASSES = {
    "D_basic": Discriminator,
    "D_paper": ProGANDiscriminator,
    "G_mapping": MappingNetwork,
    "G_paper": ProGANGenerator,
    "G_style": Generator,
    "G_synthesis": SynthesisNetwork,
}


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
    }
)


class Variable(NamedTuple):
    """One official variable: ours (None for the original's `lod`, which is an argument here) and its layout."""

    variable: object
    layout: str = "same"  # "same", "image" (NCHW <-> NHWC), "flatten" (C, H, W -> units) or "unflatten" (-> C, H, W)


def load_pickle(path_or_url, cache_dir="cache"):
    """Opens a pickle of the original's networks; the file is read as data, and nothing in it is run.

    How far a network has grown is an argument of ours; each has, as `pickled_lod`, the `lod` that it had in the file.

    Args:
        path_or_url: A file; or, where there is none of that name, an http(s) URL or a name in `published.PUBLISHED`.
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
    function, variables = pickled.function, pickled.variables
    if function not in CLASSES:
        raise ValueError(f"{path} cannot be used: it holds a network {function}, which this project does not build.")
    try:
        architecture = {key: value for key, value in pickled.arguments.items() if key not in behaviour_arguments}
        arguments = constructor_arguments(CLASSES[function], architecture, variables)
        # Keras allows less in a name than a file.
        name = pickled.name if re.fullmatch(r"[A-Za-z]\w{0,63}", pickled.name, re.ASCII) else None
        network = CLASSES[function](**arguments, name=name)
        load_variables(network, variables)
        network.pickled_lod = _lod(network, variables)
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be used: it holds a network {function} that is inconsistent. {error}"
        ) from None
    return network


def _lod(network, variables):
    """The level of detail that a network stood at in a file; 0 if it has none."""
    lod = float(variables.get("lod", 0))
    most = math.log2(getattr(network, "resolution", 4)) - 2
    if not 0 <= lod <= most:
        raise ValueError(f"Its lod must be from 0 to {most:.0f}; it is {lod}.")
    return lod


def load_variables(network, arrays):
    """Fills a network with official variables.

    Args:
        network: MappingNetwork, SynthesisNetwork, Generator, Discriminator, ProGANGenerator or ProGANDiscriminator.
        arrays: {official name: array in the original's layout}, exactly the variables of the network.

    Raises:
        ValueError: A variable is missing, unknown or of another shape; nothing is changed then.
    """
    variables = official_variables(network)
    missing, extra = sorted(variables.keys() - arrays.keys()), sorted(arrays.keys() - variables.keys())
    if missing:
        raise ValueError(f"{_count(missing)} missing for {type(network).__name__}: {_listed(missing)}.")
    if extra:
        raise ValueError(f"{_count(extra)} unknown to {type(network).__name__}: {_listed(extra)}.")
    for name, official in variables.items():
        shape, expected = np.shape(arrays[name]), _official_shape(official)
        if shape != expected:
            raise ValueError(f"Variable {name} must have shape {expected}; received {shape}.")
    for name, (variable, layout) in variables.items():
        if variable is not None:
            variable.assign(_from_official(np.asarray(arrays[name]), layout))


def export_variables(network):
    """The inverse of `load_variables`: {official name: float32 array in the original's layout}. `lod` is 0."""
    return {
        name: np.float32(0) if variable is None else _to_official(ops.convert_to_numpy(variable), layout)
        for name, (variable, layout) in official_variables(network).items()
    }


def official_variables(network):
    """{official name: Variable} of a network; TypeError for a network that the original does not have."""
    if isinstance(network, MappingNetwork):
        return _mapping(network)
    if isinstance(network, SynthesisNetwork):
        return _synthesis(network)
    if isinstance(network, Generator):
        return {
            "lod": Variable(None),
            "dlatent_avg": Variable(network.w_average),
            **{f"G_synthesis/{name}": variable for name, variable in _synthesis(network.synthesis).items()},
            **{f"G_mapping/{name}": variable for name, variable in _mapping(network.mapping).items()},
        }
    if isinstance(network, ProGANGenerator):
        # Progressive GAN's names tell whether a resampling convolution is fused, StyleGAN's do not.
        return _synthesis(network.synthesis, unfused="Conv0")
    if isinstance(network, Discriminator):
        return _discriminator(network)
    raise TypeError(f"No official variables are known for {type(network).__name__}.")


def _mapping(network):
    variables = {"LabelConcat/weight": Variable(network.embedding.embedding)} if network.embedding else {}
    for i, dense in enumerate(network.dense):
        variables |= _weight_and_bias(f"Dense{i}", dense)
    return variables


def _synthesis(network, unfused="Conv0_up"):
    variables = {"lod": Variable(None)}
    variables |= {f"noise{i}": Variable(noise, "image") for i, noise in enumerate(network.noise_images)}
    for i, (res, (first, second)) in enumerate(zip(network.resolutions, network.layers_by_resolution, strict=True)):
        if res > 4:
            name = "Conv0_up" if first.source.fused else unfused
            weight = {"weight": Variable(first.source.kernel)}
        elif network.const_input_layer:
            name, weight = "Const", {"const": Variable(first.source.constant, "image")}
        else:
            name, weight = "Dense", {"weight": Variable(first.source.dense.kernel, "unflatten")}
        variables |= _synthesis_layer(f"{res}x{res}/{name}", weight, first)
        name = "Conv1" if res > 4 else "Conv"
        variables |= _synthesis_layer(f"{res}x{res}/{name}", {"weight": Variable(second.source.kernel)}, second)
        variables |= _weight_and_bias(f"ToRGB_lod{len(network.resolutions) - 1 - i}", network.to_rgb[i])
    return variables


def _synthesis_layer(name, weight, layer):
    variables = {f"{name}/{key}": variable for key, variable in weight.items()}
    if layer.noise:
        variables[f"{name}/Noise/weight"] = Variable(layer.noise.strength)
    variables[f"{name}/bias"] = Variable(layer.bias.bias)
    if layer.style:
        variables |= _weight_and_bias(f"{name}/StyleMod", layer.style.style)
    return variables


def _discriminator(network):
    variables = {"lod": Variable(None)}
    for lod, from_rgb in enumerate(network.from_rgb):
        variables |= _weight_and_bias(f"FromRGB_lod{lod}", from_rgb)
        if lod < len(network.blocks):
            res, (first, second) = network.resolutions[lod], network.blocks[lod]
            variables |= _weight_and_bias(f"{res}x{res}/Conv0", first)
            variables |= _weight_and_bias(f"{res}x{res}/Conv1{'_down' if second.resample else ''}", second)
    variables |= _weight_and_bias("4x4/Conv", network.conv)
    variables |= _weight_and_bias("4x4/Dense0", network.dense, layout="flatten")
    return variables | _weight_and_bias("4x4/Dense1", network.output_layer)


def _weight_and_bias(name, layer, layout="same"):
    return {f"{name}/weight": Variable(layer.kernel, layout), f"{name}/bias": Variable(layer.bias)}


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
