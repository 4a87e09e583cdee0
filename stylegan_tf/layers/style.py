"""The three inputs of the synthesis network: learned constant, noise ("B" in Figure 1b) and style ("A")."""

import keras
from keras import ops

from stylegan_tf.layers.equalized import EqualizedDense
from stylegan_tf.layers.full_precision import FullPrecision, PixelPrecision
from stylegan_tf.layers.normalization import normalize


@keras.saving.register_keras_serializable(package="stylegan_tf")
class LearnedConstant(FullPrecision, keras.layers.Layer):
    """The learned 4 x 4 image that replaces the latent as the first layer's input.

    Args:
        filters: Number of feature maps.
        initializer: Initial values: StyleGAN's are 1, StyleGAN2's random.

    Call arguments:
        w: Any tensor whose first axis is the batch, N.

    Returns:
        [N, 4, 4, filters].

    Reference:
        Karras et al., 2018, section 2.
    """

    def __init__(self, filters, initializer="ones", **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.initializer = keras.initializers.get(initializer)

    def build(self, w_shape):
        self.constant = self.add_weight(name="constant", shape=(1, 4, 4, self.filters), initializer=self.initializer)

    def call(self, w):
        return ops.tile(self.constant, (ops.shape(w)[0], 1, 1, 1))

    def compute_output_shape(self, w_shape):
        return (w_shape[0], 4, 4, self.filters)

    def get_config(self):
        initializer = keras.initializers.serialize(self.initializer)
        return {**super().get_config(), "filters": self.filters, "initializer": initializer}


@keras.saving.register_keras_serializable(package="stylegan_tf")
class NoiseInput(PixelPrecision, keras.layers.Layer):
    """Adds one noise image to every feature map, each scaled by a learned strength ("B" in Figure 1b).

    Args:
        initializer: Initial strength of each feature map. The paper starts from zero.
        shared: Whether all feature maps share one strength, as in StyleGAN2.

    Call arguments:
        x: Features, float [N, H, W, C].
        noise: Standard normal image, [N, H, W, 1] or [1, H, W, 1].

    Returns:
        float [N, H, W, C].

    Reference:
        Karras et al., 2018, section 2 and appendix C.
    """

    def __init__(self, initializer="zeros", shared=False, **kwargs):
        super().__init__(**kwargs)
        self.initializer = keras.initializers.get(initializer)
        self.shared = shared

    def build(self, x_shape, noise_shape=None):
        shape = () if self.shared else (x_shape[-1],)
        self.strength = self.add_weight(name="strength", shape=shape, initializer=self.initializer)

    def call(self, x, noise):
        if self.shared or self.compute_dtype != "float32":
            return x + noise * self.strength
        # A product of matrices: to repeat one map for all maps and to multiply takes TensorFlow up to twice as long. In
        # bfloat16, products are several times slower, on processors without instructions for them.
        return x + ops.matmul(noise, ops.expand_dims(self.strength, 0))

    def compute_output_shape(self, x_shape, noise_shape=None):
        return x_shape

    def get_config(self):
        initializer = keras.initializers.serialize(self.initializer)
        return {**super().get_config(), "initializer": initializer, "shared": self.shared}


@keras.saving.register_keras_serializable(package="stylegan_tf")
class AdaIN(FullPrecision, keras.layers.Layer):
    """Adaptive instance normalisation: a style, computed from w ("A" in Figure 1b), sets scale and bias of each map.

    y = normalised(x) * (1 + scale) + bias, with [scale, bias] = dense(w): the 1 stands for the paper's bias of y_s that
    starts at one.

    Args:
        normalize: Whether to instance-normalise first. Without, only the style modulation remains.
        use_wscale: See `EqualizedLayer`.
        epsilon: Added to the variance.

    Call arguments:
        x: Features, [N, H, W, C].
        w: Intermediate latents, [N, dlatent_size].

    Returns:
        [N, H, W, C].

    Reference:
        Karras et al., 2018, section 2, equation 1.
    """

    def __init__(self, normalize=True, use_wscale=True, epsilon=1e-8, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.normalize = normalize
        self.use_wscale = use_wscale
        self.epsilon = epsilon

    def build(self, x_shape, w_shape):
        self.style = EqualizedDense(
            2 * x_shape[-1], gain=1.0, use_wscale=self.use_wscale, dtype=self.dtype_policy, name="style"
        )
        self.style.build(w_shape)

    def call(self, x, w):
        scale, bias = ops.split(self.style(w)[:, None, None, :], 2, axis=-1)
        scale = scale + 1.0
        return normalize(x, self.epsilon, scale, bias) if self.normalize else ops.cast(x, scale.dtype) * scale + bias

    def compute_output_shape(self, x_shape, w_shape):
        return x_shape

    def get_config(self):
        return {
            **super().get_config(),
            "normalize": self.normalize,
            "use_wscale": self.use_wscale,
            "epsilon": self.epsilon,
        }
