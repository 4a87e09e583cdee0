"""RandomState in TensorFlow gives NumPy's numbers."""

import numpy as np
import pytest
import tensorflow as tf

from stylegan_tf.export.seeds import latents_from_seeds

SEEDS = [0, 1, 2, 1000, 2**31 - 1, 2**31, 2**32 - 1]


def with_numpy(seeds, latent_size):
    return np.stack([np.random.RandomState(seed).randn(latent_size) for seed in seeds]).astype(np.float32)


@pytest.mark.parametrize("latent_size", [1, 2, 7, 512])
def test_equal_numpy(latent_size):
    latents = latents_from_seeds(tf.constant(SEEDS, tf.int64), latent_size)
    assert latents.dtype == tf.float32
    np.testing.assert_allclose(latents, with_numpy(SEEDS, latent_size), rtol=0, atol=1e-6)


def test_any_number_of_seeds_in_a_graph():
    signature = [tf.TensorSpec([None], tf.int64)]
    function = tf.function(lambda seeds: latents_from_seeds(seeds, 33), signature).get_concrete_function()
    assert function.output_shapes.as_list() == [None, 33]
    seeds = np.arange(500) * 8_000_009
    for count in (500, 1):
        latents = function(tf.constant(seeds[:count]))
        np.testing.assert_allclose(latents, with_numpy(seeds[:count], 33), rtol=0, atol=1e-6)
    assert function(tf.zeros([0], tf.int64)).shape == (0, 33)
    kinds = {node.op for node in function.graph.as_graph_def().node}
    for definition in function.graph.as_graph_def().library.function:
        kinds |= {node.op for node in definition.node_def}
    assert not [kind for kind in kinds if "PyFunc" in kind]
