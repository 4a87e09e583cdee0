"""The mapping network f: z -> w."""

import keras
from keras import ops

from stylegan_tf.layers import EqualizedDense, LabelEmbedding, PixelNorm
from stylegan_tf.layers.activations import activation
from stylegan_tf.layers.equalized import SQRT_2
from stylegan_tf.networks.network import LEAST, Network, checked_labels


@keras.saving.register_keras_serializable(package="stylegan_tf")
class MappingNetwork(Network):
    """Maps latents z, and labels, to intermediate latents w.

    Args:
        latent_size: Length of z.
        label_size: Length of a label, 0 without conditioning.
        dlatent_size: Length of w.
        dlatent_broadcast: Number of layers to repeat w for, or None for one w without a layer axis.
        mapping_layers: Depth. With 0 layers, w is the (normalised) input itself.
        mapping_fmaps: Width of all layers but the last.
        mapping_lrmul: Learning rate multiplier.
        mapping_nonlinearity: "lrelu" or "relu".
        use_wscale: Whether to equalize the learning rate.
        normalize_latents: Whether to scale the input, z and the embedded label together, to unit root mean square.

    Call arguments:
        z: float [N, latent_size], standard normal.
        labels: float [N, label_size], one-hot, or None.

    Returns:
        float [N, dlatent_size], or [N, dlatent_broadcast, dlatent_size].

    Reference:
        Karras et al., 2018, section 2 and appendix C.
    """

    gain_on_bias = False
    least = LEAST | {"latent_size": 0}  # of a discriminator that only maps labels

    def __init__(
        self,
        latent_size=512,
        label_size=0,
        dlatent_size=512,
        dlatent_broadcast=None,
        mapping_layers=8,
        mapping_fmaps=512,
        mapping_lrmul=0.01,
        mapping_nonlinearity="lrelu",
        use_wscale=True,
        normalize_latents=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.label_size = label_size
        self.dlatent_broadcast = dlatent_broadcast
        gain, self.activation = self.nonlinearity(mapping_nonlinearity)
        dtype = self.dtype_policy
        self.embedding = self.label_layer(dtype=dtype, name="embedding") if label_size else None
        self.normalize = PixelNorm(dtype=dtype, name="normalize") if normalize_latents else None
        self.dense = [
            EqualizedDense(
                dlatent_size if i == mapping_layers - 1 else mapping_fmaps,
                gain=gain,
                lrmul=mapping_lrmul,
                use_wscale=use_wscale,
                gain_on_bias=self.gain_on_bias,
                dtype=dtype,
                name=f"dense{i}",
            )
            for i in range(mapping_layers)
        ]
        self.input_size = latent_size + self.embedding.units if label_size else latent_size
        self.build((None, latent_size))

    def label_layer(self, **options):
        """What makes a vector of a label."""
        return LabelEmbedding(self.arguments["latent_size"], **options)

    def inputs(self, z, labels):
        """What goes into the first dense layer, [N, input_size]."""
        x = z if labels is None else ops.concatenate([z, self.embedding(labels)], axis=-1)
        return self.normalize(x) if self.normalize else x

    def nonlinearity(self, name):
        """(gain of the layers, function) for the keyword `mapping_nonlinearity`."""
        return SQRT_2, activation(name)

    def build(self, z_shape):
        if self.embedding:
            self.embedding.build((None, self.label_size))
        width = self.input_size
        for dense in self.dense:
            dense.build((None, width))
            width = dense.units
        self.output_size = width

    def call(self, z, labels=None):
        labels = checked_labels(labels, self.label_size, "MappingNetwork")
        w = self.inputs(z, labels)
        for dense in self.dense:
            w = self.activation(dense(w))
        if self.dlatent_broadcast is not None:
            w = ops.tile(w[:, None, :], (1, self.dlatent_broadcast, 1))
        return w
