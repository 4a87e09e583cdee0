"""The discriminator's view of variety within a minibatch."""

import keras
from keras import ops

from stylegan_tf.layers.full_precision import FullPrecision


@keras.saving.register_keras_serializable(package="stylegan_tf")
class MinibatchStdDev(FullPrecision, keras.layers.Layer):
    """Appends the standard deviation over a group of images, averaged to one number a group, as feature maps.

    The members of a group are strided: with M groups, image i belongs to group i mod M.

    Args:
        group_size: Images in a group; a smaller minibatch is one group, and with None, any is.
        num_features: Feature maps to append; each is the average over its share of the channels.

    Call arguments:
        x: [N, H, W, C], N a multiple of the group size.

    Returns:
        [N, H, W, C + num_features].

    Reference:
        Karras et al., 2017, section 3.
    """

    def __init__(self, group_size=4, num_features=1, **kwargs):
        super().__init__(**kwargs)
        self.group_size = group_size
        self.num_features = num_features

    def call(self, x):
        batch, (height, width, channels) = ops.shape(x)[0], x.shape[1:]
        if isinstance(batch, int):
            group = batch if self.group_size is None else min(self.group_size, batch)
            if batch % group:
                raise ValueError(
                    f"The minibatch must be a multiple of the group size {group}; received {batch} images."
                )
        else:
            group = batch if self.group_size is None else ops.minimum(self.group_size, batch)
        split = (group, -1, height, width, self.num_features, channels // self.num_features)
        groups = ops.reshape(x, split)
        groups = groups - ops.mean(groups, axis=0, keepdims=True)
        stddev = ops.sqrt(ops.mean(ops.square(groups), axis=0) + 1e-8)
        feature = ops.mean(stddev, axis=(1, 2, 4))[:, None, None, :]
        return ops.concatenate([x, ops.tile(feature, (group, height, width, 1))], axis=-1)

    def compute_output_shape(self, input_shape):  # the name that Keras gives it, as there is no `build`
        return (*input_shape[:-1], input_shape[-1] + self.num_features)

    def get_config(self):
        return {**super().get_config(), "group_size": self.group_size, "num_features": self.num_features}
