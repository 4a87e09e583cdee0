"""Official variables go in and come out unchanged, and nothing goes in that does not fit."""

import functools

import numpy as np
import pytest
from reference_networks import build

from stylegan_tf.files.official import export_variables, load_variables


@functools.cache
def networks_of(vector):
    return [(build(func, kwargs), vector.below(prefix)) for func, kwargs, prefix in vector.networks()]


@pytest.mark.vectors("weights")
def test_load_and_export_are_inverse(vector):
    for network, arrays in networks_of(vector):
        load_variables(network, arrays)
        exported = export_variables(network)
        assert exported.keys() == arrays.keys()
        for name, array in arrays.items():
            # A generator keeps the lod as its growth; D sees how far it has grown by the size of the images.
            lost = name == "lod" and not hasattr(network, "growth")
            expected = np.float32(0) if lost else array
            np.testing.assert_array_equal(exported[name], expected, err_msg=name, strict=True)


def misfits(arrays):
    """(name that the error must give, arrays) for faults of every kind, in variables from the first to the last."""
    names = [name for name in arrays if arrays[name].ndim]
    for name in names[:: max(1, len(names) // 3)]:
        yield name, {other: array for other, array in arrays.items() if other != name}
        yield name, {**arrays, name: arrays[name][..., None]}
        yield name, {**arrays, name: arrays[name][..., :-1]}
    for name in names:
        if arrays[name].ndim == 2 and len(set(arrays[name].shape)) == 2:
            yield name, {**arrays, name: arrays[name].T}  # as many numbers, another layer
            break
    yield "16x16/Conv7/weight", {**arrays, "16x16/Conv7/weight": np.zeros((3, 3, 8, 8), np.float32)}


@pytest.mark.vectors("weights")
def test_misfits_are_refused(vector):
    for network, arrays in networks_of(vector):
        load_variables(network, arrays)
        before = export_variables(network)
        zeros = {name: np.zeros_like(array) for name, array in arrays.items()}
        for name, faulty in misfits(zeros):
            with pytest.raises(ValueError, match=f"(?<![A-Za-z0-9/]){name}(?![A-Za-z0-9/])"):
                load_variables(network, faulty)
        for name, array in export_variables(network).items():
            np.testing.assert_array_equal(array, before[name], err_msg=f"{name} changed")
