"""The generator: mapping, truncation or mixing of styles, synthesis."""

import keras
from keras import ops

from stylegan_tf.networks.mapping import MappingNetwork
from stylegan_tf.networks.network import Network
from stylegan_tf.networks.synthesis import SynthesisNetwork


class BaseGenerator(Network):
    """What every generator does with w: averages, truncates, mixes and synthesises it.

    A subclass has `mapping(z, labels)` -> w, [N, num_layers, dlatent_size], constructs `synthesis`, and builds itself.
    """

    def build(self, z_shape):
        # Running average of w over training, the centre of the truncation trick; the trainer updates it.
        self.w_average = self.add_weight(
            name="w_average", shape=(self.synthesis.dlatent_size,), initializer="zeros", trainable=False
        )

    def truncate(self, w, psi=0.7, cutoff=8):
        """Pulls w towards its average: w_average + psi (w - w_average), in the layers before `cutoff`.

        Args:
            w: [N, num_layers, dlatent_size].
            psi: A number (1: no change, 0: the average image, negative: its opposite) or one number a layer.
            cutoff: Number of layers to truncate. None for `psi` or `cutoff` switches truncation off.

        Returns:
            [N, num_layers, dlatent_size].

        Reference:
            Karras et al., 2018, appendix B.
        """
        if psi is None or cutoff is None:
            return w
        psi = ops.convert_to_tensor(psi, w.dtype)
        if len(psi.shape) > 1 or (len(psi.shape) == 1 and psi.shape[0] != self.num_layers):
            raise ValueError(
                f"psi must be one number or {self.num_layers}, one a layer; received shape {tuple(psi.shape)}."
            )
        psi = ops.where(ops.arange(self.num_layers) < cutoff, psi, ops.ones_like(psi))[None, :, None]
        average = ops.cast(self.w_average, w.dtype)
        return average + psi * (w - average)

    def mix(self, w, w2, cutoff):
        """Style mixing: the layers from `cutoff` on take their style from `w2`; both [N, num_layers, dlatent_size].

        Reference:
            Karras et al., 2018, section 3.1.
        """
        return ops.where((ops.arange(self.num_layers) < cutoff)[None, :, None], w, w2)

    def call(
        self,
        z,
        labels=None,
        truncation_psi=0.7,
        truncation_cutoff=8,
        noise=None,
        resolution=None,
        fade=1.0,
    ):
        w = self.truncate(self.mapping(z, labels), truncation_psi, truncation_cutoff)
        return self.synthesis(w, noise=noise, resolution=resolution, fade=fade)


@keras.saving.register_keras_serializable(package="stylegan_tf")
class Generator(BaseGenerator):
    """Style-based generator: z -> w -> image.

    Args:
        resolution: Side of the image, a power of two from 4 to 1024.
        num_channels: Colour channels of the image.
        label_size: Length of a label, 0 without conditioning.
        latent_size, dlatent_size: Length of z and of w.
        mapping_layers, mapping_fmaps, mapping_lrmul, mapping_nonlinearity, normalize_latents: See `MappingNetwork`.
        fmap_base, fmap_decay, fmap_max, use_styles, const_input_layer, use_noise, use_pixel_norm, use_instance_norm,
            nonlinearity, blur_filter, fused_scale: See `SynthesisNetwork`.
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

    def __init__(
        self,
        resolution=1024,
        num_channels=3,
        label_size=0,
        latent_size=512,
        dlatent_size=512,
        mapping_layers=8,
        mapping_fmaps=512,
        mapping_lrmul=0.01,
        mapping_nonlinearity="lrelu",
        fmap_base=8192,
        fmap_decay=1.0,
        fmap_max=512,
        use_styles=True,
        const_input_layer=True,
        use_noise=True,
        use_pixel_norm=False,
        use_instance_norm=True,
        nonlinearity="lrelu",
        blur_filter=(1, 2, 1),
        fused_scale="auto",
        normalize_latents=True,
        use_wscale=True,
        **kwargs,
    ):
        mapping = dict(
            latent_size=latent_size,
            label_size=label_size,
            dlatent_size=dlatent_size,
            mapping_layers=mapping_layers,
            mapping_fmaps=mapping_fmaps,
            mapping_lrmul=mapping_lrmul,
            mapping_nonlinearity=mapping_nonlinearity,
            normalize_latents=normalize_latents,
            use_wscale=use_wscale,
        )
        synthesis = dict(
            dlatent_size=dlatent_size,
            num_channels=num_channels,
            resolution=resolution,
            fmap_base=fmap_base,
            fmap_decay=fmap_decay,
            fmap_max=fmap_max,
            use_styles=use_styles,
            const_input_layer=const_input_layer,
            use_noise=use_noise,
            use_pixel_norm=use_pixel_norm,
            use_instance_norm=use_instance_norm,
            nonlinearity=nonlinearity,
            blur_filter=tuple(blur_filter or ()),
            fused_scale=fused_scale,
            use_wscale=use_wscale,
        )
        super().__init__({**mapping, **synthesis}, **kwargs)
        self.resolution = resolution
        self.label_size = label_size
        self.latent_size = latent_size
        # Their variables get this network's name into their paths, so that those of two generators differ.
        with keras.name_scope(self.name):
            self.synthesis = SynthesisNetwork(**synthesis, name="synthesis", dtype=self.dtype_policy)
            self.num_layers = self.synthesis.num_layers
            self.mapping = MappingNetwork(
                **mapping, dlatent_broadcast=self.num_layers, name="mapping", dtype=self.dtype_policy
            )
        if self.mapping.output_size != dlatent_size:
            raise ValueError(
                f"With mapping_layers=0, w is the input of {self.mapping.input_size} numbers, but dlatent_size is "
                f"{dlatent_size}; make them equal."
            )
        self.build((None, latent_size))
