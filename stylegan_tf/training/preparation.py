"""What a run needs before its first step: the data set and the networks."""

from dataclasses import replace

import keras
import tensorflow as tf

from datasets.opening import is_created, open_dataset
from stylegan_tf.networks.families import FAMILIES
from stylegan_tf.recipes.own_data import apply_guesses
from stylegan_tf.recipes.presets import is_known
from stylegan_tf.runtime.agreement import agree
from stylegan_tf.training.checks import check_labels, check_levels, network_errors
from stylegan_tf.training.models import Models


def check_backend():
    """ValueError unless Keras computes with TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"Training needs Keras on TensorFlow, but KERAS_BACKEND is {keras.backend.backend()!r}; "
            "set it to tensorflow."
        )


def open_data(config, strategy, hosts):
    """The data set of a run; where it creates itself, the chief does so, and the other hosts wait for it."""
    if hosts.count > 1 and not hosts.chief:
        agree(strategy, 0)
    data = open_dataset(config.dataset, config.data_dir, config.resolution, config.max_label_size, config.max_images)
    if hosts.count > 1 and hosts.chief:
        agree(strategy, 0)
    return data


def suit_own_data(config, given):
    """Chooses what the user of a data set without a recipe has left open, where the data set is there.

    Args:
        config: TrainingConfig of a new run.
        given: Names of the settings that the user gave.

    Returns:
        (TrainingConfig, lines that tell what was chosen and why).

    Raises:
        DatasetError: The data set cannot be used.
    """
    if is_known(config.dataset) or not is_created(config.dataset, config.data_dir):
        return config, []
    data = open_dataset(config.dataset, config.data_dir, config.resolution, config.max_label_size, config.max_images)
    return apply_guesses(config, data.resolution, given)


def check_existing_data(config):
    """The data set of a new run if it is there already, else None; errors are those of a run that cannot use it."""
    if not is_created(config.dataset, config.data_dir):
        return None
    data = open_dataset(config.dataset, config.data_dir, config.resolution, config.max_label_size, config.max_images)
    check_labels(config, data)
    check_levels(replace(config, resolution=data.resolution), data)
    return data


def sketch_networks(config, resolution, num_channels=3, label_size=0):
    """(G, D) of a run as shapes alone, in no memory and without values; ValueError if they cannot be built."""
    family = FAMILIES[config.networks]
    data = dict(resolution=resolution, num_channels=num_channels, label_size=label_size)
    with network_errors(config), keras.StatelessScope(initialize_variables=False):
        return family.generator(**data, **config.generator), family.discriminator(**data, **config.discriminator)


def build_models(config, strategy, data):
    """Networks and optimizers, with the run's own random weights; ValueError if they cannot be built."""
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.seed)
    with network_errors(config), strategy.scope():
        models = Models(config, data.num_channels, data.label_size)
    models.G.label_columns = models.Gs.label_columns = data.label_columns
    models.G.aspect = models.Gs.aspect = data.aspect
    return models
