"""What came of a conversion, or would: images, classes with sizes, where labels are from, what was left out."""

import collections
import math

import numpy as np

from datasets.listing import describe_counts
from datasets.naming import readable
from datasets.pyramid import describe_shape

_MAX_SHOWN = 20


def is_one_hot(labels):
    """Whether each row of labels, [N, label_size], has a single 1 and zeros."""
    return bool(((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all())


def summarize(num_images, labels, names, source, skipped=0):
    """Returns the line, without a full stop.

    Args:
        num_images: Images of the data set.
        labels: Their labels, float32 [num_images, label_size], or None.
        names: What the columns of the labels mean, or None.
        source: Source.
        skipped: How many of the source's images could not be used.
    """
    left_out = collections.Counter(source.left_out)
    left_out["that could not be used"] += skipped
    left_out["beyond --max-images"] += source.num_images - num_images - skipped
    origin = f" ({readable(source.origin)})" if source.origin else ""
    parts = [
        f"{num_images:,} image{'s' if num_images > 1 else ''}, {_describe_labels(labels, names)}{origin}",
        *map(readable, source.notes),
        f"left out: {describe_counts(left_out) or 'nothing'}",
    ]
    return "; ".join(parts)


def describe_plan(out, source, plan):
    """Returns what would be created, in one line; `plan` is what datasets.convert.plan_dataset returns."""
    what = summarize(len(plan.order), plan.labels, plan.label_names, source)
    size = f"{describe_shape(plan.shape)}, about {math.ceil(plan.num_bytes / 2**20):,} MiB"
    unusable = f"; {source.num_unusable:,} of them cannot be used" if source.num_unusable else ""
    return f"Would create {out} of {size}: {what}{unusable}."


def describe_skipped(skipped, where=""):
    """Returns lines that list what was skipped, [(name, reason)], and why; none if nothing was."""
    if not skipped:
        return []
    more = len(skipped) - _MAX_SHOWN
    return [
        f"Skipped {len(skipped):,} that could not be used{where}:",
        *(f"  {name}: {reason}" for name, reason in skipped[:_MAX_SHOWN]),
        *([f"  and {more:,} more"] if more > 0 else []),
    ]


def _describe_labels(labels, names):
    if labels is None:
        return "no labels"
    size = labels.shape[1]
    names = names or [str(column) for column in range(size)]
    if not is_one_hot(labels):
        return f"{size} label column{'s' if size > 1 else ''}: {_listed(names)}"
    counts = np.count_nonzero(labels, axis=0)
    present = [f"{name} ({count:,})" for name, count in zip(names, counts, strict=False) if count]
    text = f"{len(present)} class{'es' if len(present) > 1 else ''}: {_listed(present)}"
    empty = [name for name, count in zip(names, counts, strict=False) if not count]
    return text + (f"; without images: {_listed(empty)}" if empty else "")


def _listed(items):
    more = len(items) - _MAX_SHOWN
    return ", ".join(items[:_MAX_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
