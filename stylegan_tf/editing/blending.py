"""Layer swapping: the coarse layers of one generator with the fine ones of another.

Reference:
    Pinkney and Adler, 2020, "Resolution Dependent GAN Interpolation for Controllable Image Synthesis Between Domains".
"""

import math
import re

_RESOLUTION = re.compile(r"(?:^|/)(\d+)x\1_")


def blend(coarse, fine, at, smooth=0.0):
    """Returns a new generator: layers below a resolution are from one generator, those from it on from another.

    It is meant for two of which one was trained on from the other. Mapping network, w_average and noise images are
    those of `coarse`.

    Args:
        coarse, fine: Generators of one class, with the same keywords but for precision.
        at: First resolution that is from `fine`, 8 to the generators' own.
        smooth: Width of the passage, in octaves: the share of `fine` at a resolution is a logistic function of its
            distance from the middle between `at` and `at` / 2. 0 swaps the layers.

    Raises:
        ValueError: The generators do not fit each other, or have no layers of the resolution.
    """
    if type(coarse) is not type(fine):
        raise ValueError(
            f"A {type(coarse).__name__} and a {type(fine).__name__} do not fit each other; blend networks of which one "
            "was trained on from the other."
        )
    for setting in coarse.meaning:
        if (value := coarse.arguments[setting]) != (other := fine.arguments[setting]):
            raise ValueError(
                f"The networks do not fit each other: with {setting}={value!r} and {other!r} the same weights mean "
                "different things; blend networks of which one was trained on from the other."
            )
    ours, theirs = (_by_path(network) for network in (coarse, fine))
    # Layers first, which say more than the noise images that belong to them.
    for path in sorted(ours, key=lambda path: _resolution_of(path) is None):
        variable = ours[path]
        shapes = [tuple(variable.shape), tuple(theirs[path].shape) if path in theirs else "missing"]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"The networks do not fit each other: {path} is {shapes[0]} in the coarse one and {shapes[1]} in the "
                "fine one; blend networks of which one was trained on from the other."
            )
    if more := [path for path in theirs if path not in ours]:
        raise ValueError(f"The networks do not fit each other: only the fine one has {more[0]}.")
    resolutions = sorted({_resolution_of(path) for path in ours} - {None})
    if at not in resolutions[1:]:
        listed = ", ".join(map(str, resolutions[1:]))
        raise ValueError(f"The networks have no layers to swap at {at}; they have {listed}.")
    blended = type(coarse).from_config(coarse.get_config())
    for path, variable in _by_path(blended).items():
        resolution = _resolution_of(path)
        share = 0.0 if resolution is None else share_of_fine(resolution, at, smooth)
        variable.assign((1 - share) * ours[path].numpy() + share * theirs[path].numpy())
    return blended


def share_of_fine(resolution, at, smooth):
    """The weight of the fine network's layers, in [0, 1]; see `blend`."""
    octaves = math.log2(resolution / at) + 0.5
    if not smooth:
        return float(octaves > 0)
    return 1 / (1 + math.exp(-octaves / smooth))


def _by_path(network):
    """{path without the network's own name: Keras variable}."""
    return {variable.path.partition("/")[2]: variable for variable in network.variables}


def _resolution_of(path):
    found = _RESOLUTION.search(path)
    return int(found[1]) if found else None
