"""Source: DiceBear's avatars, drawn here: colourful characters of which is known what each was drawn from.

Everything about an avatar is chosen by its number, so that avatar 7 of a style is the same picture in every data set,
however many others are drawn. Needs the packages dicebear-core, dicebear-styles and resvg-py; with those of `PACKAGES`
the pictures are the same everywhere.

Reference:
    https://www.dicebear.com; each style has a licence of its own.
"""

import functools
import importlib.metadata
import importlib.resources
import io
import itertools
import json
import zlib

import numpy as np
from PIL import Image
from tqdm import tqdm

from datasets.errors import DatasetError
from datasets.pool import num_cores, process_map
from datasets.source import Source
from dnnlib.optional import import_optional

STYLE, COUNT, RESOLUTION = "voxel-art", 10_000, 64
# Other versions draw other pictures; pyproject.toml asks for these.
PACKAGES = {"dicebear-core": "10.7.0", "dicebear-styles": "10.6.0", "resvg-py": "0.5.0"}
# Some styles are under their artists' own terms instead.
FREE_LICENSES = ("CC0 1.0", "CC BY 4.0", "MIT")
# Avatars of one task of a worker, which takes about half a second.
_TASK_IMAGES = 128


def avatars(style=STYLE, count=COUNT, resolution=RESOLUTION, workers=None):
    """Returns avatars 0 to `count` - 1 of a style, a Source: RGB, on white where a style has no background.

    The labels are what each was drawn from: every factor, a part such as `glasses` or a colour such as `hairColor`,
    has a column for each of its values that occurs, called `glasses=round` or `hairColor=5a3825`, with a single 1.
    The value is `none` where an avatar is drawn without. A factor with the same value in all of them has no columns.
    Angles and offsets, which some styles choose too, are no factors.

    Args:
        style: Name of a style, such as "voxel-art".
        count: Number of avatars.
        resolution: Side of the images.
        workers: Processes that draw; the default is the number of cores.

    Raises:
        DatasetError: There is no such style, its licence is not free, or it writes letters.
        ValueError: A package is not installed.
    """
    _import_packages()
    license_text = _check_style(style)
    tasks = [range(start, min(start + _TASK_IMAGES, count)) for start in range(0, count, _TASK_IMAGES)]
    parts = process_map(functools.partial(_draw, style), tasks, min(workers or num_cores(), len(tasks)))
    drawn = itertools.chain.from_iterable(parts)
    drawings, choices = zip(*tqdm(drawn, f"Drawing {style}", count, unit="img", leave=False, disable=None), strict=True)
    labels, label_names = _labels(choices)
    versions = {package: importlib.metadata.version(package) for package in PACKAGES}
    return Source(
        num_images=count,
        name=lambda index: f"avatar {index} of {style}",
        fetch=lambda index: drawings[index],
        decode=functools.partial(_rasterize, resolution=resolution),
        labels=labels,
        label_names=label_names,
        origin=f"what {style} was drawn from" if label_names else f"all of {style} were drawn from the same",
        notes=_differences(versions),
        files={"license.txt": f"{license_text}\n\nDrawn by {' '.join(map(_pin, versions.items()))}\n"},
    )


def _import_packages():
    """The modules dicebear, dicebear_styles and resvg_py."""
    pins = " ".join(map(_pin, PACKAGES.items()))
    modules = ("dicebear", "dicebear_styles", "resvg_py")
    return [import_optional(module, "Drawing avatars", "data", pins) for module in modules]


def _pin(package):
    """A (name, version) as pip takes it."""
    return "==".join(package)


def _differences(versions):
    """Lines about packages that may draw other pictures than those of `PACKAGES`."""
    return tuple(
        f"the pictures may differ from everybody's, which are drawn by {package} {PACKAGES[package]}; {found} is here"
        for package, found in versions.items()
        if found != PACKAGES[package]
    )


def _check_style(style):
    """Returns the licence of a style, as its artist words it; DatasetError if it cannot be used."""
    definitions = _definitions()
    if style not in definitions:
        raise DatasetError(f"DiceBear has no style {style!r}. {_name_free(definitions)}")
    license_ = definitions[style]["meta"]["license"]
    if not _is_free(definitions[style]):
        raise DatasetError(
            f"The licence of the style {style} is not free: {license_['name']!r}. {_name_free(definitions)}"
        )
    if _has_letters(definitions[style]):
        raise DatasetError(
            f"The style {style} writes letters, which look different with the fonts of each machine. "
            f"{_name_free(definitions)}"
        )
    return license_["text"]


