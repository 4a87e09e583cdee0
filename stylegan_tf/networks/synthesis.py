"""The synthesis network g: w, noise -> image."""

import math

import keras
from keras import ops

from stylegan_tf.layers import (
    AdaIN,
    Bias,
    Blur,
    EqualizedConv2D,
    EqualizedDense,
    InstanceNorm,
    LearnedConstant,
    NoiseInput,
    PixelNorm,
    upsample,
)
from stylegan_tf.layers.activations import activation
from stylegan_tf.layers.full_precision import FullPrecision
from stylegan_tf.networks.growing import GrowingSynthesis, faded, is_fading
from stylegan_tf.networks.network import feature_maps, is_fused, log2_resolution


@keras.saving.register_keras_serializable(package="stylegan_tf")
class SynthesisLayer(FullPrecision, keras.layers.Layer):
    """One layer of Figure 1b: source -> [blur] -> noise -> bias -> nonlinearity -> normalisation -> style.

    Args:
        source: The layer that makes the features: a convolution, the learned constant or the traditional dense layer.
        blur: `Blur` after an upsampling convolution, or None.
        use_noise, nonlinearity, use_pixel_norm, use_instance_norm, use_styles, use_wscale, pixelnorm_epsilon: As in
            `SynthesisNetwork`.

    Call arguments:
        x: Input of `source`.
        w: Intermediate latents of this layer, [N, dlatent_size].
        noise: [N or 1, H, W, 1], or None without noise.
    """

    def __init__(
        self,
        source,
        blur,
        use_noise,
        nonlinearity,
        use_pixel_norm,
        use_instance_norm,
        use_styles,
        use_wscale,
        pixelnorm_epsilon,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.options = dict(
            use_noise=use_noise,
            nonlinearity=nonlinearity,
            use_pixel_norm=use_pixel_norm,
            use_instance_norm=use_instance_norm,
            use_styles=use_styles,
            use_wscale=use_wscale,
            pixelnorm_epsilon=pixelnorm_epsilon,
        )
        dtype = self.dtype_policy
        self.source = source
        self.blur = blur
        self.noise = NoiseInput(dtype=dtype, name="noise") if use_noise else None
        self.bias = Bias(dtype=dtype, name="bias")
        self.activation = activation(nonlinearity)
        self.pixel_norm = PixelNorm(pixelnorm_epsilon, dtype=dtype, name="pixel_norm") if use_pixel_norm else None
        self.instance_norm = self.style = None
        if use_styles:
            self.style = AdaIN(normalize=use_instance_norm, use_wscale=use_wscale, dtype=dtype, name="style")
        elif use_instance_norm:
            self.instance_norm = InstanceNorm(dtype=dtype, name="instance_norm")

    def build(self, x_shape, w_shape, noise_shape=None):
        if not self.source.built:  # which it is where this layer was restored
            self.source.build(x_shape)
        shape = self.source.compute_output_shape(x_shape)
        if self.noise:
            self.noise.build(shape, noise_shape)
        self.bias.build(shape)
        if self.style:
            self.style.build(shape, w_shape)

    def call(self, x, w, noise=None):
        x = self.source(x)
        if self.blur:
            x = self.blur(x)
        if self.noise:
            x = self.noise(x, noise)
        x = self.activation(self.bias(x))
        if self.pixel_norm:
            x = self.pixel_norm(x)
        if self.instance_norm:
            x = self.instance_norm(x)
        return self.style(x, w) if self.style else x

    def compute_output_shape(self, x_shape, w_shape=None, noise_shape=None):
        return self.source.compute_output_shape(x_shape)

    def get_config(self):
        parts = {
            name: keras.saving.serialize_keras_object(part)
            for name, part in (("source", self.source), ("blur", self.blur))
        }
        return {**super().get_config(), **parts, **self.options}

    @classmethod
    def from_config(cls, config):
        parts = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("source", "blur")}
        return cls(**{**config, **parts})


