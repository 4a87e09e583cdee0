"""The command line's parameters of data sets, with what is asked of them before any work: dataset_tool.py."""

import os
import pathlib
import re

import click

from datasets.naming import readable
from datasets.pictures import MOST_ASPECT, find_aspect
from datasets.records import is_url
from dnnlib.cli import UserPath, Whole

MOST_SIDE = 2**14  # of images, in pixels
_MAX_NAME_BYTES = 200  # of 255, for NAME-r10-00000-of-00001.tfrecords


def check_name(context, parameter, path):
    """Refuses names of data sets that TensorFlow cannot open."""
    if path != readable(path):
        raise click.BadParameter(f"{readable(path)} has letters that are no text in UTF-8. Choose another name.")
    return path


def check_new(context, parameter, path):
    """Refuses gs://bucket/NAME, of which a folder of that name would be made, and names longer than files' can be."""
    if is_url(path):
        raise click.BadParameter(f"{path} is not on this machine. Create a folder here, and copy it there.")
    name = os.path.basename(os.path.normpath(path))
    if len(os.fsencode(name)) > _MAX_NAME_BYTES:
        raise click.BadParameter(f"{name} is longer than {_MAX_NAME_BYTES} bytes. Choose a shorter name.")
    return check_name(context, parameter, path)


def parse_levels(context, parameter, text):
    """(lowest, highest) of LOW-HIGH."""
    match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text or "")
    if text is None:
        return None
    if not match or not int(match[1]) < int(match[2]) < 2**16:
        raise click.BadParameter(f"it has the form LOW-HIGH, two numbers from 0 to 65535; received {text!r}.")
    return int(match[1]), int(match[2])


def parse_aspect(context, parameter, text):
    """(width, height) of W:H."""
    if text is None:
        return None
    aspect = find_aspect(text)
    if aspect is None:
        raise click.BadParameter(
            f"it has the form W:H, such as 4:3: two different numbers, one at most {MOST_ASPECT} times the other; "
            f"received {text!r}."
        )
    return aspect


def check_power_of_two(context, parameter, side):
    if side is not None and side & (side - 1):
        raise click.BadParameter(f"{side} is no power of two.")
    return side


def check_png(context, parameter, path):
    if not path.lower().endswith(".png"):
        raise click.BadParameter(f"{path!r} does not end with .png.")
    if not pathlib.Path(path).parent.is_dir():
        raise click.BadParameter(f"{pathlib.Path(path).parent} is no folder. Create it first.")
    if not os.access(pathlib.Path(path).parent, os.W_OK | os.X_OK):
        raise click.BadParameter(f"{pathlib.Path(path).parent} must not be written to. Choose another folder.")
    return path


OUT = click.argument("out", type=UserPath(), callback=check_new)
WORKERS = click.option(
    "--workers", type=Whole(1, 1024), help="Processes that work side by side.  [default: one a core]"
)
ON_ERROR = click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    help="What to do at a file that cannot be used; those that are skipped are listed at the end, with the reasons.",
)
BACKGROUND = click.option("--background", help="Colour to lay under transparent pixels: white.  [default: refuse them]")
SOURCE = click.argument("source", type=UserPath())
DATABASE = click.argument("database", type=UserPath())
FOLDER = click.argument("folder", type=UserPath())
PATH = click.argument("path", type=UserPath())
FILE = UserPath(exists=True, dir_okay=False)
SIDE = {"type": Whole(4, MOST_SIDE), "callback": check_power_of_two}
DATASET = click.argument("dataset", type=UserPath(), callback=check_name)
ASPECT = click.option(
    "--aspect",
    metavar="W:H",
    callback=parse_aspect,
    help="Squeeze pictures of this aspect, such as 4:3, to squares, and what is made of them back.  [default: none]",
)
LEVELS = click.option(
    "--levels",
    "value_range",
    callback=parse_levels,
    metavar="LOW-HIGH",
    help="What is black and white in 16-bit files, such as 0-4095.  [default: 0-65535, where it is used]",
)
SHEET = click.option(
    "--output", type=UserPath(dir_okay=False), callback=check_png, default="preview.png", help="File to write."
)
