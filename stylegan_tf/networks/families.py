"""The families of networks: one row each. Everything else asks a network's interface, not which family it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stylegan_tf.networks import official_names
from stylegan_tf.networks.discriminator import Discriminator
from stylegan_tf.networks.generator import Generator
from stylegan_tf.networks.mapping import MappingNetwork
from stylegan_tf.networks.progan import ProGANDiscriminator, ProGANGenerator
from stylegan_tf.networks.synthesis import SynthesisNetwork


@dataclass(frozen=True)
class Family:
    """Networks that are trained together, and what they are called in the original's files.

    Attributes:
        generator: Class of G and Gs, a `BaseGenerator`.
        discriminator: Class of D.
        functions: {the original's function that builds a network: our class}; empty where there is no original.
        variables: Function of one of those networks: {official name: `official_names.Variable`}.
        weights: Function of a class in `functions` and its arguments: the number of weights that it has at least.
    """

    generator: type
    discriminator: type
    functions: Mapping[str, type] = field(default_factory=dict)
    variables: Callable | None = None
    weights: Callable | None = None


# {the name in a run's setting `networks`: Family}.
FAMILIES = {
    "stylegan": Family(
        Generator,
        Discriminator,
        {
            "G_style": Generator,
            "G_mapping": MappingNetwork,
            "G_synthesis": SynthesisNetwork,
            "D_basic": Discriminator,
        },
        official_names.stylegan,
        official_names.count_weights,
    ),
    "progan": Family(
        ProGANGenerator,
        ProGANDiscriminator,
        {"G_paper": ProGANGenerator, "D_paper": ProGANDiscriminator},
        official_names.progan,
        official_names.count_weights,
    ),
}


def family_of(network):
    """The Family that a network or its class belongs to; ValueError for one that is in none."""
    cls = network if isinstance(network, type) else type(network)
    for family in FAMILIES.values():
        if cls in (family.generator, family.discriminator, *family.functions.values()):
            return family
    raise ValueError(f"A {cls.__name__} belongs to no family of networks; there are {', '.join(FAMILIES)}.")


def official_function(name):
    """(Family, class) of the original's function with this name; ValueError for one that is unknown."""
    for family in FAMILIES.values():
        if name in family.functions:
            return family, family.functions[name]
    raise ValueError(f"There is no network {name}, which this project does not build.")
