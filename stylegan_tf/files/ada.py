"""StyleGAN2-ADA's descriptions of networks as ours: what has no labels is StyleGAN2's."""

import dataclasses

import numpy as np

from stylegan_tf.networks.network import feature_maps_by_stage

# State version of StyleGAN2-ADA's pickles, and of StyleGAN2's.
_VERSION, _WITHOUT_LABELS = 5, 4

# StyleGAN2's functions for what they build without labels.
_STYLEGAN2 = {"G_main": "G_main", "G_synthesis": "G_synthesis_stylegan2", "G_mapping": "G_mapping"}
_STYLEGAN2 |= {"D_main": "D_stylegan2"}

# What only concerns labels.
_LABELS = {
    "G_main": ("label_fmaps",),
    "D_main": (
        *("mapping_layers", "mapping_fmaps", "mapping_width", "label_fmaps", "mapping_lrmul", "mapping_nonlinearity"),
    ),
}
_SIZES = {"resolution": 1024, "fmap_base": 16384, "fmap_decay": 1.0, "fmap_max": 512}


def in_our_words(pickled):
    """A PickledNetwork without what ours take in another way: those of other versions as they are.

    Raises:
        ValueError: An argument has a value that no network takes.
    """
    if pickled.version != _VERSION or pickled.function not in _STYLEGAN2:
        return pickled
    # Half precision is not a property of the network, but of the run.
    arguments = {name: value for name, value in pickled.arguments.items() if name != "num_fp16_res"}
    smallest = arguments.pop("fmap_min", 1)
    if type(smallest) is not int or smallest < 1:
        raise ValueError("Its argument fmap_min has a value that no network takes.")
    if smallest > 1:
        arguments["fmaps"] = _maps(arguments, smallest)
    for part in ("mapping", "synthesis"):
        function = arguments.pop(f"{part}_func", f"G_{part}")
        if type(function) is not str or function.split(".")[-1] != f"G_{part}":
            raise ValueError(f"Only G_{part} is known for its argument {part}_func.")
    if pickled.function == "D_main":
        arguments.setdefault("mbstd_group_size", None)
        if _is_zero(arguments.get("mbstd_num_features", 1)):
            arguments |= {"mbstd_group_size": 0, "mbstd_num_features": 1}
    pickled = dataclasses.replace(pickled, arguments=arguments)
    return _without_labels(pickled) if _is_zero(arguments.get("label_size", 0)) else pickled


def _without_labels(pickled):
    """What StyleGAN2 would have written of a network without labels."""
    if pickled.function not in _LABELS:
        return pickled
    arguments = {name: value for name, value in pickled.arguments.items() if name not in _LABELS[pickled.function]}
    variables = pickled.variables
    if pickled.function == "G_main":
        if arguments.get("mapping_fmaps") is None:
            arguments["mapping_fmaps"] = arguments.get("dlatent_size", 512)
        variables = {"lod": np.float32(0), **variables}
    return dataclasses.replace(
        pickled,
        function=_STYLEGAN2[pickled.function],
        arguments=arguments,
        variables=variables,
        components={key: _STYLEGAN2.get(inside, inside) for key, inside in pickled.components.items()},
        version=_WITHOUT_LABELS,
    )


def _is_zero(value):
    return isinstance(value, int | np.integer) and value == 0


def _maps(arguments, smallest):
    sizes = [arguments.get(name, default) for name, default in _SIZES.items()]
    if any(type(size) not in (int, float) or not 0 <= size < 2**24 for size in sizes):
        raise ValueError("Its arguments fmap_base, fmap_decay and fmap_max have values that no network takes.")
    return [max(count, smallest) for count in feature_maps_by_stage(*sizes)]
