"""The families of networks: one row each. Everything else asks a network's interface, not which family it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stylegan_tf.networks import official_names, stylegan2_names
from stylegan_tf.networks.discriminator import Discriminator
from stylegan_tf.networks.generator import Generator
from stylegan_tf.networks.mapping import MappingNetwork
from stylegan_tf.networks.progan import ProGANDiscriminator, ProGANGenerator
from stylegan_tf.networks.stylegan2 import StyleGAN2Generator, StyleGAN2GrowingGenerator, StyleGAN2Mapping
from stylegan_tf.networks.stylegan2_ada import (
    StyleGAN2ADADiscriminator,
    StyleGAN2ADAGenerator,
    StyleGAN2ADAMapping,
)
from stylegan_tf.networks.stylegan2_discriminator import StyleGAN2Discriminator, StyleGAN2GrowingDiscriminator
from stylegan_tf.networks.stylegan2_synthesis import StyleGAN2GrowingSynthesis, StyleGAN2Synthesis
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
        version: State version of the original's pickles of these networks, which tells functions of one name apart.
    """

    generator: type
    discriminator: type
    functions: Mapping[str, type] = field(default_factory=dict)
    variables: Callable | None = None
    weights: Callable | None = None
    version: int | None = None


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
        version=3,
    ),
    "progan": Family(
        ProGANGenerator,
        ProGANDiscriminator,
        {"G_paper": ProGANGenerator, "D_paper": ProGANDiscriminator},
        official_names.progan,
        official_names.count_weights,
        version=2,
    ),
    "stylegan2": Family(
        StyleGAN2Generator,
        StyleGAN2Discriminator,
        {
            "G_main": StyleGAN2Generator,
            "G_mapping": StyleGAN2Mapping,
            "G_synthesis_stylegan2": StyleGAN2Synthesis,
            "D_stylegan2": StyleGAN2Discriminator,
        },
        stylegan2_names.stylegan2,
        stylegan2_names.count_weights,
        version=4,
    ),
    # The paper's configurations B to D.
    "stylegan2-growing": Family(
        StyleGAN2GrowingGenerator,
        StyleGAN2GrowingDiscriminator,
        {
            "G_main": StyleGAN2GrowingGenerator,
            "G_mapping": StyleGAN2Mapping,
            "G_synthesis_stylegan_revised": StyleGAN2GrowingSynthesis,
            "D_stylegan": StyleGAN2GrowingDiscriminator,
        },
        stylegan2_names.stylegan2,
        stylegan2_names.count_weights,
        version=4,
    ),
    # StyleGAN2 with StyleGAN2-ADA's labels; what has none is StyleGAN2's.
    "stylegan2-ada": Family(
        StyleGAN2ADAGenerator,
        StyleGAN2ADADiscriminator,
        {
            "G_main": StyleGAN2ADAGenerator,
            "G_mapping": StyleGAN2ADAMapping,
            "G_synthesis": StyleGAN2Synthesis,
            "D_main": StyleGAN2ADADiscriminator,
        },
        stylegan2_names.stylegan2_ada,
        stylegan2_names.count_weights,
        version=5,
    ),
}


def family_of(network):
    """The Family that a network or its class belongs to; ValueError for one that is in none."""
    cls = network if isinstance(network, type) else type(network)
    for family in FAMILIES.values():
        if cls in (family.generator, family.discriminator, *family.functions.values()):
            return family
    raise ValueError(f"A {cls.__name__} belongs to no family of networks; there are {', '.join(FAMILIES)}.")


def usual_truncation(of):
    """The truncation that is usual for each family, in words: "0.7; 0.5 for stylegan2".

    Args:
        of: "psi", its strength, or "cutoff", the number of layers.
    """
    families = {}
    for name, family in FAMILIES.items():
        usual = getattr(family.generator, f"usual_{of}")
        families.setdefault("all" if usual is None else f"{usual:g}", []).append(name)
    first, *others = families
    return "; ".join([first, *(f"{value} for {', '.join(families[value])}" for value in others)])


def official_function(name, arguments=None, version=None):
    """(Family, class) of one of the original's functions; ValueError for one that is unknown.

    Args:
        name: The function's name, without its module.
        arguments: Its keyword arguments. `synthesis_func`, where it is given, decides between families that have a
            function of this name.
        version: State version of the pickle that it is from, if any, which decides where `synthesis_func` does not.
    """
    families = [family for family in FAMILIES.values() if name in family.functions]
    synthesis = (arguments or {}).get("synthesis_func")
    for preferred in (
        [family for family in families if type(synthesis) is str and synthesis in family.functions],
        [family for family in families if family.version == version],
        families,
    ):
        if preferred:
            return preferred[0], preferred[0].functions[name]
    raise ValueError(f"There is no network {name}, which this project does not build.")
