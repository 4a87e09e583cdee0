"""Dense and convolution layers with an equalized learning rate (Karras et al., 2017, section 4.1)."""

import math

import keras
from keras import ops

from stylegan_tf.layers.convolution import convolve
from stylegan_tf.layers.full_precision import FullPrecision, PixelPrecision
from stylegan_tf.layers.kernel_gradient import conv, conv_transpose
from stylegan_tf.layers.resample import smear

SQRT_2 = math.sqrt(2)


class EqualizedLayer(keras.layers.Layer):
    """What the equalized layers share: a kernel that is stored near unit variance and scaled when it is used.

    With `use_wscale`, the kernel is stored as N(0, 1) / lrmul and used times gain / sqrt(fan_in) * lrmul, so that Adam,
    whose step does not depend on the gradient's scale, trains all layers at the same relative speed. Without it, the
    stored kernel carries He's standard deviation itself.

    Args:
        gain: Standard deviation of the output for unit input: sqrt(2) before a (leaky) ReLU, 1 for a linear layer.
        lrmul: Learning rate multiplier of kernel and bias.
        use_wscale: Whether to scale at run time.
        use_bias: Whether to add a bias, initially 0, stored divided by `lrmul`.
        gain_on_bias: Whether the bias is multiplied by `gain` as well. StyleGAN2 multiplies the output of the
            nonlinearity, which for a (leaky) ReLU is the same as to multiply all that goes into it.
    """

    def __init__(self, gain=SQRT_2, lrmul=1.0, use_wscale=True, use_bias=True, gain_on_bias=False, **kwargs):
        super().__init__(**kwargs)
        self.gain = gain
        self.lrmul = lrmul
        self.use_wscale = use_wscale
        self.use_bias = use_bias
        self.gain_on_bias = gain_on_bias

    def add_kernel(self, shape):
        he_std = self.gain / math.sqrt(math.prod(shape[:-1]))
        stored_std = (1.0 if self.use_wscale else he_std) / self.lrmul
        self.coefficient = (he_std if self.use_wscale else 1.0) * self.lrmul
        # Without Keras' cast as they are read: a kernel is scaled before it is cast.
        self.kernel = self.add_weight(
            name="kernel", shape=shape, initializer=keras.initializers.RandomNormal(stddev=stored_std), autocast=False
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=shape[-1:], initializer="zeros", autocast=False)

    def add_bias(self, x):
        """x + bias; not in float16, in which the bias' gradient, a sum over all pixels, would overflow."""
        if not self.use_bias:
            return x
        if keras.backend.standardize_dtype(x.dtype) == "float16":
            x = ops.cast(x, self.variable_dtype)
        scale = self.lrmul * self.gain if self.gain_on_bias else self.lrmul
        return x + ops.cast(self.bias * scale, x.dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "gain": self.gain,
            "lrmul": self.lrmul,
            "use_wscale": self.use_wscale,
            "use_bias": self.use_bias,
            "gain_on_bias": self.gain_on_bias,
        }


@keras.saving.register_keras_serializable(package="stylegan_tf")
class EqualizedDense(FullPrecision, EqualizedLayer):
    """Fully connected layer with an equalized learning rate.

    Args:
        units: Number of outputs.
        gain, lrmul, use_wscale, use_bias, gain_on_bias: See `EqualizedLayer`.

    Call arguments:
        x: [N, inputs].

    Returns:
        [N, units].
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, x_shape):
        self.add_kernel((x_shape[-1], self.units))

    def call(self, x):
        return self.add_bias(ops.matmul(x, self.kernel * self.coefficient))

    def compute_output_shape(self, x_shape):
        return (*x_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="stylegan_tf")
class EqualizedConv2D(EqualizedLayer):
    """Convolution with an equalized learning rate, optionally with a doubling or halving of the resolution.

    Up- and downsampling convolutions are always computed in their fast, fused form: nearest upsampling followed by a
    k x k convolution is one transposed convolution with a (k + 1) x (k + 1) kernel and stride 2, and a k x k
    convolution followed by a 2 x 2 box mean is one strided convolution, both at 4 / 9 of the operations for k = 3.

    Args:
        filters: Number of output feature maps.
        kernel_size: Side of the kernel, odd.
        resample: None, "up" or "down".
        fused: Only matters for "up": the reference's fused up-convolution applies the kernel rotated by 180 degrees
            against its unfused one, so the same weights mean another function.
        gain, lrmul, use_wscale, use_bias, gain_on_bias: See `EqualizedLayer`.

    Call arguments:
        x: [N, H, W, C].

    Returns:
        [N, H, W, filters], or with H and W doubled ("up") or halved ("down"). In mixed precision, it is computed in
        half, and returned so; a bias makes float32 of float16.
    """

    def __init__(self, filters, kernel_size, resample=None, fused=False, **kwargs):
        super().__init__(**kwargs)
        if kernel_size % 2 != 1:
            raise ValueError(f"kernel_size must be odd; received {kernel_size}.")
        if resample not in (None, "up", "down"):
            raise ValueError(f'resample must be None, "up" or "down"; received {resample!r}.')
        self.filters = filters
        self.kernel_size = kernel_size
        self.resample = resample
        self.fused = fused

    def build(self, x_shape):
        self.add_kernel((self.kernel_size, self.kernel_size, x_shape[-1], self.filters))

    def call(self, x):
        if self.resample == "up":
            kernel = ops.transpose(self.kernel, (0, 1, 3, 2))
            kernel = self.cast_kernel(smear(kernel, self.coefficient, rotate=not self.fused))
            x = conv_transpose(x, kernel)
        elif self.resample == "down":
            kernel = self.cast_kernel(smear(self.kernel, self.coefficient * 0.25))
            x = conv(x, kernel, stride=2)
        else:
            kernel = self.cast_kernel(self.kernel * self.coefficient)
            x = convolve(x, kernel)
        return self.add_bias(x)

    def cast_kernel(self, kernel):
        return ops.cast(kernel, self.compute_dtype)

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
            "fused": self.fused,
        }


@keras.saving.register_keras_serializable(package="stylegan_tf")
class Bias(PixelPrecision, keras.layers.Layer):
    """Adds one learned number to every feature map, for where noise or a blur stands between a layer and its bias.

    Args:
        lrmul: Learning rate multiplier; the bias is stored divided by it.
    """

    def __init__(self, lrmul=1.0, **kwargs):
        super().__init__(**kwargs)
        self.lrmul = lrmul

    def build(self, x_shape):
        self.bias = self.add_weight(name="bias", shape=(x_shape[-1],), initializer="zeros")

    def call(self, x):
        return x + self.bias * self.lrmul

    def get_config(self):
        return {**super().get_config(), "lrmul": self.lrmul}


@keras.saving.register_keras_serializable(package="stylegan_tf")
class LabelEmbedding(FullPrecision, keras.layers.Layer):
    """Maps one-hot labels to vectors by a learned matrix, without bias and without an equalized learning rate.

    Args:
        units: Length of a vector; the size of the latent.

    Call arguments:
        labels: One-hot, float [N, label_size].

    Returns:
        [N, units].
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, labels_shape):
        self.embedding = self.add_weight(
            name="embedding",
            shape=(labels_shape[-1], self.units),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
        )

    def call(self, labels):
        return ops.matmul(labels, self.embedding)

    def compute_output_shape(self, labels_shape):
        return (labels_shape[0], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}
