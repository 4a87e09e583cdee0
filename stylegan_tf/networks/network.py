"""What all networks have in common."""

import keras

from stylegan_tf.layers.full_precision import FullPrecision


class Network(FullPrecision, keras.Model):
    """A model whose variables exist, with known shapes, as soon as it is constructed.

    Its inputs and outputs are float32 in mixed precision too: `FullPrecision` says what is not.

    Args:
        arguments: The constructor's arguments, which `get_config` returns.
    """

    def __init__(self, arguments, **kwargs):
        super().__init__(**kwargs)
        self.arguments = arguments

    def get_config(self):
        return {"name": self.name, "trainable": self.trainable, "dtype": self.dtype_policy.name, **self.arguments}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


def log2_resolution(resolution):
    """log2 of a power of two from 4 to 1024; ValueError for anything else."""
    if resolution not in (4, 8, 16, 32, 64, 128, 256, 512, 1024):
        raise ValueError(f"resolution must be a power of two from 4 to 1024; received {resolution!r}.")
    return resolution.bit_length() - 1


def feature_maps(stage, fmap_base, fmap_decay, fmap_max):
    """Number of feature maps at a stage: min(fmap_base / 2^(stage decay), fmap_max). Resolution 2^r is stage r - 1."""
    return min(int(fmap_base / 2.0 ** (stage * fmap_decay)), fmap_max)


def is_fused(fused_scale, resolution):
    """Whether the reference fuses a resampling convolution with this larger side; "auto" means from 128 up."""
    if fused_scale not in (True, False, "auto"):
        raise ValueError(f'fused_scale must be True, False or "auto"; received {fused_scale!r}.')
    return resolution >= 128 if fused_scale == "auto" else fused_scale


def checked_labels(labels, label_size, network):
    """The labels as a network needs them, None without conditioning; ValueError when they are missing or too many."""
    given = 0 if labels is None else labels.shape[-1]
    if given != label_size:
        raise ValueError(f"{network} takes labels of {label_size} numbers (label_size); received {given}.")
    return labels if label_size else None
