"""The discriminator: Progressive GAN's with a blur before every downsampling."""

import keras
from keras import ops

from stylegan_tf.layers import Blur, EqualizedConv2D, EqualizedDense, MinibatchStdDev, downsample
from stylegan_tf.layers.activations import activation
from stylegan_tf.networks.growing import faded, is_fading
from stylegan_tf.networks.interface import BaseDiscriminator
from stylegan_tf.networks.network import checked_labels, feature_maps, is_fused, log2_resolution


@keras.saving.register_keras_serializable(package="stylegan_tf")
class Discriminator(BaseDiscriminator):
    """Scores images: high for real, low for generated. Growth is in the images' own size.

    Args:
        resolution: Full side of the images, a power of two from 4 to 1024.
        num_channels: Colour channels of the images.
        label_size: Length of a label, 0 without conditioning. With labels there is one output a class, and the score is
            the sum of outputs times label.
        fmap_base, fmap_decay, fmap_max: Feature maps at 2^r: min(fmap_base / 2^((r - 1) fmap_decay), fmap_max).
        nonlinearity: "lrelu" or "relu".
        use_wscale: Whether to equalize the learning rate.
        mbstd_group_size: Group of the minibatch standard deviation; off when 1 or less.
        mbstd_num_features: Feature maps it appends.
        fused_scale: Accepted with the reference's values; both forms of the down-convolution are the same function.
        blur_filter: Filter before down-convolutions; None or () for no blur.

    Call arguments:
        images: float [N, R, R, num_channels] in [-1, 1], R a power of two from 4 to `resolution`.
        labels: float [N, label_size], one-hot, or None.
        fade: Weight of the block for R in [0, 1], a float or a scalar tensor; 1 - fade for the block below.

    Returns:
        Scores, float [N, 1].

    Reference:
        Karras et al., 2017, Table 2; Karras et al., 2018, section 2.
    """

    meaning = ("use_wscale",)
    grows = True

    def __init__(
        self,
        resolution=1024,
        num_channels=3,
        label_size=0,
        fmap_base=8192,
        fmap_decay=1.0,
        fmap_max=512,
        nonlinearity="lrelu",
        use_wscale=True,
        mbstd_group_size=4,
        mbstd_num_features=1,
        fused_scale="auto",
        blur_filter=(1, 2, 1),
        **kwargs,
    ):
        super().__init__(**kwargs)
        is_fused(fused_scale, resolution)  # refuses an unknown value
        self.resolution = resolution
        self.num_channels = num_channels
        self.label_size = label_size
        self.mbstd_group_size = mbstd_group_size
        self.activation = activation(nonlinearity)
        self.resolutions = [2**r for r in range(log2_resolution(resolution), 1, -1)]

        dtype = self.dtype_policy

        def fmaps(res, below=1):
            return feature_maps(log2_resolution(res) - below, fmap_base, fmap_decay, fmap_max)

        def convolution(filters, name, **options):
            return EqualizedConv2D(filters, use_wscale=use_wscale, dtype=dtype, name=name, **options)

        self.from_rgb = [convolution(fmaps(res), f"{res}x{res}_from_rgb", kernel_size=1) for res in self.resolutions]
        self.blocks = [
            [
                convolution(fmaps(res), f"{res}x{res}_first", kernel_size=3),
                convolution(fmaps(res, below=2), f"{res}x{res}_second", kernel_size=3, resample="down"),
            ]
            for res in self.resolutions[:-1]
        ]
        if mbstd_group_size > 1 and fmaps(4) % mbstd_num_features:
            raise ValueError(
                f"mbstd_num_features must divide the {fmaps(4)} feature maps at 4x4; received {mbstd_num_features}."
            )
        self.blur = Blur(blur_filter, dtype=dtype, name="blur") if blur_filter else None
        self.minibatch_stddev = (
            MinibatchStdDev(mbstd_group_size, mbstd_num_features, dtype=dtype, name="minibatch_stddev")
            if mbstd_group_size > 1
            else None
        )
        self.conv = convolution(fmaps(4), "4x4_conv", kernel_size=3)
        self.dense = EqualizedDense(fmaps(4, below=2), use_wscale=use_wscale, dtype=dtype, name="4x4_dense")
        self.output_layer = EqualizedDense(
            self.num_outputs, gain=1.0, use_wscale=use_wscale, dtype=dtype, name="4x4_output"
        )
        self.build((None, resolution, resolution, num_channels))

    @property
    def num_outputs(self):
        """Outputs of the last layer, which make the score."""
        return max(self.label_size, 1)

    @property
    def layers_from_image(self):
        """Its layers with weights in the order in which an image passes them, a list of lists.

        A block's two convolutions are two items. The fromRGB of a lower resolution goes with the first convolution
        after it.
        """
        layers = [[layer] for block in self.blocks for layer in block]
        layers += [[self.conv], [self.dense], [self.output_layer]]
        for i, from_rgb in enumerate(self.from_rgb[1:]):
            layers[2 * (i + 1)].append(from_rgb)
        return [[self.from_rgb[0]], *layers]

    def build(self, images_shape):
        for res, from_rgb in zip(self.resolutions, self.from_rgb, strict=True):
            from_rgb.build((None, res, res, self.num_channels))
        for res, from_rgb, layers in zip(self.resolutions, self.from_rgb, self.blocks, strict=False):
            layers[0].build((None, res, res, from_rgb.filters))
            layers[1].build((None, res, res, layers[0].filters))
        shape = (None, 4, 4, self.from_rgb[-1].filters)
        self.conv.build(self.minibatch_stddev.compute_output_shape(shape) if self.minibatch_stddev else shape)
        self.dense.build((None, 16 * self.conv.filters))
        self.output_layer.build((None, self.dense.units))

    def halve(self, x, first, second):
        """The two convolutions of a block, the second of which halves the resolution."""
        x = self.activation(first(x))
        if self.blur:
            x = self.blur(x)
        return self.activation(second(x))

    def features(self, images, fade=1.0):
        """Activations before the output layer, [N, units]; the arguments are those of a call."""
        if images.shape[1] not in self.resolutions or images.shape[1:] != (*(images.shape[1],) * 2, self.num_channels):
            raise ValueError(
                f"images must be square with a side among {self.resolutions} and {self.num_channels} channels; "
                f"received shape {tuple(images.shape)}."
            )
        newest = self.resolutions.index(images.shape[1])
        x = self.activation(self.from_rgb[newest](images))
        for block, (first, second) in enumerate(self.blocks[newest:], start=newest):
            x = self.halve(x, first, second)
            if block == newest and is_fading(fade):
                coarse = self.activation(self.from_rgb[block + 1](downsample(images)))
                x = faded(coarse, x, fade)
        if self.minibatch_stddev:
            x = self.minibatch_stddev(x)
        x = self.activation(self.conv(x))
        return self.activation(self.dense(ops.reshape(x, (-1, self.dense.kernel.shape[0]))))

    def call(self, images, labels=None, fade=1.0):
        labels = checked_labels(labels, self.label_size, type(self).__name__)
        return self.score(self.output_layer(self.features(images, fade)), labels)

    def score(self, outputs, labels):
        """Scores, [N, 1], from the last layer's outputs, [N, num_outputs], and labels, [N, label_size] or None."""
        return outputs if labels is None else ops.sum(outputs * labels, axis=1, keepdims=True)
