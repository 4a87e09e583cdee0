"""StyleGAN2-ADA's networks: those of StyleGAN2, but for what becomes of labels."""

import math

import keras
from keras import ops

from stylegan_tf.layers import EqualizedDense
from stylegan_tf.networks.network import checked_labels, keywords_of, takes_keywords_of
from stylegan_tf.networks.stylegan2 import StyleGAN2Generator, StyleGAN2Mapping
from stylegan_tf.networks.stylegan2_discriminator import StyleGAN2Discriminator
from stylegan_tf.networks.stylegan2_synthesis import StyleGAN2Synthesis


@keras.saving.register_keras_serializable(package="stylegan_tf")
class StyleGAN2ADAMapping(StyleGAN2Mapping):
    """A mapping network that normalises z and the embedded label each on its own.

    Args:
        latent_size: Length of z; 0 for a network that only maps labels.
        label_size, dlatent_size, dlatent_broadcast, mapping_layers, mapping_lrmul, mapping_nonlinearity,
            normalize_latents: See `StyleGAN2Mapping`.
        mapping_fmaps: Width of all layers but the last; None for `dlatent_size`.
        label_fmaps: Length of an embedded label; None for `latent_size`.

    Call arguments:
        z: float [N, latent_size], standard normal; None if `latent_size` is 0.
        labels: float [N, label_size], or None.

    Returns:
        See `MappingNetwork`.

    Reference:
        Karras et al., 2020, "Training Generative Adversarial Networks with Limited Data".
    """

    def __init__(
        self,
        latent_size=512,
        label_size=0,
        dlatent_size=512,
        dlatent_broadcast=None,
        mapping_layers=8,
        mapping_fmaps=None,
        label_fmaps=None,
        mapping_lrmul=0.01,
        mapping_nonlinearity="lrelu",
        normalize_latents=True,
        **kwargs,
    ):
        arguments = {name: value for name, value in self.arguments.items() if name != "label_fmaps"}
        width = dlatent_size if mapping_fmaps is None else mapping_fmaps
        super(StyleGAN2Mapping, self).__init__(**{**arguments, "mapping_fmaps": width}, **kwargs)

    def label_layer(self, **options):
        units = self.arguments["label_fmaps"]
        return EqualizedDense(self.arguments["latent_size"] if units is None else units, gain=1.0, **options)

    def inputs(self, z, labels):
        parts = ([] if z is None else [z]) + ([] if labels is None else [self.embedding(labels)])
        return ops.concatenate([self.normalize(part) if self.normalize else part for part in parts], axis=-1)


@keras.saving.register_keras_serializable(package="stylegan_tf")
@takes_keywords_of(StyleGAN2Synthesis, StyleGAN2ADAMapping, without=("dlatent_broadcast",))
class StyleGAN2ADAGenerator(StyleGAN2Generator):
    """StyleGAN2's generator with another mapping network.

    Args:
        mapping_fmaps, label_fmaps: See `StyleGAN2ADAMapping`.
        resolution, num_channels, label_size, latent_size, dlatent_size, mapping_layers, mapping_lrmul,
            mapping_nonlinearity, normalize_latents, fmap_base, fmap_decay, fmap_max, architecture, nonlinearity,
            resample_kernel, conv_clamp, fmaps, num_half_res: See `StyleGAN2Generator`.

    Call arguments, returns:
        See `StyleGAN2Generator`.
    """

    mapping_class = StyleGAN2ADAMapping


@keras.saving.register_keras_serializable(package="stylegan_tf")
class StyleGAN2ADADiscriminator(StyleGAN2Discriminator):
    """StyleGAN2's discriminator, whose outputs are projected on what a mapping network makes of the label.

    Args:
        resolution, num_channels, label_size, fmap_base, fmap_decay, fmap_max, architecture, nonlinearity,
            mbstd_group_size, mbstd_num_features, resample_kernel, conv_clamp, clamp_smallest_rgb, fmaps, num_half_res:
            See `StyleGAN2Discriminator`.
        mapping_layers, mapping_lrmul, mapping_nonlinearity: Of the network that maps labels.
        mapping_fmaps: Length of a mapped label, and number of outputs; None for that of the dense layer at 4x4.
        mapping_width: Width of all of its layers but the last; None for `mapping_fmaps`.
        label_fmaps: Length of an embedded label; None for `mapping_fmaps`.

    Call arguments, returns:
        See `StyleGAN2Discriminator`.

    Reference:
        Karras et al., 2020, appendix; Miyato and Koyama, 2018, "cGANs with Projection Discriminator".
    """

    def __init__(
        self,
        resolution=1024,
        num_channels=3,
        label_size=0,
        fmap_base=16384,
        fmap_decay=1.0,
        fmap_max=512,
        architecture="resnet",
        nonlinearity="lrelu",
        mbstd_group_size=4,
        mbstd_num_features=1,
        resample_kernel=(1, 3, 3, 1),
        conv_clamp=None,
        clamp_smallest_rgb=True,
        fmaps=None,
        num_half_res=None,
        mapping_layers=0,
        mapping_fmaps=None,
        mapping_width=None,
        label_fmaps=None,
        mapping_lrmul=0.1,
        mapping_nonlinearity="lrelu",
        **kwargs,
    ):
        inherited = {name: self.arguments[name] for name in keywords_of(StyleGAN2Discriminator)}
        super().__init__(**inherited, **kwargs)

    def build(self, images_shape):
        self.mapping = self.label_mapping() if self.label_size else None
        super().build(images_shape)

    def label_mapping(self):
        """The network that maps labels, to as many numbers as there are outputs."""
        size, arguments = self.count_outputs(), self.arguments
        shared = ("label_size", "mapping_layers", "mapping_lrmul", "mapping_nonlinearity")
        mapping = StyleGAN2ADAMapping(
            latent_size=0,
            dlatent_size=size,
            mapping_fmaps=arguments["mapping_width"],
            label_fmaps=size if arguments["label_fmaps"] is None else arguments["label_fmaps"],
            **{name: arguments[name] for name in shared},
            dtype=self.dtype_policy,
            name="mapping",
        )
        if mapping.output_size != size:
            raise ValueError(
                f"With mapping_layers=0, label_fmaps must be as large as mapping_fmaps, {size}; received "
                f"{arguments['label_fmaps']}."
            )
        return mapping

    @property
    def layers_from_image(self):
        *layers, last = super().layers_from_image
        return [*layers, [*last, self.mapping] if self.mapping else last]

    def count_outputs(self):
        units = self.arguments["mapping_fmaps"]
        if not self.label_size:
            return 1
        return self.dense.units if units is None else units

    def score(self, features, labels):
        labels = checked_labels(labels, self.label_size, type(self).__name__)
        outputs = self.output_layer(features)
        if labels is None:
            return outputs
        mapped = self.mapping(None, labels)
        return ops.sum(outputs * mapped, axis=1, keepdims=True) / math.sqrt(self.output_layer.units)
