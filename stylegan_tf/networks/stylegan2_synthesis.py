"""StyleGAN2's synthesis networks: w, noise -> image; the final ones, and the one that is still grown."""

import math

import keras
from keras import ops

from stylegan_tf.layers import FilteredConv2D, LearnedConstant, ModulatedConv2D, NoiseInput, enlarge_filtered, upsample
from stylegan_tf.layers.activations import clamped, scaled_activation
from stylegan_tf.layers.full_precision import PixelPrecision
from stylegan_tf.layers.modulated import checked_taps
from stylegan_tf.networks.growing import GrowingSynthesis, faded, is_fading
from stylegan_tf.networks.interface import BaseSynthesis
from stylegan_tf.networks.network import dtype_by_resolution, feature_maps_by_stage, log2_resolution

ARCHITECTURES = ("orig", "skip", "resnet")


@keras.saving.register_keras_serializable(package="stylegan_tf")
class ModulatedLayer(PixelPrecision, keras.layers.Layer):
    """One layer of Figure 2d: modulated convolution -> noise -> bias -> nonlinearity.

    Args:
        filters: Number of output feature maps.
        resample: None or "up".
        resample_kernel: See `FilteredConv2D`.
        nonlinearity: One of `SCALED_ACTIVATIONS`.
        gain: Factor on the output, beside that of the nonlinearity.
        clamp: Largest magnitude of the output before `gain`, None for any.

    Call arguments:
        x: Features, [N, H, W, C].
        w: Intermediate latents of this layer, [N, dlatent_size].
        noise: Standard normal image, [N or 1, H, W, 1], of the output's side.

    Returns:
        [N, H, W, filters], H and W doubled for "up".

    Reference:
        Karras et al., 2019 (StyleGAN2), section 2.2.
    """

    def __init__(
        self,
        filters,
        resample=None,
        resample_kernel=(1, 3, 3, 1),
        nonlinearity="lrelu",
        gain=1.0,
        clamp=None,
        **kwargs,
    ):
        # Its parts cast what they take: w stays float32.
        super().__init__(autocast=False, **kwargs)
        self.options = dict(
            filters=filters,
            resample=resample,
            resample_kernel=resample_kernel,
            nonlinearity=nonlinearity,
            gain=gain,
            clamp=clamp,
        )
        self.limit = None if clamp is None else clamp * gain
        dtype = self.dtype_policy
        self.input_gain, self.activation = scaled_activation(nonlinearity, gain)
        self.conv = ModulatedConv2D(
            filters,
            kernel_size=3,
            resample=resample,
            resample_kernel=resample_kernel,
            gain=self.input_gain,
            gain_on_bias=True,
            dtype=dtype,
            name="conv",
        )
        self.noise = NoiseInput(shared=True, dtype=dtype, name="noise")

    def build(self, x_shape, w_shape, noise_shape=None):
        self.conv.build(x_shape, w_shape)
        self.noise.build(self.conv.compute_output_shape(x_shape), noise_shape)

    def call(self, x, w, noise):
        x = self.conv(x, w)
        return clamped(self.activation(self.noise(x, noise * self.input_gain)), self.limit)

    def compute_output_shape(self, x_shape, w_shape=None, noise_shape=None):
        return self.conv.compute_output_shape(x_shape)

    def get_config(self):
        return {**super().get_config(), **self.options}