def _definitions():
    """{style: its definition, a dict}."""
    folder = importlib.resources.files("dicebear_styles")
    paths = sorted((path for path in folder.iterdir() if path.name.endswith(".json")), key=lambda path: path.name)
    return {path.name.removesuffix(".json"): json.loads(path.read_text("utf-8")) for path in paths}


def _is_free(definition):
    return definition["meta"]["license"]["name"] in FREE_LICENSES


def _has_letters(definition):
    """Whether a style writes letters of the seed, which are its only variables."""
    return '"variable"' in json.dumps(definition)


def _name_free(definitions):
    free = [name for name, definition in definitions.items() if _is_free(definition) and not _has_letters(definition)]
    return f"Choose one of: {', '.join(free)}."


@functools.cache
def _open_style(style):
    """(dicebear.Style, its definition)."""
    dicebear, _, _ = _import_packages()
    definition = json.loads(importlib.resources.files("dicebear_styles").joinpath(f"{style}.json").read_text("utf-8"))
    return dicebear.Style(definition), definition


def _draw(style, indices):
    """The work of one task: [(drawing, compressed SVG; what was chosen, {factor: value})] of avatars."""
    dicebear, _, _ = _import_packages()
    opened, definition = _open_style(style)
    found = []
    for index in indices:
        avatar = dicebear.Avatar(opened, {"seed": str(index)}).to_json()
        options = avatar["options"]
        choices = {part: options.get(f"{part}Variant", "none") for part in definition.get("components", {})}
        # DiceBear also tells colours that are not seen, chosen only for others to be unlike them.
        seen = _seen_colors(style, choices)
        for name in definition.get("colors", {}):
            choices[f"{name}Color"] = _color_name(options.get(f"{name}Color") if name in seen else None)
        found.append((zlib.compress(avatar["svg"].encode()), choices))
    return found


def _seen_colors(style, variants):
    """The names of the colours that an avatar's background and parts are painted with.

    Args:
        style: Name of the style.
        variants: {part: its variant, or "none"}.
    """
    seen, places = {"background"}, [(None, None)]
    while places:
        colors, parts = _painted(style, *places.pop())
        seen |= colors
        places += [(part, variants[part]) for part in parts if variants[part] != "none"]
    return seen


@functools.cache
def _painted(style, part, variant):
    """({colours}, [parts]) that are written in a variant of a part; in the canvas itself, if `part` is None."""
    _, definition = _open_style(style)
    if part is None:
        waiting = [definition["canvas"]["elements"]]
    else:
        component = definition["components"][part]
        # Some parts are one of the other parts again.
        component = definition["components"][component["extends"]] if "extends" in component else component
        waiting = [component["variants"][variant].get("elements", [])]
    colors, parts = set(), []
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            colors |= {item["name"]} if item.get("type") == "color" else set()
            parts += [item["name"]] if item.get("type") == "component" else []
        if isinstance(item, dict | list):
            waiting += item.values() if isinstance(item, dict) else item
    return colors, parts


def _color_name(stops):
    """One colour, the stops of a gradient, or none."""
    return "-".join(stop.removeprefix("#") for stop in stops) if stops else "none"


def _labels(choices):
    """Labels and their names, float32 [N, label_size] and a list; None and None where there is nothing to choose.

    Args:
        choices: {factor: value} of each avatar.
    """
    columns, names = [], []
    for factor in choices[0]:
        values = np.array([chosen[factor] for chosen in choices])
        different = np.unique(values)
        if len(different) > 1:
            columns += [values == value for value in different]
            names += [f"{factor}={value}" for value in different]
    return (np.stack(columns, axis=1).astype(np.float32), names) if columns else (None, None)


def _rasterize(drawing, resolution):
    """Returns a drawing, compressed SVG, as uint8 [resolution, resolution, 3]."""
    _, _, resvg = _import_packages()
    png = resvg.svg_to_bytes(
        svg_string=zlib.decompress(drawing).decode(),
        width=resolution,
        height=resolution,
        background="#ffffff",
        skip_system_fonts=True,
    )
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
