"""The model card of an exported network: where it is from, what it takes and makes, what it refuses."""

import hashlib
import importlib.metadata
import math

from stylegan_tf.files.contents import Kind, kind_of
from stylegan_tf.files.published import PUBLISHED
from stylegan_tf.files.shipped_networks import shipped_licence
from stylegan_tf.pictures.sampler import columns_of

PACKAGES = ("tensorflow", "keras", "numpy")
_MEANINGS = {
    "latents": "z, standard normal",
    "labels": "label, one-hot as a rule",
    "w": "styles of the layers, as mapping returns them",
    "truncation_psi": "truncation trick: 1 for none, 0 for the average image, the architecture's usual_psi as a rule",
    "noise_seed": "seed of the noise images; -1 for the stored ones",
    "seeds": "NumPy seed of z: numpy.random.RandomState(seed).randn(latent_size)",
    "classes": "number of the class, whose label is one-hot",
    "names": "name of a class, or its number where no name is one",
    "images": "pixels, 0 to 255, rounded to nearest; height, width, channels; of 4 channels, RGBA as in PNG files, not "
    "multiplied by alpha",
    "png_bytes": "PNG file",
}


def network_facts(target, source):
    """Where a network is from, a dictionary for JSON; null for what is not known.

    Args:
        target: `find.Target`.
        source: What the user has named it.
    """
    with target.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    config = target.config
    return {
        "source": str(source),
        "file": str(target.path),
        "sha256": sha256,
        "dataset": config and config.dataset,
        "config": config and config.config,
        "kimg": target.kimg,
        "licence": licence(target),
    }


def licence(target):
    """What one may do with a network, or where to find out."""
    published = {network.file: network for network in PUBLISHED.values()}.get(target.path.name)
    if published:
        return published.description
    if own := shipped_licence(target.path):
        return own
    if kind_of(target.path) is Kind.FOREIGN:
        return "See where this file was published."
    data = f"data set {target.config.dataset}" if target.config else "data set that it was trained on"
    return f"That of the network's owner, and of the {data}."


def model_card(generator, signatures, facts, **more):
    """The model card of a SavedModel, a dictionary for JSON.

    Args:
        generator: A generator.
        signatures: {name: concrete function}.
        facts: What `network_facts` returns, or other facts.
        **more: What else there is to say.
    """
    return {
        "network": facts,
        "architecture": architecture(generator),
        "signatures": {name: describe(function) for name, function in signatures.items()},
        **more,
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
    }


def architecture(generator):
    """Class, arguments, size, growth, usual truncation and names of the classes, by number, of a generator."""
    resolution, fade = generator.growth or (generator.resolution, 1.0)
    return {
        "class": type(generator).__name__,
        "arguments": generator.arguments,
        "parameters": sum(math.prod(variable.shape) for variable in generator.trainable_variables),
        "aspect": generator.aspect and "{}:{}".format(*generator.aspect),
        "grown_to": {"resolution": resolution, "fade": fade},
        "usual_psi": generator.usual_psi,
        "classes": [name for name, _ in columns_of(generator)],
    }


def describe(function):
    """Inputs and outputs of a concrete function; a null in a shape is the number of images."""
    sides = {"inputs": function.structured_input_signature[1], "outputs": function.structured_outputs}
    return {
        side: {
            name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list(), "meaning": _MEANINGS[name]}
            for name, spec in specs.items()
        }
        for side, specs in sides.items()
    }