@keras.saving.register_keras_serializable(package="stylegan_tf")
class TraditionalInput(FullPrecision, keras.layers.Layer):
    """The dense first layer of configurations A to C: one vector -> 4 x 4 feature maps.

    Args:
        filters: Number of feature maps.
        use_wscale: Whether to equalize the learning rate.

    Call arguments:
        w: Input of the generator, [N, dlatent_size].

    Returns:
        [N, 4, 4, filters].

    Reference:
        Karras et al., 2017, Table 2.
    """

    def __init__(self, filters, use_wscale=True, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.use_wscale = use_wscale
        # The gain is Progressive GAN's: sqrt(2) / 4.
        self.dense = EqualizedDense(
            16 * filters,
            gain=math.sqrt(2) / 4,
            use_wscale=use_wscale,
            use_bias=False,
            dtype=self.dtype_policy,
            name="dense",
        )

    def build(self, w_shape):
        self.dense.build(w_shape)

    def call(self, w):
        return ops.reshape(self.dense(w), (-1, 4, 4, self.filters))

    def compute_output_shape(self, w_shape):
        return (w_shape[0], 4, 4, self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "use_wscale": self.use_wscale}


@keras.saving.register_keras_serializable(package="stylegan_tf")
class SynthesisNetwork(GrowingSynthesis):
    """Turns intermediate latents and noise into images, at the full or any lower resolution.

    Args:
        dlatent_size: Length of w.
        num_channels: Colour channels of the image.
        resolution: Side of the image, a power of two from 4 to 1024.
        fmap_base, fmap_decay, fmap_max: Feature maps at 2^r: min(fmap_base / 2^((r - 1) fmap_decay), fmap_max).
        use_styles: Whether every layer is styled by w. Without, there is a single w, [N, 1, dlatent_size].
        const_input_layer: Whether the first layer is a learned constant rather than a dense layer fed with w.
        use_noise: Whether every layer adds noise.
        nonlinearity: "lrelu" or "relu".
        use_wscale: Whether to equalize the learning rate.
        use_pixel_norm, use_instance_norm: Normalisation after every layer.
        pixelnorm_epsilon: Added to the mean square that pixel norm divides by.
        fused_scale: Which up-convolutions have the orientation of the reference's fused ones: True, False, or "auto"
            for those with outputs of 128 and more.
        blur_filter: Filter after up-convolutions; None or () for no blur.
        growth: (resolution, fade) of the newest block, for a network that has not finished growing; None for one that
            has. It can be set later.

    Call arguments, returns:
        See `GrowingSynthesis`.

    Reference:
        Karras et al., 2018, section 2, Figure 1b; growth as in Karras et al., 2017, Figure 2.
    """

    def __init__(
        self,
        dlatent_size=512,
        num_channels=3,
        resolution=1024,
        fmap_base=8192,
        fmap_decay=1.0,
        fmap_max=512,
        use_styles=True,
        const_input_layer=True,
        use_noise=True,
        nonlinearity="lrelu",
        use_wscale=True,
        use_pixel_norm=False,
        use_instance_norm=True,
        fused_scale="auto",
        blur_filter=(1, 2, 1),
        pixelnorm_epsilon=1e-8,
        growth=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.dlatent_size = dlatent_size
        self.num_channels = num_channels
        self.resolution = resolution
        self.use_styles = use_styles
        self.use_noise = use_noise
        self.const_input_layer = const_input_layer
        self.resolutions = [2**r for r in range(2, log2_resolution(resolution) + 1)]
        self.num_layers = 2 * len(self.resolutions) if use_styles else 1
        self.growth = growth

        dtype = self.dtype_policy

        def layer(source, blur, name, dtype=dtype):
            return SynthesisLayer(
                source,
                blur,
                use_noise=use_noise,
                nonlinearity=nonlinearity,
                use_pixel_norm=use_pixel_norm,
                use_instance_norm=use_instance_norm,
                use_styles=use_styles,
                use_wscale=use_wscale,
                pixelnorm_epsilon=pixelnorm_epsilon,
                dtype=dtype,
                name=name,
            )

        self.layers_by_resolution = []
        self.to_rgb = []
        for res in self.resolutions:
            filters = feature_maps(log2_resolution(res) - 1, fmap_base, fmap_decay, fmap_max)
            convolution = dict(kernel_size=3, use_wscale=use_wscale, use_bias=False, dtype=dtype, name="conv")
            blur = None
            if res > 4:
                first = EqualizedConv2D(filters, resample="up", fused=is_fused(fused_scale, res), **convolution)
                blur = Blur(blur_filter, dtype=dtype, name="blur") if blur_filter else None
            elif const_input_layer:
                first = LearnedConstant(filters, dtype=dtype, name="constant")
            else:
                first = TraditionalInput(filters, use_wscale, dtype=dtype, name="input")
            second = EqualizedConv2D(filters, **convolution)
            # Without a convolution, the first one is in full precision: bfloat16 rounds noise away that is added to 1.
            first = layer(first, blur, f"{res}x{res}_first", dtype if res > 4 else self.variable_dtype)
            self.layers_by_resolution.append([first, layer(second, None, f"{res}x{res}_second")])
            # Of the convolutions, this one is in full precision: bfloat16 near 1 has steps of half a grey level.
            rgb = dict(gain=1.0, use_wscale=use_wscale, dtype=self.variable_dtype, name=f"{res}x{res}_to_rgb")
            self.to_rgb.append(EqualizedConv2D(num_channels, 1, **rgb))
        self.build((None, self.num_layers, dlatent_size))

    def layers_at(self, resolution):
        """Number of layers, the first ones, that images of this side take styles from."""
        return 2 * self.resolutions.index(resolution) + 2 if self.use_styles else 1

    @property
    def styles(self):
        return [[layer.style.style] for layers in self.layers_by_resolution for layer in layers if layer.style]

    @property
    def noise_shapes(self):
        """Shapes of the noise images, [1, R, R, 1], one for each layer; empty without noise."""
        return [(1, res, res, 1) for res in self.resolutions for _ in range(2)] if self.use_noise else []

    def build(self, w_shape):
        style_shape = (None, self.dlatent_size)
        shape = style_shape
        for layers, to_rgb in zip(self.layers_by_resolution, self.to_rgb, strict=True):
            for layer in layers:
                layer.build(shape, style_shape)
                shape = layer.source.compute_output_shape(shape)
            to_rgb.build(shape)
        self.noise_images = [
            self.add_weight(
                name=f"noise{i}", shape=shape, initializer=keras.initializers.RandomNormal(stddev=1.0), trainable=False
            )
            for i, shape in enumerate(self.noise_shapes)
        ]

    def image_at(self, resolution, w, noise, fade):
        x, image, last = w[:, 0], None, self.resolutions.index(resolution)
        for block, (layers, to_rgb) in enumerate(zip(self.layers_by_resolution, self.to_rgb, strict=True)):
            for i, layer in enumerate(layers, start=2 * block):
                x = layer(x, w[:, i if self.use_styles else 0], noise[i] if self.use_noise else None)
            if block == last:
                break
            if block == last - 1 and is_fading(fade):
                image = upsample(to_rgb(x))
        new_image = to_rgb(x)
        return new_image if image is None else faded(image, new_image, fade)
