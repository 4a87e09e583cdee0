"""StyleGAN2's convolutions: with a low-pass filter where the resolution changes, and with weights scaled by a style."""

import keras
from keras import ops

from stylegan_tf.layers.activations import clamped
from stylegan_tf.layers.convolution import convolve
from stylegan_tf.layers.equalized import EqualizedDense, EqualizedLayer
from stylegan_tf.layers.full_precision import PixelPrecision
from stylegan_tf.layers.kernel_gradient import conv, conv_transpose
from stylegan_tf.layers.resample import enlarge_filtered, fir_kernel, shrink_filtered, upfirdn


def filtered_conv(x, kernel, resample=None, taps=()):
    """Convolves, after an enlargement or before a reduction of the image by two with a low-pass filter.

    The filter, one map at a time, and the convolution with a stride of 2 stay two operations: on a CPU, one convolution
    with the product of both takes 1.5 to 4 times as long.

    Args:
        x: [N, H, W, A].
        kernel: [k, k, A, B], k odd.
        resample: None, "up" or "down".
        taps: Of the one-dimensional filter, two or more.

    Returns:
        [N, H, W, B], H and W doubled ("up") or halved ("down").
    """
    margin, size = kernel.shape[0] // 2, len(taps)
    if resample is None:
        return convolve(x, kernel)
    if margin == 0 and resample == "up":
        return enlarge_filtered(filtered_conv(x, kernel), taps)
    if margin == 0:
        return filtered_conv(shrink_filtered(x, taps), kernel)
    if resample == "up":
        # A transposed convolution scatters what a convolution gathers: the kernel is turned.
        kernel = ops.transpose(ops.flip(kernel, axis=(0, 1)), (0, 1, 3, 2))
        x = conv_transpose(x, kernel, padding="valid")
        padding = ((size + 1) // 2 - margin, size // 2 - margin)
        return upfirdn(x, fir_kernel(taps, gain=4.0), padding=(padding, padding))
    padding = ((size - 1) // 2 + margin, (size - 2) // 2 + margin)
    x = upfirdn(x, fir_kernel(taps), padding=(padding, padding))
    return conv(x, kernel, stride=2, padding="valid")


@keras.saving.register_keras_serializable(package="stylegan_tf")
class FilteredConv2D(EqualizedLayer):
    """Convolution with an equalized learning rate, optionally with a filtered doubling or halving of the resolution.

    Args:
        filters: Number of output feature maps.
        kernel_size: Side of the kernel, odd.
        resample: None, "up" or "down".
        resample_kernel: Taps of the low-pass filter; None for (1, 1), nearest up and box down.
        gain, lrmul, use_wscale, use_bias, gain_on_bias: See `EqualizedLayer`.

    Call arguments:
        x: [N, H, W, C].

    Returns:
        [N, H, W, filters], or with H and W doubled ("up") or halved ("down"). In mixed precision, it is computed in
        half, and returned so; a bias makes float32 of float16.

    Reference:
        Karras et al., 2019 (StyleGAN2), appendix B.
    """

    def __init__(self, filters, kernel_size, resample=None, resample_kernel=(1, 3, 3, 1), **kwargs):
        super().__init__(**kwargs)
        if kernel_size % 2 != 1:
            raise ValueError(f"kernel_size must be odd; received {kernel_size}.")
        if resample not in (None, "up", "down"):
            raise ValueError(f'resample must be None, "up" or "down"; received {resample!r}.')
        self.filters = filters
        self.kernel_size = kernel_size
        self.resample = resample
        self.resample_kernel = checked_taps(resample_kernel)

    def build(self, x_shape):
        self.add_kernel((self.kernel_size, self.kernel_size, x_shape[-1], self.filters))

    def call(self, x):
        return self.add_bias(self.convolve(x, self.kernel * self.coefficient))

    def convolve(self, x, kernel):
        """The convolution alone, in the precision of the policy, with a scaled kernel."""
        dtype = self.dtype_policy.compute_dtype
        return filtered_conv(ops.cast(x, dtype), ops.cast(kernel, dtype), self.resample, self.resample_kernel)

    def compute_output_shape(self, x_shape):
        n, h, w, _ = x_shape
        if self.resample == "up":
            h, w = h * 2, w * 2
        elif self.resample == "down":
            h, w = h // 2, w // 2
        return (n, h, w, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "resample": self.resample,
            "resample_kernel": self.resample_kernel,
        }


@keras.saving.register_keras_serializable(package="stylegan_tf")
class ModulatedConv2D(PixelPrecision, FilteredConv2D):
    """Convolution whose weights a style scales by input map, and which are then normalised by output map.

    w'_ijk = s_i w_ijk, with s = 1 + dense(w), and w''_ijk = w'_ijk / sqrt(sum_ik w'_ijk^2 + epsilon). It is computed
    with weights that all images share: s scales the input maps, and the inverse of the root the output maps. Only 1 x 1
    weights are scaled themselves.

    Args:
        filters, kernel_size, resample, resample_kernel: See `FilteredConv2D`.
        demodulate: Whether the weights are normalised.
        gain: Of the weights; where they are normalised, of the normalised ones.
        lrmul, use_wscale, use_bias, gain_on_bias: See `EqualizedLayer`.
        epsilon: Added to the sum of squares.
        clamp: Largest magnitude of the output, None for any.

    Call arguments:
        x: Features, [N, H, W, C].
        w: Intermediate latents of this layer, [N, dlatent_size].

    Returns:
        As `FilteredConv2D`; float32 under "mixed_float16".

    Reference:
        Karras et al., 2019 (StyleGAN2), section 2.2, equations 1 and 3.
    """

    def __init__(self, filters, kernel_size, demodulate=True, epsilon=1e-8, clamp=None, **kwargs):
        # x is cast where it is convolved, and w stays float32.
        super().__init__(filters, kernel_size, autocast=False, **kwargs)
        self.demodulate = demodulate
        self.epsilon = epsilon
        self.clamp = clamp

    def build(self, x_shape, w_shape):
        super().build(x_shape)
        self.style = EqualizedDense(x_shape[-1], gain=1.0, dtype=self.dtype_policy, name="style")
        self.style.build(w_shape)

    def call(self, x, w):
        style = self.style(w) + 1.0
        kernel = self.kernel * self.coefficient
        x = self.convolve_images(x, kernel, style)
        x = ops.cast(x, self.compute_dtype)
        if self.demodulate:
            # The gain in the kernel is not a part of the norm.
            energy = ops.sum(ops.square(kernel / self.gain), axis=(0, 1))
            x = x * by_map(ops.rsqrt(ops.matmul(ops.square(style), energy) + self.epsilon), x.dtype)
        return clamped(self.add_bias(x), self.clamp)

    def convolve_images(self, x, kernel, style):
        """The convolution alone, with weights that the style scales.

        With 1 x 1 weights, it is a product of matrices, in which each image has its own: the weights of a toRGB are
        smaller than the maps they meet, and these need not be multiplied before.
        """
        if self.kernel_size > 1 or self.resample:
            return self.convolve(x * by_map(style, x.dtype), kernel)
        dtype, (_, height, width, maps) = self.dtype_policy.compute_dtype, x.shape
        kernel = ops.cast(ops.expand_dims(style, -1) * kernel[0, 0], dtype)
        x = ops.matmul(ops.reshape(ops.cast(x, dtype), (-1, height * width, maps)), kernel)
        return ops.reshape(x, (-1, height, width, self.filters))

    def compute_output_shape(self, x_shape, w_shape=None):
        return super().compute_output_shape(x_shape)

    def get_config(self):
        own = {"demodulate": self.demodulate, "epsilon": self.epsilon, "clamp": self.clamp}
        return {**super().get_config(), **own}


def by_map(factors, dtype):
    """Factors of the feature maps, [N, C], as [N, 1, 1, C] in the dtype of the maps."""
    return ops.cast(ops.reshape(factors, (-1, 1, 1, factors.shape[-1])), dtype)


def checked_taps(taps):
    """The taps of a low-pass filter, a tuple; None is the box. ValueError unless there are two, with a sum but 0."""
    taps = (1, 1) if taps is None else tuple(taps)
    if len(taps) < 2 or sum(taps) == 0:
        raise ValueError(f"resample_kernel must have two taps or more and a sum that is not 0; received {taps}.")
    return taps
