"""The style-based generator: mapping and synthesis network."""

import keras

from stylegan_tf.networks.interface import BaseGenerator, GrowingGenerator
from stylegan_tf.networks.mapping import MappingNetwork
from stylegan_tf.networks.network import takes_keywords_of
from stylegan_tf.networks.synthesis import SynthesisNetwork


class StyleBasedGenerator(BaseGenerator):
    """What generators share that are made of a mapping and a synthesis network.

    A class sets `synthesis_class` and `mapping_class`, and takes the keywords of both.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(**self.keras_arguments)
        self.latent_size, self.label_size = self.arguments["latent_size"], self.arguments["label_size"]
        # Their variables get this network's name into their paths, so that those of two generators differ.
        with keras.name_scope(self.name):
            self.synthesis = self.part(self.synthesis_class, "synthesis")
            self.mapping = self.part(self.mapping_class, "mapping", dlatent_broadcast=self.num_layers)
        if self.mapping.output_size != self.dlatent_size:
            raise ValueError(
                f"With mapping_layers=0, w is the input of {self.mapping.input_size} numbers, but dlatent_size is "
                f"{self.dlatent_size}; make them equal."
            )
        self.build((None, self.latent_size))


@keras.saving.register_keras_serializable(package="stylegan_tf")
@takes_keywords_of(SynthesisNetwork, MappingNetwork, without=("dlatent_broadcast", "pixelnorm_epsilon"))
class Generator(StyleBasedGenerator, GrowingGenerator):
    """Style-based generator: z -> w -> image.

    Args:
        resolution: Side of the image, a power of two from 4 to 1024.
        num_channels: Colour channels of the image.
        label_size: Length of a label, 0 without conditioning.
        latent_size, dlatent_size: Length of z and of w.
        mapping_layers, mapping_fmaps, mapping_lrmul, mapping_nonlinearity, normalize_latents: See `MappingNetwork`.
        fmap_base, fmap_decay, fmap_max, use_styles, const_input_layer, use_noise, use_pixel_norm, use_instance_norm,
            nonlinearity, blur_filter, fused_scale, growth: See `SynthesisNetwork`.
        use_wscale: Whether to equalize the learning rate.

    Call arguments:
        z: float [N, latent_size], standard normal.
        labels: float [N, label_size], one-hot, or None.
        truncation_psi, truncation_cutoff: See `truncate`. None for either: no truncation.
        noise, resolution, fade: See `SynthesisNetwork`.

    Returns:
        Images, float [N, resolution, resolution, num_channels], nominally in [-1, 1].

    Example:

    ```python
    generator = Generator(resolution=64)
    images = generator(keras.random.normal((4, 512)), truncation_psi=0.7)
    ```

    Reference:
        Karras et al., 2018, Figure 1b.
    """

    meaning = ("use_wscale", "mapping_lrmul", "fused_scale")
    synthesis_class, mapping_class = SynthesisNetwork, MappingNetwork
