"""The networks and optimizers that a training run carries along."""

from stylegan_tf.networks import Discriminator, Generator
from stylegan_tf.training.optimizer import Adam


class Models:
    """Generator G, discriminator D, the moving average Gs of G, and an optimizer for each of the first two.

    Construct it inside the strategy's scope.

    Args:
        config: TrainingConfig with a known resolution.
        num_channels: Colour channels of the images.
        label_size: Length of a label.
    """

    def __init__(self, config, num_channels, label_size):
        data = dict(resolution=config.resolution, num_channels=num_channels, label_size=label_size)
        self.G = Generator(**data, **config.generator, name="G")
        self.D = Discriminator(**data, **config.discriminator, name="D")
        self.Gs = Generator(**data, **config.generator, name="Gs")
        self.Gs.set_weights(self.G.get_weights())
        optimizer = config.optimizer
        self.G_optimizer = Adam(self.G.trainable_variables, optimizer.beta1, optimizer.beta2, optimizer.epsilon)
        self.D_optimizer = Adam(self.D.trainable_variables, optimizer.beta1, optimizer.beta2, optimizer.epsilon)

    def variables(self):
        """{name: tf.Variable} of everything that a checkpoint has to hold."""
        named = {}
        for network in (self.G, self.D, self.Gs):
            named |= {variable.path: variable.value for variable in network.variables}
        for network, optimizer in ((self.G, self.G_optimizer), (self.D, self.D_optimizer)):
            named[f"{network.name}_optimizer/updates"] = optimizer.updates
            for variable, m, v in zip(network.trainable_variables, optimizer.m, optimizer.v, strict=True):
                named |= {f"{variable.path}/m": m, f"{variable.path}/v": v}
        return named
