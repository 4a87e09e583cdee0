"""What must be right about a configuration before a run starts."""

import contextlib
import math

import tensorflow as tf

from datasets.errors import DatasetError
from stylegan_tf.augment.pipelines import SMALLEST_FILTERED, multipliers_of, parse_policy, steps_of
from stylegan_tf.networks.families import FAMILIES
from stylegan_tf.networks.network import keywords_of
from stylegan_tf.recipes.presets import full_resolution, is_known


def check_settings(config, metrics=()):
    """ValueError for a metric, a family or a network's keyword that does not exist, or that the data decide; and for a
    schedule that the family does not follow, as far as it is known without the data."""
    for name in config.metrics:
        if name not in metrics:
            raise ValueError(f"There is no metric {name!r}; there are: {', '.join(metrics) or 'none yet'}.")
    if config.networks not in FAMILIES:
        raise ValueError(f"networks must be one of {', '.join(FAMILIES)}; received {config.networks!r}.")
    if "/" in config.dataset or config.dataset in ("", ".", ".."):
        raise ValueError(
            f"dataset must be a folder's name in data_dir; received {config.dataset!r}. Give a path with --dataset."
        )
    family = FAMILIES[config.networks]
    for name, network in (("generator", family.generator), ("discriminator", family.discriminator)):
        keywords = keywords_of(network).keys() - {"resolution", "num_channels", "label_size", "growth"}
        for unknown in getattr(config, name).keys() - keywords:
            raise ValueError(f"There is no setting {name}.{unknown}; there are: {', '.join(sorted(keywords))}.")
    check_growth(config, family.generator.grows)
    check_augmentation(config)


def check_labels(config, data):
    """DatasetError if a run is to have labels that its data set, a MultiResolutionDataset, has not."""
    wanted = config.max_label_size
    if wanted and (not data.label_size or (wanted != "full" and data.label_size < wanted)):
        columns = "labels" if wanted == "full" else f"{wanted} columns of labels"
        raise DatasetError(
            f"The run is to be trained with {columns}, and {data.folder} has {data.label_size or 'none'}; use "
            "--unconditional, or create the data set again from a source with labels."
        )


def check_levels(config, data, images_seen=0):
    """Checks that a data set has all levels that a run will grow to.

    Args:
        config: TrainingConfig with a known resolution.
        data: MultiResolutionDataset.
        images_seen: Where the run is.

    Raises:
        DatasetError: A level is missing.
        ValueError: The schedule is impossible.
    """
    first = config.phase(images_seen).resolution
    last = config.phase(max(math.ceil(config.total_kimg * 1000), images_seen)).resolution
    sides = [2**level for level in range(first.bit_length() - 1, last.bit_length())]
    if missing := [side for side in sides if side not in data.resolutions]:
        lacking = ", ".join(f"{side}x{side}" for side in missing)
        raise DatasetError(
            f"{data.folder} has no level of {lacking}, and the run grows from {first}x{first} to {last}x{last}; create "
            "the data set again, train without growing (--no-growing), or start above, with "
            f"--set schedule.lod_initial_resolution={2 * missing[-1]}."
        )


def check_growth(config, grows):
    """ValueError for a schedule of growing networks, where they do not grow."""
    if grows:
        return
    schedule, resolution = config.schedule, config.resolution or full_resolution(config.dataset)
    if resolution and schedule.lod_initial_resolution < resolution:
        raise ValueError(
            f"The networks {config.networks} are not grown, but the schedule starts at "
            f"{schedule.lod_initial_resolution}x{schedule.lod_initial_resolution}; use --no-growing, and leave "
            "schedule.lod_initial_resolution out."
        )
    for name in ("lod_training_kimg", "lod_transition_kimg"):
        if getattr(schedule, name):
            raise ValueError(
                f"The networks {config.networks} are not grown, but schedule.{name} is {getattr(schedule, name)}; use "
                "--no-growing."
            )


def check_generator(config, generator):
    """ValueError for what the configuration asks of a generator that it does not do: mixing styles, growing."""
    if config.style_mixing_prob and not generator.has_styles:
        raise ValueError(
            f"The generator has no styles that could be mixed with a probability of {config.style_mixing_prob}; use "
            "--mixing-prob=0, or another --config."
        )
    check_growth(config, generator.grows)


@contextlib.contextmanager
def network_errors(config):
    """Errors of networks that are built in this block become one ValueError that names their keywords."""
    try:
        yield
    except (ArithmeticError, MemoryError, TypeError, ValueError, tf.errors.ResourceExhaustedError) as error:
        raise ValueError(
            f"The networks cannot be built with generator={config.generator} and "
            f"discriminator={config.discriminator}: {error}"
        ) from error


