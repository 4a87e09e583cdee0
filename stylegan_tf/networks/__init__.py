"""The families of networks: plain Keras 3 models, the same on TensorFlow, JAX and PyTorch. Nothing here trains them."""

from stylegan_tf.networks.discriminator import Discriminator
from stylegan_tf.networks.generator import Generator
from stylegan_tf.networks.mapping import MappingNetwork
from stylegan_tf.networks.progan import ProGANDiscriminator, ProGANGenerator
from stylegan_tf.networks.stylegan2 import StyleGAN2Generator, StyleGAN2GrowingGenerator
from stylegan_tf.networks.stylegan2_ada import StyleGAN2ADADiscriminator, StyleGAN2ADAGenerator
from stylegan_tf.networks.stylegan2_discriminator import StyleGAN2Discriminator, StyleGAN2GrowingDiscriminator
from stylegan_tf.networks.synthesis import SynthesisNetwork

__all__ = [
    "Discriminator",
    "Generator",
    "MappingNetwork",
    "ProGANDiscriminator",
    "ProGANGenerator",
    "StyleGAN2ADADiscriminator",
    "StyleGAN2ADAGenerator",
    "StyleGAN2Discriminator",
    "StyleGAN2Generator",
    "StyleGAN2GrowingDiscriminator",
    "StyleGAN2GrowingGenerator",
    "SynthesisNetwork",
]
