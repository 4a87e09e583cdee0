"""Which augmentation a run has: none, ADA with a probability that adapts or is fixed, DiffAugment."""

import contextlib

from stylegan_tf.augment.pipelines import parse_policy

FIXED = "ada-fixed:"


class Augmentations:
    """The values of --augment."""

    def holds(self, value):
        if value.startswith(FIXED):
            with contextlib.suppress(ValueError):
                return 0 <= fixed_p(value) <= 1
            return False
        return value in ("none", "ada", "diffaugment")

    def __str__(self):
        return f"none, ada, {FIXED}P with a probability P from 0 to 1, or diffaugment"


class Policies:
    """The values of DiffAugment's policy."""

    def holds(self, value):
        with contextlib.suppress(ValueError):
            return bool(parse_policy(value))
        return False

    def __str__(self):
        return "some of color, translation, cutout, separated by commas"


def fixed_p(augment):
    """The probability in "ada-fixed:0.3"; None where none is fixed; ValueError where it is no number."""
    return float(augment.removeprefix(FIXED)) if augment.startswith(FIXED) else None
