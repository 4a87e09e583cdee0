"""What all networks have in common."""

import functools
import inspect

import keras

from stylegan_tf.layers.full_precision import FullPrecision

# Keywords that are numbers of something.
LEAST = {
    "num_channels": 1,
    "label_size": 0,
    "latent_size": 1,
    "dlatent_size": 1,
    "mapping_layers": 0,
    "mapping_fmaps": 1,
}


class Network(FullPrecision, keras.Model):
    """A model whose variables exist, with known shapes, as soon as it is constructed.

    Its inputs and outputs are float32 in mixed precision too: `FullPrecision` says what is not.

    Attributes:
        arguments: {keyword: value} of the constructor, without those of Keras: what `get_config` returns.
        meaning: Keywords that leave no trace in the variables' shapes, but decide what their values mean: how weights
            are scaled, how kernels are turned. Weights are of use in another network where these are equal.
        keras_arguments: {keyword: value} of those of Keras, such as name and dtype.
        least: {keyword: its smallest value} of those that are numbers of something.
    """

    meaning = ()
    least = LEAST

    def __new__(cls, *args, **kwargs):
        network = super().__new__(cls, *args, **kwargs)
        bound = inspect.signature(cls).bind(*args, **kwargs)
        bound.apply_defaults()
        # Not by Keras' __setattr__, which needs what its constructor makes. JSON turns tuples into lists.
        arguments = {name: tuple(v) if isinstance(v, list) else v for name, v in bound.arguments.items()}
        for name, least in cls.least.items():
            if arguments.get(name) is not None and not arguments[name] >= least:
                raise ValueError(f"{name} must be {least} or more; received {arguments[name]!r}.")
        object.__setattr__(network, "arguments", {name: arguments[name] for name in keywords_of(cls)})
        object.__setattr__(network, "keras_arguments", bound.arguments.get("kwargs", {}))
        return network

    def part(self, cls, name, **others):
        """A network that this one is made of: with those of its keywords that it takes, and others."""
        shared = {keyword: self.arguments[keyword] for keyword in keywords_of(cls) if keyword in self.arguments}
        return cls(**shared, **others, name=name, dtype=self.dtype_policy)

    def get_config(self):
        return {"name": self.name, "trainable": self.trainable, "dtype": self.dtype_policy.name, **self.arguments}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


def keywords_of(network):
    """{keyword: default} of the constructor of a class of networks, without those of Keras."""
    parameters = inspect.signature(network).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is not p.VAR_KEYWORD}


def takes_keywords_of(*parts, without=(), positional=("resolution", "num_channels")):
    """Class decorator: the constructor takes the keywords of its parts, with their defaults.

    Args:
        *parts: Classes of networks that the decorated one is made of.
        without: Keywords that it decides itself.
        positional: Keywords that may also be given by their position, in this order; no others may.
    """

    def decorate(cls):
        keywords = {name: default for part in parts for name, default in keywords_of(part).items()}
        kind = inspect.Parameter
        parameters = [
            *(kind(name, kind.POSITIONAL_OR_KEYWORD, default=keywords.pop(name)) for name in positional),
            *(kind(n, kind.KEYWORD_ONLY, default=default) for n, default in keywords.items() if n not in without),
            kind("kwargs", kind.VAR_KEYWORD),
        ]
        construct = cls.__init__

        @functools.wraps(construct)
        def __init__(self, *args, **kwargs):
            construct(self, *args, **kwargs)

        # Not that of the class, which its objects would have as well: they are functions of other arguments.
        __init__.__signature__ = inspect.Signature([kind("self", kind.POSITIONAL_ONLY), *parameters])
        cls.__init__ = __init__
        return cls

    return decorate


def log2_resolution(resolution):
    """log2 of a power of two from 4 to 1024; ValueError for anything else."""
    if resolution not in (4, 8, 16, 32, 64, 128, 256, 512, 1024):
        raise ValueError(f"resolution must be a power of two from 4 to 1024; received {resolution!r}.")
    return resolution.bit_length() - 1


def feature_maps(stage, fmap_base, fmap_decay, fmap_max):
    """Number of feature maps at a stage: min(fmap_base / 2^(stage decay), fmap_max). Resolution 2^r is stage r - 1.

    Raises:
        ValueError: There would be none.
    """
    maps = min(int(fmap_base / 2.0 ** (stage * fmap_decay)), fmap_max)
    if maps < 1:
        raise ValueError(
            f"fmap_base={fmap_base}, fmap_decay={fmap_decay} and fmap_max={fmap_max} leave no feature maps at "
            f"{2 ** (stage + 1)}x{2 ** (stage + 1)}; make fmap_base or fmap_max larger."
        )
    return maps


def feature_maps_by_stage(resolution, fmap_base, fmap_decay, fmap_max, fmaps=None):
    """[`feature_maps`] of every stage of a network of this resolution; or `fmaps` itself, which must be as many."""
    stages = log2_resolution(resolution)
    if fmaps is None:
        return [feature_maps(stage, fmap_base, fmap_decay, fmap_max) for stage in range(stages)]
    if len(fmaps) != stages:
        raise ValueError(f"fmaps must have {stages} numbers at resolution {resolution}; received {len(fmaps)}.")
    return list(fmaps)


def dtype_by_resolution(policy, resolution, num_half_res):
    """A function from a side to the dtype policy of its layers, under a policy of the whole network.

    Args:
        policy: Keras dtype policy.
        resolution: Full side of the images.
        num_half_res: How many of the highest resolutions, but 4x4, a mixed policy holds for; None for all, and 4x4.
            The others compute in the dtype of the variables.
    """
    if num_half_res is None:
        return lambda res: policy
    if num_half_res < 0:
        raise ValueError(f"num_half_res must be None, 0 or more; received {num_half_res}.")
    lowest = max(2 * resolution // 2**num_half_res, 8)
    return lambda res: policy if res >= lowest else keras.DTypePolicy(policy.variable_dtype)


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
