"""The networks have the original's variables, as many trainable numbers, and its initial distributions."""

import numpy as np
import pytest
from reference_networks import build

from stylegan_tf.files.official import export_variables


@pytest.mark.vectors("variables")
def test_variables(vector, run):
    network = build(run["network"], run["static_kwargs"])
    assert sum(np.prod(variable.shape) for variable in network.trainable_variables) == run["num_trainable_params"]

    references = [dict(zip(vector.config["columns"], row, strict=True)) for row in run["variables"]]
    initial = export_variables(network)
    assert {name: list(array.shape) for name, array in initial.items()} == {
        reference["local_name"]: reference["shape"] for reference in references
    }
    for reference in references:
        array = initial[reference["local_name"]]
        if reference["initial_std"] == 0:  # constants, and variables that start at zero
            np.testing.assert_array_equal(array, reference["initial_mean"], err_msg=reference["local_name"])
        elif array.size > 100:
            # Two samples of n normal numbers: a sample's standard deviation is off by 1 / sqrt(2n) of itself, its mean
            # by 1 / sqrt(n) of that. Five standard deviations of the difference of two.
            std, error = reference["initial_std"], 5 * np.sqrt(2 / array.size)
            assert array.std() == pytest.approx(std, rel=error / np.sqrt(2)), reference["local_name"]
            assert abs(array.mean() - reference["initial_mean"]) < error * std, reference["local_name"]

    for variable in network.trainable_variables:
        variable.assign(np.full(variable.shape, 7.0, np.float32))
    trainable = {name for name, array in export_variables(network).items() if array.size and (array == 7).all()}
    assert trainable == {reference["local_name"] for reference in references if reference["trainable"]}
