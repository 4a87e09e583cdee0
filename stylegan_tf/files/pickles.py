"""What the original's pickles say about networks: how each was built, and its variables."""

import dataclasses
import re
from pathlib import Path

import numpy as np

from dnnlib.pickle_reader import Record, shown

# The original's classes of networks, new and old, and of dicts among their arguments.
NETWORK_CLASSES = ("dnnlib.tflib.network.Network", "tfutil.Network")
DICT_CLASSES = ("dnnlib.EasyDict", "dnnlib.util.EasyDict")

# State versions: Progressive GAN's without components, StyleGAN's, StyleGAN2's, StyleGAN2-ADA's.
VERSIONS = (2, 3, 4, 5)

# The parts of a generator, and what their variables' names begin with there, as do the functions that build them.
COMPONENTS = {"mapping": "G_mapping", "synthesis": "G_synthesis"}


@dataclasses.dataclass(frozen=True)
class PickledNetwork:
    """A network as a file describes it; of PyTorch's files, in the words of StyleGAN2-ADA for TensorFlow.

    Attributes:
        name: "G", "D", "Gs".
        function: The original's function that builds it, such as "G_style".
        arguments: The keyword arguments of that function, a dict.
        variables: {official name: array}, those of its components as "G_mapping/..." and "G_synthesis/...".
        components: {"mapping", "synthesis": the function that builds it}.
        version: State version, which tells functions of one name apart.
        average_known: Whether the average of w is in the file; it is 0 here where it is not.
    """

    name: str
    function: str
    arguments: dict
    variables: dict
    components: dict
    version: int
    average_known: bool = True


class Unusable(ValueError):
    """What is wrong with a file, as the rest of a sentence."""


def networks_in(content, path):
    """The PickledNetworks in what was read from a pickle of TensorFlow's networks, a tuple or a single one.

    The source text that comes with every network is not looked at.

    Raises:
        Unusable: It is anything but such networks.
    """
    records = content if type(content) in (list, tuple) else [content]
    # As in the file, what is there twice is one network.
    networks = {key: _network(record) for key, record in {id(record): record for record in records}.items()}
    if not networks:
        raise Unusable("it holds no networks")
    check_size(path, [array for network in networks.values() for array in network.variables.values()])
    return networks[id(content)] if records is not content else tuple(networks[id(record)] for record in content)


def check_size(path, arrays):
    """Unusable if the arrays are larger than the file: a few bytes can name the same numbers again and again."""
    if sum(array.nbytes for array in arrays) > Path(path).stat().st_size:
        raise Unusable("its networks share variables")


def _network(record):
    function, state = _function_and_state(record)
    variables, components = _variables(state), {}
    for key, component in _components(state).items():
        components[key], inside = _function_and_state(component)
        if key not in COMPONENTS or not components[key].startswith(COMPONENTS[key]):
            raise Unusable(f"{function} in it has a component {shown(key)} built by {components[key]}")
        if _components(inside):
            raise Unusable(f"the component {key} in it has components itself")
        variables |= {f"{COMPONENTS[key]}/{name}": array for name, array in _variables(inside).items()}
    name, arguments = _field(state, "name", str), _field(state, "static_kwargs", dict)
    return PickledNetwork(name, function, arguments, variables, components, state["version"])


def _function_and_state(record):
    """The name of the function that builds a network, without its module, and the network's state."""
    if type(record) is not Record or record.name not in NETWORK_CLASSES:
        raise Unusable("it holds something else than networks")
    state = record.state
    version = _field(state, "version", int)
    if version not in VERSIONS:
        raise Unusable(f"it has state version {shown(version)}; versions {VERSIONS[0]} to {VERSIONS[-1]} are known")
    function = _field(state, "build_func_name", str).split(".")[-1]
    if not re.fullmatch(r"\w{1,100}", function, re.ASCII):
        raise Unusable(f"a network in it is built by {shown(function)}")
    return function, state


def _components(state):
    return _field(state, "components", dict) if state["version"] > 2 else {}


def _variables(state):
    """{name: array} of a network itself."""
    variables = {}
    for pair in _field(state, "variables", list):
        if type(pair) not in (list, tuple) or len(pair) != 2 or not isinstance(pair[1], np.ndarray | np.generic):
            raise Unusable("a variable in it is no pair of name and array")
        name, array = pair
        name = name if type(name) is str else ""
        if not re.fullmatch(r"[\w/]{1,100}", name, re.ASCII) or name in variables:
            raise Unusable(f"a variable in it has no proper name of its own ({shown(name)})")
        variables[name] = array
    return variables


def _field(state, name, kind):
    """A part of a network's state, if it is there and of this type."""
    value = state.get(name)
    if type(value) is not kind:
        raise Unusable(f"a network in it has no {name}, or none of type {kind.__name__}")
    return value
