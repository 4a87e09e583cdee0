"""First guesses for data sets that no recipe knows, from their resolution and the number of GPUs, each with its reason.

Origins of the constants are listed in PROVENANCE.md.
"""

import json
from typing import NamedTuple

from stylegan_tf.recipes.presets import CONFIGS
from stylegan_tf.recipes.schedule import minibatch_size
from stylegan_tf.recipes.settings import override

GAMMA_PER_PIXEL = 0.0002
# The papers' average has a half-life of 10 kimg with 32 images in a minibatch.
HALF_LIFE_PER_IMAGE = 10 / 32
# Feature maps (fmap_base) of the papers' configurations but sg2-f, which has twice as many, and the resolution from
# which on it has them here.
MAPS, LARGE = 8192, 512
# On a CPU, feature maps as those of digits and avatars: so many times the resolution, and at most so many in a layer.
CPU_MAPS, CPU_MOST_MAPS = 8, 64


class Guess(NamedTuple):
    """Values of settings, {name: value}, and why they have been chosen."""

    values: dict
    reason: str

    def __str__(self):
        return f"{', '.join(f'{name}={value:g}' for name, value in self.values.items())}: {self.reason}"


def guesses(config, resolution):
    """The guesses for a run on images of one side, a list.

    Args:
        config: TrainingConfig, as preset and user have made it.
        resolution: Side of the images.
    """
    schedule = config.schedule
    limits = {side: most * config.num_replicas for side, most in schedule.max_minibatch_per_gpu.items()}
    # As it is asked for: whether it divides among the replicas is checked once they are there.
    minibatch = minibatch_size(resolution, 1, schedule.minibatch_base, schedule.minibatch_dict, limits)
    made = [
        Guess(
            {"average_half_life_kimg": round_to_digits(HALF_LIFE_PER_IMAGE * minibatch)},
            f"as many steps, with {minibatch} images in a minibatch, as the papers' 10 with 32.",
        )
    ]
    if config.loss.r1_gamma:
        made.append(
            Guess(
                {"loss.r1_gamma": round_to_digits(GAMMA_PER_PIXEL * resolution**2 / minibatch)},
                f"{GAMMA_PER_PIXEL} * {resolution} * {resolution} pixels / {minibatch} images in a minibatch, a first "
                "guess; also try a few times less and more, with --gamma.",
            )
        )
    return made + guess_feature_maps(config, resolution)


def guess_feature_maps(config, resolution):
    """A list of one guess of how large the networks should be; of none, where the configuration's are as good."""
    if config.init_from:
        return []  # the weights would not fit
    maps = CONFIGS[config.config].get("generator", {}).get("fmap_base", MAPS)
    parts = ("generator", "discriminator")
    if not config.num_gpus:
        values = {"fmap_base": CPU_MAPS * resolution * maps // MAPS, "fmap_max": CPU_MOST_MAPS}
        reason = "small networks, as for digits and avatars, for a CPU."
    elif maps > MAPS and resolution < LARGE:
        values = {"fmap_base": MAPS}
        reason = f"half of what --config={config.config} has, for less than {LARGE}x{LARGE} pixels."
    else:
        return []
    return [Guess({f"{part}.{name}": value for part in parts for name, value in values.items()}, reason)]


def apply_guesses(config, resolution, given):
    """Sets what the user has left open.

    Args:
        config: TrainingConfig, as preset and user have made it.
        resolution: Side of the images.
        given: Names of the settings that the user gave, such as loss.r1_gamma, or generator for all of its keywords.

    Returns:
        (TrainingConfig, lines that tell what was set and why).
    """
    lines = []
    for values, reason in guesses(config, resolution):
        open_values = {
            name: value for name, value in values.items() if name not in given and name.partition(".")[0] not in given
        }
        if open_values:
            config = override(config, [f"{name}={json.dumps(value)}" for name, value in open_values.items()])
            lines.append(str(Guess(open_values, reason)))
    return config, lines


def round_to_digits(value):
    """A number with three significant digits."""
    return float(f"{value:.3g}")