def check_minibatches(config, group_size):
    """Checks that every minibatch of the run divides into replicas, rounds and minibatch-stddev groups.

    Returns:
        Lines about what `accumulate` changes: nothing, unless its rounds are smaller than a group.

    Raises:
        ValueError: A minibatch does not divide.
    """
    lines = []
    rounds = config.accumulate
    for resolution, minibatch in minibatches(config).items():
        share, rest = divmod(minibatch, config.num_replicas)
        where = f"The minibatch of {minibatch} images at {resolution}x{resolution} cannot be divided"
        if rest or not share:
            raise ValueError(f"{where} among {config.num_replicas} replicas; choose a multiple with --minibatch.")
        group = min(group_size, share) if group_size > 1 else 1
        if share % group:
            raise ValueError(
                f"{where} into groups of {group_size} for the minibatch standard deviation, with {share} on each "
                "replica; choose another with --minibatch."
            )
        images, rest = divmod(share, rounds)
        if rest or not images or (images > group and images % group):
            raise ValueError(
                f"{where} into --accumulate={rounds} rounds, with {share} on each replica and groups of {group} "
                "for the minibatch standard deviation; choose another number of rounds, or another --minibatch."
            )
        if images < group:
            lines.append(
                f"At {resolution}x{resolution}, --accumulate={rounds} leaves {images} of {share} images a round: the "
                f"minibatch standard deviation sees groups of {images} instead of {group}, which changes the result."
            )
    return lines


def check_augmentation(config, channels=None):
    """ValueError for an augmentation that cannot be: as far as is known without the data, if `channels` is None."""
    if config.augment == "diffaugment" and "color" in parse_policy(config.diffaugment) and channels not in (None, 1, 3):
        raise ValueError(
            f"DiffAugment's color is for images of 1 or 3 channels, and these have {channels}; leave it out, with "
            "--set diffaugment=translation,cutout."
        )
    if not config.augment.startswith("ada"):
        return
    multipliers = multipliers_of(config.ada.pipeline)
    if channels is not None:
        steps_of(multipliers, channels)  # refuses colours of other images
    smallest = min(config.schedule.lod_initial_resolution, config.resolution or config.schedule.lod_initial_resolution)
    if "imgfilter" in multipliers and smallest < SMALLEST_FILTERED:
        raise ValueError(
            f"ada.pipeline={config.ada.pipeline} filters images of at least {SMALLEST_FILTERED} pixels, but training "
            f"starts at {smallest}x{smallest}; choose another, such as bgc, or --no-growing."
        )
    if config.augment != "ada" or config.resolution is None:
        return
    for resolution, minibatch in minibatches(config).items():
        if minibatch <= config.num_replicas:
            raise ValueError(
                f"--augment=ada judges D by its scores of the minibatch, and at {resolution}x{resolution} there is one "
                "image on each replica; choose at least two with --minibatch, or a fixed strength such as "
                "--augment=ada-fixed:0.3."
            )


# Data sets of fewer images are learnt by heart (Karras et al., 2020a, figure 1 and section 4.1).
FEW_IMAGES = 30000


def suggest_augmentation(config, images):
    """Lines that recommend augmentation to whoever trains with few images of their own; none, or one."""
    if config.augment != "none" or images >= FEW_IMAGES or is_known(config.dataset):
        return []
    return [
        f"{images:,} images are few: D learns them by heart, and pictures get worse from some point on. --augment=ada "
        "shows D changed images, as strongly as it needs; see docs/small_data.md."
    ]


def check_metric_ticks(config):
    """Lines about ticks that are not measured though they are due, as they have no snapshot; none, or one."""
    together = math.lcm(config.snapshot_ticks, config.metric_ticks)
    if not config.metrics and config.metric_ticks != 1:
        return [f"Nothing is measured: --metric-ticks={config.metric_ticks} has no effect without --metrics."]
    if config.metric_ticks == 1 or together == config.metric_ticks:
        return []
    return [
        f"Only snapshots are measured: with --snapshot-ticks={config.snapshot_ticks} and "
        f"--metric-ticks={config.metric_ticks}, that is every {together} ticks."
    ]


def minibatches(config):
    """{resolution: images} of the minibatches of a run, as they are asked for."""
    schedule, sizes = config.schedule, {}
    resolution = min(schedule.lod_initial_resolution, config.resolution)
    while resolution <= config.resolution:
        wanted = schedule.minibatch_dict.get(resolution, schedule.minibatch_base)
        sizes[resolution] = min(wanted, schedule.max_minibatch_per_gpu.get(resolution, wanted) * config.num_replicas)
        resolution *= 2
    return sizes
