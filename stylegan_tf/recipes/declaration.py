"""How a setting is declared, once: its default, its meaning, what it may be, and what depends on it."""

import dataclasses
import typing
from dataclasses import dataclass, field

# Where no other end is meant: numbers that float32 holds with their squares, those of TensorFlow's int32, minibatches.
MOST_NUMBER, MOST_COUNT, MOST_IMAGES = 1e9, 2**31 - 1, 65536


@dataclass(frozen=True)
class Range:
    """Numbers from `least` to `most`, without the one of them that is `excluded`."""

    least: float
    most: float
    excluded: float | None = None

    def holds(self, value):
        return self.least <= value <= self.most and value != self.excluded

    def __str__(self):
        if self.most in (MOST_NUMBER, MOST_COUNT, MOST_IMAGES):
            return f"{'greater than' if self.excluded == self.least else 'at least'} {self.least}"
        return f"from {self.least} to {'below ' if self.excluded == self.most else ''}{self.most}"


class Choices(tuple):
    """The values that a setting may have."""

    def holds(self, value):
        return value in self

    def __str__(self):
        return f"one of {', '.join(self)}"


NOT_NEGATIVE, POSITIVE, SHARE = Range(0, MOST_NUMBER), Range(0, MOST_NUMBER, excluded=0), Range(0, 1)
COUNT, COUNT_OR_NONE = Range(1, MOST_COUNT), Range(0, MOST_COUNT)
MINIBATCH = Range(1, MOST_IMAGES)


def setting(default, text, allowed=None, resumable=False, learned=True, unset=None, path=False):
    """A field of a configuration.

    Args:
        default: Its default; a function that makes it where it can change, as lists and dicts can.
        text: What it means, in a sentence or two, for `--help` and docs/settings.md.
        allowed: Range or Choices of its value, or of each value of a table; None (the value) is always allowed.
        resumable: Whether a resumed run may change it.
        learned: Whether it changes what a run learns, up to rounding and random draws.
        unset: What a default of None stands for.
        path: Whether it is a path, in which a user may write ~ for the home directory.
    """
    own = {"default_factory": default} if callable(default) else {"default": default}
    known = {"text": text, "allowed": allowed, "resumable": resumable, "learned": learned, "unset": unset, "path": path}
    return field(**own, metadata=known)


@dataclass(frozen=True)
class Setting:
    """What is known of a setting: the arguments of `setting`, with its type."""

    kind: type
    default: object
    text: str
    allowed: Range | Choices | None
    resumable: bool
    learned: bool
    unset: str | None
    path: bool


def settings_of(cls, prefix=""):
    """{"loss.r1_gamma": Setting, ...} of a configuration's class, in the order of the declarations."""
    found, types = {}, typing.get_type_hints(cls)
    for declared in dataclasses.fields(cls):
        name, kind = f"{prefix}{declared.name}", types[declared.name]
        if dataclasses.is_dataclass(kind):
            found |= settings_of(kind, f"{name}.")
        else:
            made = declared.default_factory is not dataclasses.MISSING
            default = declared.default_factory() if made else declared.default
            found[name] = Setting(kind, default, **declared.metadata)
    return found


def check_allowed(config, prefix=""):
    """ValueError for the first setting of a configuration whose value is not allowed."""
    for declared in dataclasses.fields(config):
        name, value = f"{prefix}{declared.name}", getattr(config, declared.name)
        if dataclasses.is_dataclass(value):
            check_allowed(value, f"{name}.")
            continue
        allowed = declared.metadata["allowed"]
        if allowed is None or value is None:
            continue
        items = {f"{name}[{key}]": item for key, item in value.items()} if isinstance(value, dict) else {name: value}
        for label, item in items.items():
            if not allowed.holds(item):
                # The upper end, where it stands in no table.
                above = isinstance(allowed, Range) and item > allowed.most and str(allowed.most) not in str(allowed)
                expected = f"at most {allowed.most:.10g}" if above else allowed
                raise ValueError(f"{label} must be {expected}; received {item!r}.")
