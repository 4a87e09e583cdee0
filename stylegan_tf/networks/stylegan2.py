"""StyleGAN2's generators: mapping and synthesis network. Their discriminators are in stylegan2_discriminator.py."""

import keras

from stylegan_tf.layers.activations import scaled_activation
from stylegan_tf.networks.generator import StyleBasedGenerator
from stylegan_tf.networks.interface import GrowingGenerator
from stylegan_tf.networks.mapping import MappingNetwork
from stylegan_tf.networks.network import takes_keywords_of
from stylegan_tf.networks.stylegan2_synthesis import StyleGAN2GrowingSynthesis, StyleGAN2Synthesis


@keras.saving.register_keras_serializable(package="stylegan_tf")
@takes_keywords_of(MappingNetwork, without=("use_wscale",), positional=())
class StyleGAN2Mapping(MappingNetwork):
    """StyleGAN's mapping network, but for the place of the gain: on the output of the nonlinearity.

    Args:
        latent_size, label_size, dlatent_size, dlatent_broadcast, mapping_layers, mapping_fmaps, mapping_lrmul,
            normalize_latents: See `MappingNetwork`.
        mapping_nonlinearity: "lrelu", or another of `SCALED_ACTIVATIONS`.

    Call arguments, returns:
        See `MappingNetwork`.

    Reference:
        Karras et al., 2019 (StyleGAN2), appendix B.
    """

    gain_on_bias = True

    def __init__(self, *args, **kwargs):
        super().__init__(**self.arguments, **self.keras_arguments)

    def nonlinearity(self, name):
        return scaled_activation(name)


@keras.saving.register_keras_serializable(package="stylegan_tf")
@takes_keywords_of(StyleGAN2Synthesis, StyleGAN2Mapping, without=("dlatent_broadcast",))
class StyleGAN2Generator(StyleBasedGenerator):
    """StyleGAN2's generator: z -> w -> image, without growing.

    Args:
        resolution: Side of the image, a power of two from 4 to 1024.
        num_channels: Colour channels of the image.
        label_size: Length of a label, 0 without conditioning.
        latent_size, dlatent_size: Length of z and of w.
        mapping_layers, mapping_fmaps, mapping_lrmul, mapping_nonlinearity, normalize_latents: See `StyleGAN2Mapping`.
        fmap_base, fmap_decay, fmap_max, architecture, nonlinearity, resample_kernel, conv_clamp, fmaps,
            num_half_res: See `StyleGAN2Synthesis`.

    Call arguments:
        z: float [N, latent_size], standard normal.
        labels: float [N, label_size], one-hot, or None.
        truncation_psi, truncation_cutoff: See `truncate`.
        noise: See `StyleGAN2Synthesis`.

    Returns:
        Images, float [N, resolution, resolution, num_channels], nominally in [-1, 1].

    Example:

    ```python
    generator = StyleGAN2Generator(resolution=64)
    images = generator(keras.random.normal((4, 512)), truncation_psi=0.7)
    ```

    Reference:
        Karras et al., 2019 (StyleGAN2), Figure 2.
    """

    meaning = ("mapping_lrmul",)
    synthesis_class, mapping_class = StyleGAN2Synthesis, StyleGAN2Mapping
    usual_psi, usual_cutoff = 0.5, None
    figures = "stylegan2"

    def truncate(self, w, psi=usual_psi, cutoff=usual_cutoff):
        """`BaseGenerator.truncate`, but that a `cutoff` of None means all layers; None for `psi` switches it off."""
        return super().truncate(w, psi, self.num_layers if cutoff is None else cutoff)

    def call(self, z, labels=None, truncation_psi=usual_psi, truncation_cutoff=usual_cutoff, noise=None):
        return super().call(z, labels, truncation_psi, truncation_cutoff, noise)


@keras.saving.register_keras_serializable(package="stylegan_tf")
@takes_keywords_of(StyleGAN2GrowingSynthesis, StyleGAN2Mapping, without=("dlatent_broadcast",))
class StyleGAN2GrowingGenerator(StyleGAN2Generator, GrowingGenerator):
    """StyleGAN2's layers in a generator that is grown: the paper's configurations B to D.

    Args:
        resolution, num_channels, label_size, latent_size, dlatent_size, mapping_layers, mapping_fmaps, mapping_lrmul,
            mapping_nonlinearity, normalize_latents, fmap_base, fmap_decay, fmap_max, nonlinearity, resample_kernel: See
            `StyleGAN2Generator`.
        growth: See `SynthesisNetwork`.

    Call arguments:
        z, labels, truncation_psi, truncation_cutoff: See `StyleGAN2Generator`.
        noise, resolution, fade: See `GrowingSynthesis`.

    Returns:
        Images, float [N, resolution, resolution, num_channels], nominally in [-1, 1].

    Reference:
        Karras et al., 2019 (StyleGAN2), section 2.2.
    """

    synthesis_class = StyleGAN2GrowingSynthesis

    def call(
        self,
        z,
        labels=None,
        truncation_psi=StyleGAN2Generator.usual_psi,
        truncation_cutoff=StyleGAN2Generator.usual_cutoff,
        noise=None,
        resolution=None,
        fade=None,
    ):
        return GrowingGenerator.call(self, z, labels, truncation_psi, truncation_cutoff, noise, resolution, fade)
