"""Progressive GAN's networks, the paper's configuration A: StyleGAN's without blur, mapping, styles and noise."""

import keras
from keras import ops

from stylegan_tf.layers import PixelNorm, downsample
from stylegan_tf.networks.discriminator import Discriminator
from stylegan_tf.networks.interface import GrowingGenerator
from stylegan_tf.networks.network import checked_labels, feature_maps, is_fused
from stylegan_tf.networks.synthesis import SynthesisNetwork


@keras.saving.register_keras_serializable(package="stylegan_tf")
class ProGANGenerator(GrowingGenerator):
    """Progressive GAN's generator: z, normalised, is the input of the first layer and of no other.

    It is used as `Generator` is: w, [N, 1, latent_size + label_size], is the normalised input of the first layer, and
    `synthesis` has no noise. `w_average` is the running average of that input, which the trainer updates: in time it is
    near 0 in the part of z, and proportional to the labels' frequencies in theirs.

    Args:
        resolution: Side of the image, a power of two from 4 to 1024.
        num_channels: Colour channels of the image.
        label_size: Length of a label, 0 without conditioning.
        latent_size: Length of z, None for as many as there are feature maps at stage 0.
        fmap_base, fmap_decay, fmap_max: Feature maps at 2^r: min(fmap_base / 2^((r - 1) fmap_decay), fmap_max).
        normalize_latents: Whether to scale the input, z and the label together, to unit root mean square.
        use_wscale: Whether to equalize the learning rate.
        use_pixelnorm: Whether to normalise every pixel after every layer.
        pixelnorm_epsilon: Added to the mean squares that these normalisations divide by.
        use_leakyrelu: Leaky ReLU rather than ReLU.
        fused_scale: Which up-convolutions have the orientation of the reference's fused ones: True, False, or "auto"
            for those with outputs of 128 and more.
        growth: See `SynthesisNetwork`.

    Call arguments:
        z: float [N, latent_size], standard normal.
        labels: float [N, label_size], one-hot, or None.
        truncation_psi, truncation_cutoff: See `truncate`. Progressive GAN does not truncate.
        noise: Not used.
        resolution, fade: See `SynthesisNetwork`.

    Returns:
        Images, float [N, resolution, resolution, num_channels], nominally in [-1, 1].

    Reference:
        Karras et al., 2017, Table 2 and section 4.2; Karras et al., 2018, Table 1, configuration A.
    """

    meaning = ("use_wscale", "fused_scale")

    def __init__(
        self,
        resolution=1024,
        num_channels=3,
        label_size=0,
        latent_size=None,
        fmap_base=8192,
        fmap_decay=1.0,
        fmap_max=512,
        normalize_latents=True,
        use_wscale=True,
        use_pixelnorm=True,
        pixelnorm_epsilon=1e-8,
        use_leakyrelu=True,
        fused_scale=True,
        growth=None,
        **kwargs,
    ):
        latent_size = latent_size or feature_maps(0, fmap_base, fmap_decay, fmap_max)
        super().__init__(**kwargs)
        self.arguments["latent_size"] = latent_size
        self.label_size = label_size
        self.latent_size = latent_size
        epsilon = self.arguments["pixelnorm_epsilon"]
        self.normalize = PixelNorm(epsilon, dtype=self.dtype_policy, name="normalize") if normalize_latents else None
        # Its variables get this network's name into their paths, so that those of two generators differ.
        with keras.name_scope(self.name):
            self.synthesis = self.part(
                SynthesisNetwork,
                "synthesis",
                dlatent_size=latent_size + label_size,
                use_styles=False,
                const_input_layer=False,
                use_noise=False,
                nonlinearity="lrelu" if use_leakyrelu else "relu",
                use_pixel_norm=use_pixelnorm,
                use_instance_norm=False,
                blur_filter=None,
            )
        self.build((None, latent_size))

    def mapping(self, z, labels=None):
        """The input of the first layer, [N, 1, latent_size + label_size]: z and the label, normalised together."""
        labels = checked_labels(labels, self.label_size, type(self).__name__)
        inputs = [z] if labels is None else [z, labels]
        w = ops.concatenate([ops.cast(x, self.compute_dtype) for x in inputs], axis=-1)
        if self.normalize:
            w = self.normalize(w)
        return w[:, None, :]

    def call(self, z, labels=None, truncation_psi=None, truncation_cutoff=None, noise=None, resolution=None, fade=None):
        return super().call(z, labels, truncation_psi, truncation_cutoff, noise, resolution, fade)


@keras.saving.register_keras_serializable(package="stylegan_tf")
class ProGANDiscriminator(Discriminator):
    """Progressive GAN's discriminator: `Discriminator` without blur, with one output that labels have no part in.

    Args:
        label_size: Length of a label, which the original takes and does not look at.
        resolution, num_channels, fmap_base, fmap_decay, fmap_max, use_wscale, mbstd_group_size: See
            `Discriminator`.
        fused_scale: Which blocks halve the resolution in their second convolution, before its nonlinearity, rather than
            after it: True, False, or "auto" for those with inputs of 128 and more.

    Reference:
        Karras et al., 2017, Table 2; Karras et al., 2018, Table 1, configuration A.
    """

    def __init__(
        self,
        resolution=1024,
        num_channels=3,
        label_size=0,
        fmap_base=8192,
        fmap_decay=1.0,
        fmap_max=512,
        use_wscale=True,
        mbstd_group_size=4,
        fused_scale=True,
        **kwargs,
    ):
        super().__init__(**self.arguments, blur_filter=None, **kwargs)
        for res, (_, second) in zip(self.resolutions, self.blocks, strict=False):
            if not is_fused(fused_scale, res):
                second.resample = None

    @property
    def num_outputs(self):
        return 1

    def halve(self, x, first, second):
        x = super().halve(x, first, second)
        return x if second.resample else downsample(x)

    def score(self, outputs, labels):
        return outputs