@keras.saving.register_keras_serializable(package="stylegan_tf")
class StyleGAN2Synthesis(BaseSynthesis):
    """Turns intermediate latents and noise into images, all resolutions at once.

    Layers are counted as styles are: one at 4x4, two at every higher resolution, one of the last toRGB. A toRGB shares
    its style with the next resolution's first layer.

    Args:
        dlatent_size: Length of w.
        num_channels: Colour channels of the image.
        resolution: Side of the image, a power of two from 4 to 1024.
        fmap_base, fmap_decay, fmap_max: Feature maps at 2^r: min(fmap_base / 2^((r - 1) fmap_decay), fmap_max).
        architecture: "skip": the image is the sum of every resolution's toRGB; "resnet": residual blocks; "orig":
            neither.
        nonlinearity: "lrelu", or another of `SCALED_ACTIVATIONS`.
        resample_kernel: Taps of the low-pass filter that goes with changes of resolution; None for (1, 1), the box.
        conv_clamp: Largest magnitude of what a convolution's nonlinearity and a toRGB return; None for any. The
            reference takes 256 where it computes in half precision.
        fmaps: Feature maps of every stage, in place of what `fmap_base`, `fmap_decay` and `fmap_max` say: one number
            that only a discriminator uses, for its dense layer, then those at 4x4, 8x8 and so on.
        num_half_res: Of how many of the highest resolutions the convolutions follow a mixed dtype policy; None for all.
            The reference takes 4, with a `conv_clamp` of 256.

    Call arguments:
        w: float [N, num_layers, dlatent_size].
        noise: None for the stored noise images, or a list of standard normal tensors, [N or 1, R, R, 1] each, in the
            order and shape of `noise_shapes`.

    Returns:
        float [N, resolution, resolution, num_channels], nominally in [-1, 1].

    Reference:
        Karras et al., 2019 (StyleGAN2), sections 2 and 4, Figures 2 and 7.
    """

    def __init__(
        self,
        dlatent_size=512,
        num_channels=3,
        resolution=1024,
        fmap_base=16384,
        fmap_decay=1.0,
        fmap_max=512,
        architecture="skip",
        nonlinearity="lrelu",
        resample_kernel=(1, 3, 3, 1),
        conv_clamp=None,
        fmaps=None,
        num_half_res=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.dlatent_size = dlatent_size
        self.num_channels = num_channels
        self.resolution = resolution
        self.architecture = checked_architecture(architecture)
        self.resample_kernel = checked_taps(resample_kernel)
        self.resolutions = [2**r for r in range(2, log2_resolution(resolution) + 1)]
        self.num_layers = 2 * len(self.resolutions)

        half = math.sqrt(0.5)
        dtype_at = dtype_by_resolution(self.dtype_policy, resolution, num_half_res)
        self.layers_by_resolution, self.to_rgb, self.skip = [], [], []
        _, *maps = feature_maps_by_stage(resolution, fmap_base, fmap_decay, fmap_max, fmaps)
        for res, filters in zip(self.resolutions, maps, strict=True):
            dtype = dtype_at(res)
            filtered = dict(resample_kernel=resample_kernel, dtype=dtype)
            layer = dict(filters=filters, nonlinearity=nonlinearity, clamp=conv_clamp, **filtered)
            if res == 4:
                initializer = keras.initializers.RandomNormal(stddev=1.0)
                self.constant = LearnedConstant(filters, initializer, dtype=dtype, name="4x4_constant")
                self.layers_by_resolution.append([ModulatedLayer(**layer, name="4x4_first")])
            else:
                # The sum of the two ways through a residual block keeps the variance of one.
                gain = half if architecture == "resnet" else 1.0
                first = ModulatedLayer(resample="up", **layer, name=f"{res}x{res}_first")
                second = ModulatedLayer(gain=gain, **layer, name=f"{res}x{res}_second")
                self.layers_by_resolution.append([first, second])
                if architecture == "resnet":
                    skip = dict(gain=half, use_bias=False, name=f"{res}x{res}_skip")
                    self.skip.append(FilteredConv2D(filters, 1, resample="up", **skip, **filtered))
            if architecture == "skip" or res == resolution:
                # Of the convolutions, this one is in full precision: bfloat16 near 1 has steps of half a grey level.
                rgb = dict(gain=1.0, demodulate=False, clamp=conv_clamp, dtype=self.variable_dtype)
                self.to_rgb.append(ModulatedConv2D(num_channels, 1, **rgb, name=f"{res}x{res}_to_rgb"))
        self.build((None, self.num_layers, dlatent_size))

    def layers_at(self, resolution):
        """Number of layers, the first ones, that the image has taken styles from up to this side."""
        return 2 * self.resolutions.index(resolution) + 2

    @property
    def styles(self):
        layers = [layer.conv for layers in self.layers_by_resolution for layer in layers]
        styles = [[conv.style] for conv in layers] + [[]]
        missing = len(self.resolutions) - len(self.to_rgb)
        for block, to_rgb in enumerate(self.to_rgb, start=missing):
            styles[2 * block + 1].append(to_rgb.style)
        return styles

    @property
    def noise_shapes(self):
        """Shapes of the noise images, [1, R, R, 1], one for 4x4 and two for each higher resolution."""
        return [(1, res, res, 1) for res in self.resolutions for _ in range(1 if res == 4 else 2)]

    def build(self, w_shape):
        style_shape = (None, self.dlatent_size)
        self.constant.build(style_shape)
        shape = self.constant.compute_output_shape(style_shape)
        missing = len(self.resolutions) - len(self.to_rgb)
        for block, layers in enumerate(self.layers_by_resolution):
            if self.skip and block:
                self.skip[block - 1].build(shape)
            for layer in layers:
                layer.build(shape, style_shape)
                shape = layer.compute_output_shape(shape)
            if block >= missing:
                self.to_rgb[block - missing].build(shape, style_shape)
        self.noise_images = [
            self.add_weight(
                name=f"noise{i}", shape=shape, initializer=keras.initializers.RandomNormal(stddev=1.0), trainable=False
            )
            for i, shape in enumerate(self.noise_shapes)
        ]

    def features(self, w, noise, count):
        """Yields the features after each of the first blocks, with the style of their toRGB."""
        x, w = self.constant(w), ops.unstack(w, self.num_layers, axis=1)
        for block, layers in enumerate(self.layers_by_resolution[:count]):
            before = x
            for i, layer in enumerate(layers, start=max(2 * block - 1, 0)):
                x = layer(x, w[i], noise[i])
            if self.skip and block:
                x = x + ops.cast(self.skip[block - 1](before), x.dtype)
            yield x, w[2 * block + 1]

    def outputs(self, w, noise, count=None):
        """The output of each toRGB, a list, or of the first `count` of as many as there are resolutions."""
        count = count or len(self.resolutions)
        features = list(self.features(w, self.noise_images if noise is None else noise, count))
        to_rgb = self.to_rgb[:count]
        pairs = zip(to_rgb, features[-len(to_rgb) :], strict=True)
        return [to_rgb(x, style) for to_rgb, (x, style) in pairs]

    @property
    def sums_resolutions(self):
        return self.architecture == "skip"

    def added_images(self, w, noise=None):
        return dict(zip(self.resolutions, self.outputs(w, noise), strict=True))

    @property
    def preview_sides(self):
        return self.resolutions[:-1] if self.sums_resolutions else []

    def preview(self, w, side):
        return self.summed(self.outputs(w, None, self.resolutions.index(side) + 1))

    def summed(self, outputs):
        """The image that outputs of toRGBs add up to, each enlarged to the side of the next."""
        image, *others = outputs
        for added in others:
            image = enlarge_filtered(image, self.resample_kernel) + added
        return image

    def call(self, w, noise=None):
        return self.summed(self.outputs(w, noise))


@keras.saving.register_keras_serializable(package="stylegan_tf")
class StyleGAN2GrowingSynthesis(GrowingSynthesis, StyleGAN2Synthesis):
    """StyleGAN2's layers in a network that is grown: the paper's configurations B to D.

    Args:
        dlatent_size, num_channels, resolution, fmap_base, fmap_decay, fmap_max, nonlinearity, resample_kernel: See
            `StyleGAN2Synthesis`.
        growth: See `SynthesisNetwork`.

    Call arguments, returns:
        See `GrowingSynthesis`.

    Reference:
        Karras et al., 2019 (StyleGAN2), section 2.2; growth as in Karras et al., 2017, Figure 2.
    """

    def __init__(
        self,
        dlatent_size=512,
        num_channels=3,
        resolution=1024,
        fmap_base=16384,
        fmap_decay=1.0,
        fmap_max=512,
        nonlinearity="lrelu",
        resample_kernel=(1, 3, 3, 1),
        growth=None,
        **kwargs,
    ):
        arguments = {name: value for name, value in self.arguments.items() if name != "growth"}
        super().__init__(**arguments, architecture="skip", **kwargs)
        self.growth = growth

    # The image is that of one toRGB, or a mixture of two.
    sums_resolutions = False

    def image_at(self, resolution, w, noise, fade):
        last = self.resolutions.index(resolution)
        *below, newest = self.features(w, noise, last + 1)
        image = self.to_rgb[last](*newest)
        if not below or not is_fading(fade):
            return image
        coarse = upsample(self.to_rgb[last - 1](*below[-1]))
        return faded(coarse, image, fade)


def checked_architecture(architecture):
    """One of `ARCHITECTURES`; ValueError for anything else."""
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture must be one of {', '.join(ARCHITECTURES)}; received {architecture!r}.")
    return architecture
