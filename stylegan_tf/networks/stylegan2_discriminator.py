"""StyleGAN2's discriminators: the final ones, and the one that is still grown."""

import math

import keras
from keras import ops

from stylegan_tf.layers import EqualizedDense, FilteredConv2D, MinibatchStdDev, downsample, shrink_filtered
from stylegan_tf.layers.activations import clamped, scaled_activation
from stylegan_tf.layers.modulated import checked_taps
from stylegan_tf.networks.growing import faded, is_fading
from stylegan_tf.networks.interface import BaseDiscriminator
from stylegan_tf.networks.network import checked_labels, dtype_by_resolution, feature_maps_by_stage, log2_resolution
from stylegan_tf.networks.stylegan2_synthesis import checked_architecture


@keras.saving.register_keras_serializable(package="stylegan_tf")
class StyleGAN2Discriminator(BaseDiscriminator):
    """Scores images: high for real, low for generated.

    Args:
        resolution: Side of the images, a power of two from 4 to 1024.
        num_channels: Colour channels of the images.
        label_size: Length of a label, 0 without conditioning. With labels there is one output a class, and the score is
            the sum of outputs times label.
        fmap_base, fmap_decay, fmap_max: Feature maps at 2^r: min(fmap_base / 2^((r - 1) fmap_decay), fmap_max).
        architecture: "resnet": residual blocks; "skip": every block also sees the image at its own resolution; "orig":
            neither.
        nonlinearity: "lrelu", or another of `SCALED_ACTIVATIONS`.
        mbstd_group_size: Group of the minibatch standard deviation, None for the whole minibatch; off when 1 or less.
        mbstd_num_features: Feature maps it appends.
        resample_kernel: Taps of the low-pass filter that goes with changes of resolution; None for (1, 1), the box.
        conv_clamp: Largest magnitude of what a convolution's nonlinearity returns; None for any.
        clamp_smallest_rgb: Whether `conv_clamp` also holds for the fromRGB at 4x4, which only "skip" has.
        fmaps, num_half_res: See `StyleGAN2Synthesis`.

    Call arguments:
        images: float [N, resolution, resolution, num_channels] in [-1, 1].
        labels: float [N, label_size], one-hot, or None.

    Returns:
        Scores, float [N, 1].

    Reference:
        Karras et al., 2019 (StyleGAN2), section 4, Figure 7.
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
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.resolution = resolution
        self.num_channels = num_channels
        self.label_size = label_size
        self.mbstd_group_size = math.inf if mbstd_group_size is None else mbstd_group_size
        self.architecture = checked_architecture(architecture)
        self.resample_kernel = checked_taps(resample_kernel)
        self.resolutions = [2**r for r in range(log2_resolution(resolution), 1, -1)]
        gain, self.activation = scaled_activation(nonlinearity)
        # The second convolution of a residual block has the factor that keeps the variance of the sum that of one.
        half = math.sqrt(0.5) if architecture == "resnet" else 1.0
        second_gain, self.second_activation = scaled_activation(nonlinearity, half)
        self.conv_clamp, self.clamp_smallest_rgb = conv_clamp, clamp_smallest_rgb
        self.second_clamp = None if conv_clamp is None else conv_clamp * half
        dtype_at = dtype_by_resolution(self.dtype_policy, resolution, num_half_res)
        maps = feature_maps_by_stage(resolution, fmap_base, fmap_decay, fmap_max, fmaps)

        def maps_at(res, below=1):
            return maps[log2_resolution(res) - below]

        def convolution(res, filters, name, **options):
            options = {"gain": gain, "gain_on_bias": True, "kernel_size": 3, "dtype": dtype_at(res), **options}
            return FilteredConv2D(filters, resample_kernel=resample_kernel, name=f"{res}x{res}_{name}", **options)

        def dense(units, name, **options):
            options = {"gain": gain, "gain_on_bias": True, "dtype": dtype_at(4), **options}
            return EqualizedDense(units, name=f"4x4_{name}", **options)

        self.from_rgb = [
            convolution(res, maps_at(res), "from_rgb", kernel_size=1)
            for res in (self.resolutions if architecture == "skip" else [resolution])
        ]
        self.blocks = [
            [
                convolution(res, maps_at(res), "first"),
                convolution(res, maps_at(res, below=2), "second", resample="down", gain=second_gain),
            ]
            for res in self.resolutions[:-1]
        ]
        skip = dict(kernel_size=1, resample="down", gain=half, use_bias=False)
        self.skip = [
            convolution(res, maps_at(res, below=2), "skip", **skip)
            for res in (self.resolutions[:-1] if architecture == "resnet" else [])
        ]
        has_stddev = mbstd_group_size is None or mbstd_group_size > 1
        if has_stddev and maps_at(4) % mbstd_num_features:
            raise ValueError(
                f"mbstd_num_features must divide the {maps_at(4)} feature maps at 4x4; received {mbstd_num_features}."
            )
        self.minibatch_stddev = (
            MinibatchStdDev(mbstd_group_size, mbstd_num_features, dtype=dtype_at(4), name="minibatch_stddev")
            if has_stddev
            else None
        )
        self.conv = convolution(4, maps_at(4), "conv")
        self.dense = dense(maps_at(4, below=2), "dense")
        self.output_layer = dense(self.count_outputs(), "output", gain=1.0)
        self.build((None, resolution, resolution, num_channels))

    def count_outputs(self):
        """Number of outputs, of which `score` makes one."""
        return max(self.label_size, 1)

    @property
    def layers_from_image(self):
        """Its layers with weights in the order in which an image passes them, a list of lists.

        A block's two convolutions are two items. The fromRGB of a lower resolution goes with the first convolution
        after it, the shortcut of a residual block with the second.
        """
        layers = [[layer] for block in self.blocks for layer in block]
        layers += [[self.conv], [self.dense], [self.output_layer]]
        for i, from_rgb in enumerate(self.from_rgb[1:]):
            layers[2 * (i + 1)].append(from_rgb)
        for i, skip in enumerate(self.skip):
            layers[2 * i + 1].append(skip)
        return [[self.from_rgb[0]], *layers]

    def build(self, images_shape):
        for res, from_rgb in zip(self.resolutions, self.from_rgb, strict=False):
            from_rgb.build((None, res, res, self.num_channels))
        shape = self.from_rgb[0].compute_output_shape(images_shape)
        for block, (first, second) in enumerate(self.blocks):
            if self.skip:
                self.skip[block].build(shape)
            first.build(shape)
            second.build(first.compute_output_shape(shape))
            shape = second.compute_output_shape(shape)
        self.conv.build(self.minibatch_stddev.compute_output_shape(shape) if self.minibatch_stddev else shape)
        self.dense.build((None, 16 * self.conv.filters))
        self.output_layer.build((None, self.dense.units))

    def activate(self, x):
        """The nonlinearity after a convolution."""
        return clamped(self.activation(x), self.conv_clamp)

    def rgb_features(self, images, number):
        """What a fromRGB makes of images, of which number 0 is that of the full resolution."""
        x = self.from_rgb[number](images)
        smallest = number == len(self.blocks)
        return self.activation(x) if smallest and not self.clamp_smallest_rgb else self.activate(x)

    def block(self, x, number):
        """Features after a block, at half the resolution of those before."""
        first, second = self.blocks[number]
        y = clamped(self.second_activation(second(self.activate(first(x)))), self.second_clamp)
        return y + ops.cast(self.skip[number](x), y.dtype) if self.skip else y

    def features(self, images):
        """Activations before the output layer, [N, units]; the arguments are those of a call."""
        if tuple(images.shape[1:]) != (self.resolution, self.resolution, self.num_channels):
            raise ValueError(
                f"images must be {self.resolution}x{self.resolution} with {self.num_channels} channels; received "
                f"shape {tuple(images.shape)}."
            )
        x = self.rgb_features(images, 0)
        for number in range(len(self.blocks)):
            x = self.block(x, number)
            if self.architecture == "skip":
                images = shrink_filtered(images, self.resample_kernel)
                # Of two dtypes where `num_half_res` ends.
                x = ops.add(x, self.rgb_features(images, number + 1))
        return self.last_features(x)

    def last_features(self, x):
        """What becomes of the features at 4x4 up to the output layer, [N, units]."""
        if self.minibatch_stddev:
            x = self.minibatch_stddev(x)
        x = self.activate(self.conv(x))
        return self.activation(self.dense(ops.reshape(x, (-1, self.dense.kernel.shape[0]))))

    def call(self, images, labels=None):
        return self.score(self.features(images), labels)

    def score(self, features, labels):
        """Scores, [N, 1], from what `features` returns and labels, [N, label_size] or None."""
        labels = checked_labels(labels, self.label_size, type(self).__name__)
        outputs = self.output_layer(features)
        return outputs if labels is None else ops.sum(outputs * labels, axis=1, keepdims=True)


@keras.saving.register_keras_serializable(package="stylegan_tf")
class StyleGAN2GrowingDiscriminator(StyleGAN2Discriminator):
    """StyleGAN's discriminator with StyleGAN2's layers, which is grown: the paper's configurations B to D.

    Args:
        resolution, num_channels, label_size, fmap_base, fmap_decay, fmap_max, nonlinearity, mbstd_group_size,
            mbstd_num_features, resample_kernel: See `StyleGAN2Discriminator`.

    Call arguments, returns:
        See `Discriminator`.

    Reference:
        Karras et al., 2019 (StyleGAN2), section 2.2; growth as in Karras et al., 2017, Figure 2.
    """

    grows = True

    def __init__(
        self,
        resolution=1024,
        num_channels=3,
        label_size=0,
        fmap_base=16384,
        fmap_decay=1.0,
        fmap_max=512,
        nonlinearity="lrelu",
        mbstd_group_size=4,
        mbstd_num_features=1,
        resample_kernel=(1, 3, 3, 1),
        **kwargs,
    ):
        # A fromRGB for every resolution.
        super().__init__(**self.arguments, architecture="skip", **kwargs)

    def features(self, images, fade=1.0):
        if images.shape[1] not in self.resolutions or images.shape[1:] != (*(images.shape[1],) * 2, self.num_channels):
            raise ValueError(
                f"images must be square with a side among {self.resolutions} and {self.num_channels} channels; "
                f"received shape {tuple(images.shape)}."
            )
        newest = self.resolutions.index(images.shape[1])
        x = self.activation(self.from_rgb[newest](images))
        for number in range(newest, len(self.blocks)):
            x = self.block(x, number)
            if number == newest and is_fading(fade):
                coarse = self.activation(self.from_rgb[number + 1](downsample(images)))
                x = faded(coarse, x, fade)
        return self.last_features(x)

    def call(self, images, labels=None, fade=1.0):
        return self.score(self.features(images, fade), labels)
