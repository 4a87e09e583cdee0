"""What a run would find out at its start, found out without building its networks: for `--dry-run`."""

from dataclasses import replace

from stylegan_tf.recipes.presets import full_resolution
from stylegan_tf.runtime.processor import remark_on_precision
from stylegan_tf.training.checks import (
    check_augmentation,
    check_generator,
    check_metric_ticks,
    check_minibatches,
    suggest_augmentation,
)
from stylegan_tf.training.effects import check_profile
from stylegan_tf.training.initialize import freeze_layers, plan_transfers
from stylegan_tf.training.preparation import sketch_networks


def rehearse(config, data=None, profile=None, resumed=False):
    """Checks what depends on the networks, whose shapes are enough for it.

    Args:
        config: TrainingConfig.
        data: MultiResolutionDataset, or None if it is not there yet, or not known.
        profile: See `Trainer`.
        resumed: Whether the run goes on, with weights and images seen that are not looked at here.

    Returns:
        Lines that the run would begin with, as far as they are known, a list.

    Raises:
        ValueError: The run could not start.
    """
    resolution = config.resolution or (data.resolution if data else full_resolution(config.dataset))
    if resolution is None:
        unknown = "networks, minibatches, --accumulate, --freeze-d, --init-from, --profile"
        return [
            f"Not checked before the data set is there, which decides the resolution: {unknown}. Nor are gamma, the "
            "average's half-life and the feature maps chosen, which depend on it."
        ]
    config = replace(config, resolution=resolution)
    channels, label_size = (data.num_channels, data.label_size) if data else (3, 0)
    G, D = sketch_networks(config, resolution, channels, label_size)
    check_generator(config, G)
    check_augmentation(config, data and channels)
    remarks = [
        *check_minibatches(config, D.mbstd_group_size),
        *check_metric_ticks(config),
        *filter(None, [remark_on_precision(config.precision, config.num_gpus)]),
    ]
    freeze_layers(D, config.freeze_d)
    if not resumed:
        check_profile(config, profile)
        if config.init_from:
            _, lines = plan_transfers(G, D, G, config.init_from)
            # How much fits depends on the images' channels and labels.
            remarks += lines if data else lines[:1]
        if data:
            remarks += suggest_augmentation(config, data.num_images)
    return remarks
