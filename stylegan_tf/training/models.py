"""The networks and optimizers that a training run carries along."""

import tensorflow as tf

from stylegan_tf.networks.families import FAMILIES
from stylegan_tf.runtime.optimizer import Adam
from stylegan_tf.runtime.precision import LossScale, dtype_policy
from stylegan_tf.training.augmentation import Probability
from stylegan_tf.training.initialize import freeze_layers


class Models:
    """Generator G, discriminator D, the moving average Gs of G, and an optimizer for each of the first two.

    Construct it inside the strategy's scope.

    Args:
        config: TrainingConfig with a known resolution.
        num_channels: Colour channels of the images.
        label_size: Length of a label.

    Attributes:
        G_scale, D_scale: LossScale of each loss, None but for fp16.
        path_length: Running mean of the path length, None without its penalty.
        ada: Probability of ADA's augmentation, None where it does not adapt.
        skipped: {"G", "D": variable}, updates that were skipped one after the other, up to now.
    """

    def __init__(self, config, num_channels, label_size):
        family = FAMILIES[config.networks]
        generator, discriminator = family.generator, family.discriminator
        data = dict(resolution=config.resolution, num_channels=num_channels, label_size=label_size)
        policy = dtype_policy(config.precision)
        self.G = generator(**data, **config.generator, name="G", dtype=policy)
        self.D = discriminator(**data, **config.discriminator, name="D", dtype=policy)
        # What is looked at, measured and kept is computed in float32, however the run is.
        self.Gs = generator(**data, **config.generator, name="Gs")
        self.Gs.set_weights(self.G.get_weights())
        freeze_layers(self.D, config.freeze_d)
        self.G_optimizer = Adam(self.G.trainable_variables, config.optimizer.epsilon)
        self.D_optimizer = Adam(self.D.trainable_variables, config.optimizer.epsilon)
        self.G_scale, self.D_scale = (LossScale() if config.precision == "fp16" else None for _ in range(2))
        self.path_length = tf.Variable(0.0, trainable=False) if config.loss.path_length_weight else None
        self.ada = Probability(config) if config.augment == "ada" else None
        self.skipped = {name: tf.Variable(0, dtype=tf.int64, trainable=False) for name in ("G", "D")}

    def scales(self):
        """{"G", "D": LossScale} where losses are scaled."""
        return {name: scale for name, scale in (("G", self.G_scale), ("D", self.D_scale)) if scale}

    def variables(self):
        """{name: tf.Variable} of everything that a checkpoint has to hold."""
        named = {}
        for network in (self.G, self.D, self.Gs):
            named |= {variable.path: variable.value for variable in network.variables}
        for network, optimizer in ((self.G, self.G_optimizer), (self.D, self.D_optimizer)):
            named[f"{network.name}_optimizer/updates"] = optimizer.updates
            for variable, m, v in zip(network.trainable_variables, optimizer.m, optimizer.v, strict=True):
                named |= {f"{variable.path}/m": m, f"{variable.path}/v": v}
        for name, scale in self.scales().items():
            named |= {f"{name}_scale/{part}": variable for part, variable in scale.variables().items()}
        if self.path_length is not None:
            named["path_length"] = self.path_length
        if self.ada:
            named |= self.ada.variables()
        return named
