"""Losses and their gradients by the weights, with the second derivatives of the penalties, equal the original's."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from reference_losses import discriminator_loss_of
from reference_networks import build, load
from reference_vectors import assert_close, enlarge, given, growth, nchw, nhwc, shrink

from stylegan_tf.files.official import export_variables
from stylegan_tf.training.losses import discriminator_loss, generator_loss


class Pair:
    """The generator and discriminator of a vector, at the lod of the vector."""

    def __init__(self, vector):
        self.vector = vector
        networks = {prefix.split("/")[1]: (func, kwargs, prefix) for func, kwargs, prefix in vector.networks()}
        self.networks = {name: load(vector, *network) for name, network in networks.items()}
        # Our gradients take their official names and layouts by passing through a network as if they were variables.
        self.carriers = {name: build(*network[:2]) for name, network in networks.items()}
        self.full_resolution = networks["G"][1]["resolution"]
        self.resolution, self.fade = growth(self.full_resolution, vector.config["lod"])

    def generate(self, labels, output):
        """Images as in training: no truncation, stored noise. Compared with the reference's, if the file has them."""
        generator = self.networks["G"]
        w = generator.mapping(self.vector["inputs/latents"], given(labels))
        images = generator.synthesis(w, resolution=self.resolution, fade=self.fade)
        if output in self.vector:
            assert_close(nchw(enlarge(np.asarray(images), self.full_resolution)), self.vector[output], 1e-4, output)
        return images

    def discriminate(self, images, labels):
        return self.networks["D"](images, given(labels), fade=self.fade)

    def official_gradients(self, name, loss, tape):
        network, carrier = self.networks[name], self.carriers[name]
        gradients = tape.gradient(
            loss, [variable.value for variable in network.trainable_variables], unconnected_gradients="zero"
        )
        for variable, gradient in zip(carrier.trainable_variables, gradients, strict=True):
            variable.assign(gradient)
        return export_variables(carrier)


@functools.lru_cache(maxsize=1)
def pair_of(vector):
    return Pair(vector)


@pytest.mark.vectors("losses")
def test_loss_and_gradients(vector, run):
    pair = pair_of(vector)
    network, name = run["name"].split("_", 1)
    with tf.GradientTape() as tape:
        if network == "G":
            labels = vector["inputs/random_labels"]
            fakes = pair.generate(labels, "outputs/fake_images_for_G_losses")
            loss = generator_loss(name.replace("_", "-"), pair.discriminate(fakes, labels), **run["kwargs"])
        else:
            # Fakes are scored with the labels of the reals.
            labels = vector["inputs/labels"]
            name, penalties = discriminator_loss_of(run["name"], run["kwargs"])
            loss = discriminator_loss(
                name,
                lambda images: pair.discriminate(images, labels),
                tf.constant(shrink(nhwc(vector["inputs/reals"]), pair.resolution)),
                pair.generate(labels, "outputs/fake_images_for_D_losses"),
                mixing_factors=vector["inputs/mixing_factors"],
                pixel_area=(pair.resolution / pair.full_resolution) ** 2,
                **penalties,
            ).loss
        mean = tf.reduce_mean(loss)

    # [N, 1] without a penalty. With one, the reference adds penalties [N] to scores [N, 1]: ours is the diagonal.
    reference = vector[run["loss_key"]]
    reference = reference[:, 0] if reference.shape[1] == 1 else np.diagonal(reference)
    assert_close(loss, reference, 1e-4, "loss")

    references = vector.below(run["grad_prefix"])
    gradients = pair.official_gradients(run["grad_net"], mean, tape)
    assert references
    for variable, reference in references.items():
        assert_close(gradients[variable], reference, 1e-3, f"gradient of {variable}")
