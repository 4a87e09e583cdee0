"""Networks that are traced for any number of images."""

import numpy as np
import tensorflow as tf
from tiny_networks import inputs_of


def assert_any_number_of_images(G, D):
    """Both, traced once for any number of images, make of some as many what they make outside of a trace."""
    labels = [tf.TensorSpec([None, G.label_size])] if G.label_size else []

    @tf.function(input_signature=[tf.TensorSpec([None, G.arguments["latent_size"]]), *labels])
    def generate(*inputs):
        return G(*inputs)

    @tf.function(input_signature=[tf.TensorSpec([None, D.resolution, D.resolution, D.num_channels]), *labels])
    def discriminate(*inputs):
        return D(*inputs)

    for count in (3, 8):  # fewer than a group of the discriminator's, and two groups
        inputs = inputs_of(G, count)
        expected = np.asarray(G(*inputs))
        np.testing.assert_allclose(generate(*inputs), expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(discriminate(expected, *inputs[1:]), D(expected, *inputs[1:]), rtol=1e-3)
    assert generate.experimental_get_tracing_count() == discriminate.experimental_get_tracing_count() == 1
