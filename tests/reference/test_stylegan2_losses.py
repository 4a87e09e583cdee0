"""StyleGAN2's losses and regularizers, and their gradients by every weight, equal the original's."""

import functools

import pytest
import tensorflow as tf
from reference_losses import OURS
from reference_networks import build, load
from reference_vectors import assert_close, given, nhwc

from stylegan_tf.files.official import export_variables
from stylegan_tf.training.losses import discriminator_loss, generator_loss, path_length_penalty

# The original's loss: our name of it.
GENERATOR_LOSSES = {
    "G_logistic": "logistic-saturating",
    "G_logistic_ns": "logistic-nonsaturating",
    "G_logistic_ns_pathreg": "logistic-nonsaturating",
    "G_wgan": "wgan",
}
# The original's loss: our base loss, its penalties that the original counts as loss, and those that it counts as
# regularizer, with their defaults.
DISCRIMINATOR_LOSSES = {
    "D_logistic": ("logistic", {}, {}),
    "D_logistic_r1": ("logistic", {}, {"r1_gamma": 10.0}),
    "D_logistic_r2": ("logistic", {}, {"r2_gamma": 10.0}),
    "D_wgan": ("wgan", {"drift": 0.001}, {}),
    "D_wgan_gp": ("wgan", {"drift": 0.001}, {"gradient_penalty": 10.0, "gradient_penalty_target": 1.0}),
}


class Pair:
    """The generator and discriminator of a vector."""

    def __init__(self, vector):
        self.vector = vector
        networks = {prefix.split("/")[1]: (func, kwargs, prefix) for func, kwargs, prefix in vector.networks()}
        self.networks = {name: load(vector, *network) for name, network in networks.items()}
        # Our gradients take their official names and layouts by passing through a network as if they were variables.
        self.carriers = {name: build(*network[:2]) for name, network in networks.items()}

    def generate(self, latents, labels):
        """Images as in training: no truncation, stored noise."""
        generator = self.networks["G"]
        return generator.synthesis(generator.mapping(latents, given(labels)))

    def generator_loss(self, run):
        """(loss, None), or with the path length's penalty as the second; that of its running mean is compared here."""
        vector, labels = self.vector, self.vector["inputs/random_labels"]
        fakes = self.generate(vector["inputs/latents"], labels)
        loss = generator_loss(GENERATOR_LOSSES[run["name"]], self.networks["D"](fakes, given(labels)))
        if not run["name"].endswith("pathreg"):
            return loss, None
        arguments, directions = run["kwargs"], nhwc(vector["inputs/pl_noise"])
        # Only a smaller minibatch has latents of its own; else the images of the main loss are used again.
        z = vector["inputs/pl_latents" if arguments["pl_minibatch_shrink"] > 1 else "inputs/latents"]
        assert len(z) == len(directions) == len(vector["inputs/latents"]) // arguments["pl_minibatch_shrink"]
        generator = self.networks["G"]
        penalty, mean = path_length_penalty(
            generator.synthesis,
            generator.mapping(z, given(labels[: len(z)])),
            tf.constant(directions),
            vector["inputs/pl_mean"],
            decay=arguments["pl_decay"],
        )
        assert_close(mean, vector[f"{run['prefix']}pl_mean_after"], 1e-4, "running mean")
        return loss, penalty * arguments["pl_weight"]

    def discriminator_loss(self, run):
        """(loss, its regularizer or None)."""
        vector, labels = self.vector, self.vector["inputs/labels"]  # those of the reals, for the fakes too
        base, own, regularizer = DISCRIMINATOR_LOSSES[run["name"]]
        ours = OURS | {"gamma": f"{run['name'][-2:]}_gamma"}
        given_weights = {ours[name]: value for name, value in run["kwargs"].items()}
        own, regularizer = (part | {k: v for k, v in given_weights.items() if k in part} for part in (own, regularizer))
        images = {
            "discriminator": lambda images: self.networks["D"](images, given(labels)),
            "reals": tf.constant(nhwc(vector["inputs/reals"])),
            "fakes": self.generate(vector["inputs/latents"], labels),
            "mixing_factors": vector["inputs/mixing_factors"],
        }
        loss = discriminator_loss(base, **images, **own).loss
        return loss, discriminator_loss(base, **images, **regularizer).penalty if regularizer else None

    def official_gradients(self, name, loss, tape):
        network, carrier = self.networks[name], self.carriers[name]
        variables = [variable.value for variable in network.trainable_variables]
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        for variable, gradient in zip(carrier.trainable_variables, gradients, strict=True):
            variable.assign(gradient)
        return export_variables(carrier)


@functools.lru_cache(maxsize=1)
def pair_of(vector):
    return Pair(vector)


@pytest.mark.vectors("stylegan2-losses")
def test_losses_and_gradients(vector, run):
    pair, network, prefix = pair_of(vector), run["grad_net"], run["prefix"]
    with tf.GradientTape(persistent=True) as tape:
        loss, penalty = (pair.generator_loss if network == "G" else pair.discriminator_loss)(run)
        means = {"loss": tf.reduce_mean(loss)}
        if penalty is not None:
            means["reg"] = tf.reduce_mean(penalty)
    assert (f"{prefix}reg" in vector) == (penalty is not None)
    for what, values in {"loss": loss, "reg": penalty}.items():
        if values is None:
            continue
        assert_close(values, vector[f"{prefix}{what}"].reshape(-1), 1e-4, what)
        gradients = pair.official_gradients(network, means[what], tape)
        references = vector.below(f"{prefix}{what}_grad/")
        assert references
        for name, reference in references.items():
            assert_close(gradients[name], reference, 1e-3, f"gradient of {what} by {name}")
