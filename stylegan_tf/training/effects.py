"""Settings that do something with another one only: what a user gives and nothing would look at is refused."""

from dataclasses import replace

from stylegan_tf.recipes.presets import full_resolution
from stylegan_tf.recipes.settings import SETTINGS
from stylegan_tf.training.checks import minibatches
from stylegan_tf.training.disk import count_steps


def _where_no_entry(table):
    """What stands in `EFFECTS` for the value of those resolutions that a table has no entry for."""

    def has_effect(config):
        return not config.resolution or not minibatches(config).keys() <= getattr(config.schedule, table).keys()

    return f": schedule.{table} has an entry for every resolution of the run. Set that instead", has_effect


def _grows(config):
    return not config.resolution or config.schedule.lod_initial_resolution < config.resolution


# {setting: (why it has no effect, function of a configuration that says whether it has)}.
EFFECTS = {
    "metric_ticks": (" without --metrics. Leave it out", lambda config: bool(config.metrics)),
    "freeze_d": (
        " but on layers that would stay random, without --init-from. Leave it out",
        lambda config: bool(config.init_from),
    ),
    "diffaugment": (" without --augment=diffaugment. Leave it out", lambda config: config.augment == "diffaugment"),
    "ada.pipeline": (
        " without --augment=ada or ada-fixed:P. Leave it out",
        lambda config: config.augment.startswith("ada"),
    ),
    **dict.fromkeys(
        ("ada.target", "ada.interval", "ada.kimg"),
        (" without --augment=ada. Leave it out", lambda config: config.augment == "ada"),
    ),
    "loss.r1_interval": (" without a --gamma above 0. Leave it out", lambda config: config.loss.r1_gamma > 0),
    "loss.gradient_penalty_target": (
        " without a loss.gradient_penalty above 0. Leave it out",
        lambda config: config.loss.gradient_penalty > 0,
    ),
    **dict.fromkeys(
        ("loss.path_length_interval", "loss.path_length_decay"),
        (" without a --path-length-weight above 0. Leave it out", lambda config: config.loss.path_length_weight > 0),
    ),
    **dict.fromkeys(
        ("schedule.lod_training_kimg", "schedule.lod_transition_kimg"),
        (" in a run that starts at the full resolution. Leave it out", _grows),
    ),
    **{
        f"schedule.{base}": _where_no_entry(table)
        for base, table in (
            ("minibatch_base", "minibatch_dict"),
            ("G_lrate_base", "G_lrate_dict"),
            ("D_lrate_base", "D_lrate_dict"),
            ("tick_kimg_base", "tick_kimg_dict"),
        )
    },
}


def check_effects(config, given):
    """ValueError for the first setting that a user gave, other than its default, and that has no effect.

    Args:
        config: TrainingConfig; while its resolution is not known, what depends on it passes.
        given: {setting: how it was given, such as --metric-ticks}.
    """
    config = replace(config, resolution=config.resolution or full_resolution(config.dataset))
    for name, option in given.items():
        if name not in EFFECTS or value_of(config, name) == SETTINGS[name].default:
            continue
        reason, has_effect = EFFECTS[name]
        if not has_effect(config):
            raise ValueError(f"{option} has no effect{reason}.")


def value_of(config, name):
    """The value of a setting, such as ada.target."""
    for part in name.split("."):
        config = getattr(config, part)
    return config


def check_profile(config, profile, images_seen=0):
    """ValueError for a profile, (first step, steps) or None, that begins after the last step of a run."""
    if profile and profile[0] >= (steps := count_steps(config, images_seen)):
        raise ValueError(
            f"--profile={profile[0]}:{profile[1]} has no effect: the run has {steps:,} steps before it. Begin earlier."
        )
