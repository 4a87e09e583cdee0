"""ADA's transforms, pipelines, strengths and draws as data; DiffAugment's policies.

Reference:
    Karras et al., 2020a, "Training Generative Adversarial Networks with Limited Data", appendix B.
"""

from typing import NamedTuple

# Group: its transforms, all in the order in which they are applied.
GROUPS = {
    "blit": ("xflip", "rotate90", "xint"),
    "geom": ("scale", "rotate", "aniso", "xfrac"),
    "color": ("brightness", "contrast", "lumaflip", "hue", "saturation"),
    "filter": ("imgfilter",),
    "noise": ("noise",),
    "cutout": ("cutout",),
}
GEOMETRIC = (*GROUPS["blit"], *GROUPS["geom"])
TRANSFORMS = tuple(transform for group in GROUPS.values() for transform in group)
# Left out for images of one channel, where they are nothing.
NEED_COLORS = ("hue", "saturation")

# Each letter of a name is a group.
PIPELINES = {
    **GROUPS,
    **{
        name: tuple(transform for group in list(GROUPS.values())[: len(name)] for transform in group)
        for name in ("bg", "bgc", "bgcf", "bgcfn", "bgcfnc")
    },
}

# DiffAugment's, in the order of its authors.
POLICIES = ("color", "translation", "cutout")

# Sides below it have no 21 pixels to reflect, which the filter bank needs.
SMALLEST_FILTERED = 22


class Strengths(NamedTuple):
    """How far each transform goes, by default as in the paper. Shifts and the cutout's size are shares of the side."""

    xint_max: float = 0.125
    scale_std: float = 0.2
    rotate_max: float = 1.0
    aniso_std: float = 0.2
    xfrac_std: float = 0.125
    brightness_std: float = 0.2
    contrast_std: float = 0.5
    hue_max: float = 1.0
    saturation_std: float = 1.0
    imgfilter_bands: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    imgfilter_std: float = 1.0
    noise_std: float = 0.1
    cutout_size: float = 0.5


class Step(NamedTuple):
    """One application of a transform, with what is drawn for each image.

    Attributes:
        name: Name of its draw.
        transform: The transform; a rotation is applied twice, the filter to four bands.
        kind: "uniform" in [0, 1), or standard "normal".
        numbers: How many are drawn: 1, or 2 for x and y.
        gate: Name of the uniform draw that decides whether it is applied.
    """

    name: str
    transform: str
    kind: str
    numbers: int
    gate: str


def step(name, kind, numbers=1, transform=None, gate=None):
    return Step(name, transform or name, kind, numbers, gate or f"{name}_gate")


STEPS = (
    step("xflip", "uniform"),
    step("rotate90", "uniform"),
    step("xint", "uniform", 2),
    step("scale", "normal"),
    step("rotate_pre", "uniform", transform="rotate"),
    step("aniso", "normal"),
    step("rotate_post", "uniform", transform="rotate"),
    step("xfrac", "normal", 2),
    step("brightness", "normal"),
    step("contrast", "normal"),
    step("lumaflip", "uniform"),
    step("hue", "uniform"),
    step("saturation", "normal"),
    *(step(f"imgfilter_band{band}", "normal", transform="imgfilter") for band in range(4)),
    step("noise_sigma", "normal", transform="noise", gate="noise_gate"),
    step("cutout_center", "uniform", 2, transform="cutout", gate="cutout_gate"),
)


def multipliers_of(pipeline):
    """{transform: its probability as a multiple of p} of one of the `PIPELINES`; ValueError if there is none."""
    if pipeline not in PIPELINES:
        raise ValueError(f"There is no pipeline {pipeline!r}; there are: {', '.join(PIPELINES)}.")
    return dict.fromkeys(PIPELINES[pipeline], 1.0)


def steps_of(multipliers, channels):
    """The `STEPS` whose transforms have a multiplier above 0, as far as images of so many channels know them.

    Raises:
        ValueError: Colours of images that have neither one channel nor three.
    """
    colors = [transform for transform in GROUPS["color"] if multipliers.get(transform, 0)]
    if colors and channels not in (1, 3):
        raise ValueError(
            f"The transform {colors[0]} is for images of 1 or 3 channels, and these have {channels}; choose a pipeline "
            "without colours, such as --set ada.pipeline=bg."
        )
    return tuple(
        step
        for step in STEPS
        if multipliers.get(step.transform, 0) > 0 and not (channels == 1 and step.transform in NEED_COLORS)
    )


def columns(kind):
    """{name: (first, end)} of the columns that the draws of all `STEPS` take in a table of one kind, and their sum.

    The table is the same for every pipeline.
    """
    places, end = {}, 0
    for step in STEPS:
        gate = [(step.gate, 1)] if kind == "uniform" else []
        for name, numbers in [(step.name, step.numbers)] * (step.kind == kind) + gate:
            places[name] = end, end + numbers
            end += numbers
    return places, end


def unpack(uniform, normal):
    """{name: [N] or [N, 2]} of the draws of all `STEPS`, of tables that have the `columns` of both kinds."""
    draws = {}
    for kind, table in (("uniform", uniform), ("normal", normal)):
        for name, (first, end) in columns(kind)[0].items():
            draws[name] = table[:, first] if end - first == 1 else table[:, first:end]
    return draws


def parse_policy(text):
    """The policies of a text such as "color,translation,cutout", a tuple in its order; ValueError for what is none."""
    names = tuple(text.split(","))
    for name in names:
        if name not in POLICIES or names.count(name) > 1:
            raise ValueError(f"A policy is some of {', '.join(POLICIES)}, separated by commas; received {text!r}.")
    return names
