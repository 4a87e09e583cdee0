"""Labels of listed pictures: from a file dataset.json, or from the folders that they are in."""

import json
import posixpath
import re
import unicodedata
from typing import NamedTuple

import numpy as np

from datasets.errors import DatasetError
from datasets.listing import describe_file, open_file
from datasets.naming import ordered_classes, readable, stored_names

# Folders of five digits only divide many files, 00000/00000.png, and say nothing about them.
_NO_CLASS = re.compile(r"\d{5}", re.ASCII)
_MAX_CLASSES = 2**16
_MAX_NUMBER = float(np.finfo(np.float32).max)
# With more classes than this, there must be two images of each on average: ids of images are no classes, and would
# take a column of labels each.
_FEW_CLASSES = 1000


class Labels(NamedTuple):
    """Labels of pictures.

    Attributes:
        values: float32 [N, label_size], or None.
        names: What the columns mean, or None.
        origin: Where they are from; or, without labels, why there are none.
        notes: Lines about what was made of them.
    """

    values: np.ndarray | None
    names: list | None
    origin: str
    notes: tuple = ()


def find_labels(listing):
    """Returns the Labels of a Listing.

    A dataset.json at the root counts, or else the only one that there is. Without one, the folders at the root are
    classes, if there are two or more that are not all called by five digits.

    Raises:
        DatasetError: A file of labels cannot be used, or pictures lie beside class folders.
    """
    if listing.is_list:
        return Labels(None, None, "files of a list have none")
    if listing.labels:
        return _listed_labels(listing, *_choose_file(listing))
    folders = [name.split("/")[0] if "/" in name else None for name in listing.names]
    classes = ordered_classes(set(folders) - {None})
    if len(classes) < 2:
        return Labels(None, None, "there is no dataset.json, and there are no folders of two classes")
    if all(map(_NO_CLASS.fullmatch, classes)):
        return Labels(None, None, "there is no dataset.json, and folders called by five digits are no classes")
    root = describe_file((listing.archive, listing.root) if listing.archive else listing.root).rstrip("/")
    if strays := folders.count(None):
        raise DatasetError(
            f"{root} has {len(classes)} folders, which would be classes, and beside them images without a class: "
            f"{strays:,}, the first is {readable(listing.names[folders.index(None)])}. Move them into a folder, remove "
            "them, or take no labels with --labels=none."
        )
    numbers = {name: number for number, name in enumerate(classes)}
    values = _one_hot(root, [numbers[folder] for folder in folders], len(classes))
    empty = ", ".join(listing.without_pictures)
    notes = (f"no classes, as there are no images in them: {empty}",) if empty else ()
    return Labels(values, stored_names(classes, root), f"from the folders of {root}", notes)


def _choose_file(listing):
    """Returns the name of the dataset.json to use, and lines about the others."""
    at_root = [name for name in listing.labels if "/" not in name]
    others = [name for name in listing.labels if "/" in name]
    if len(at_root or others) > 1:
        first, second = (describe_file(listing.labels[name]) for name in (at_root or others)[:2])
        raise DatasetError(
            f"{first} and {second} both hold labels. Give a source with one of them, remove one, or take no labels "
            "with --labels=none."
        )
    if not at_root:
        return others[0], ()
    return at_root[0], tuple(f"{describe_file(listing.labels[name])} was not used" for name in others)


def _listed_labels(listing, name, notes):
    path = describe_file(listing.labels[name])
    table, label_names = _read_labels(path, listing.labels[name])
    if table is None:
        return Labels(None, None, f"{path} says that there are none", notes)
    table = _by_name(listing, posixpath.dirname(name), table)
    missing = [name for name in listing.names if name not in table]
    unknown = sorted(table.keys() - set(listing.names))
    if missing:
        others = f"; it lists {len(unknown)} that are not there, the first is {readable(unknown[0])}" if unknown else ""
        raise DatasetError(
            f"{path} has no label for {len(missing)} images, the first is {readable(missing[0])}{others}. "
            "Add or remove it."
        )
    if unknown:
        raise DatasetError(
            f"{path} lists {len(unknown)} images that are not there, the first is {readable(unknown[0])}. "
            "Add or remove it."
        )
    values = [table[name] for name in listing.names]
    size = _label_size(values[0])
    for name, value in zip(listing.names, values, strict=True):
        if size is None or _label_size(value) != size:
            raise DatasetError(
                f"{path} labels {readable(name)} with {json.dumps(value)}. Labels must all be classes, numbers from 0 "
                f"to {_MAX_CLASSES - 1}, or all be names of classes, or all be lists of equally many numbers."
            )
    if label_names is not None:
        label_names = stored_names(label_names, f"label_names in {path}")
    origin = f"from {path}"
    if size:
        labels = np.array(values, np.float32)
        if label_names and len(label_names) != size:
            raise DatasetError(
                f"{path} has {len(label_names)} label_names for {size} columns of labels. Correct or remove them."
            )
        return Labels(labels, label_names, origin, notes)
    columns, label_names, more = _columns(path, values, label_names)
    return Labels(
        _one_hot(path, [columns[value] for value in values], len(label_names)), label_names, origin, (*notes, *more)
    )


def _by_name(listing, folder, table):
    """Returns the table with the listing's names: a file of labels may call them as seen from its own folder, from the
    root or from the folder of the pictures, with Windows' separators, and as a disk does that does not tell cases."""
    names = set(listing.names)
    if names == table.keys():
        return table
    pictures = "/".join(posixpath.commonprefix([posixpath.dirname(name).split("/") for name in listing.names]))
    tables = [
        {posixpath.normpath(posixpath.join(base, name.replace("\\", "/"))): label for name, label in table.items()}
        for base in (folder, "", pictures)
    ]
    table = max((t for t in tables if len(t) == len(table)), key=lambda t: len(names & t.keys()), default=table)
    folded, there = {_folded(name): label for name, label in table.items()}, {_folded(name) for name in names}
    if folded.keys() == there and len(folded) == len(table) == len(names):
        return {name: folded[_folded(name)] for name in names}
    return table


def _folded(name):
    """A name without what systems change of it: the case, and the way in which accents are written."""
    return unicodedata.normalize("NFC", name).casefold()


def _columns(path, values, names):
    """Returns {class in the file: column}, the names of the columns, and lines about them.

    Numbers are the columns, unless more than half of these would be empty.
    """
    used = set(values)
    if isinstance(values[0], str):
        stored = {name: readable(name) for name in used}
        if names is None:
            classes = ordered_classes(used)
            return {name: column for column, name in enumerate(classes)}, stored_names(classes, path), ()
        unknown = sorted(set(stored.values()) - set(names))
        if unknown:
            raise DatasetError(
                f"{path} has images of the class {unknown[0]!r}, which is none of its label_names. Add or correct it."
            )
        return {name: names.index(stored[name]) for name in used}, names, ()
    highest = max(used)
    if names is not None:
        if highest >= len(names):
            raise DatasetError(
                f"{path} has {len(names)} label_names, of classes 0 to {len(names) - 1}, and images of class {highest}."
                " Classes are counted from 0. Correct or remove the label_names."
            )
        return {number: number for number in used}, names, ()
    if highest < 2 * len(used):
        return {number: number for number in used}, list(map(str, range(highest + 1))), ()
    classes = sorted(used)
    shown = ", ".join(map(str, classes[:5])) + (f", ... {highest}" if len(classes) > 5 else "")
    note = (
        f"most class numbers up to {highest:,} have no images, so that classes {shown} became columns 0 to "
        f"{len(classes) - 1:,}, named by their numbers"
    )
    return {number: column for column, number in enumerate(classes)}, list(map(str, classes)), (note,)


def _read_labels(path, fetched):
    """Returns {file: label} of a dataset.json, or None if it says that there are no labels, and their names or None."""
    try:
        with open_file(fetched) as file:
            content = json.loads(file.read())
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is no JSON file ({error}). Repair or remove it.") from error
    if not isinstance(content, dict) or not isinstance(content.get("labels", ()), list | None):
        raise DatasetError(f'{path} must hold {{"labels": [[file, class], ...]}}. Correct or remove it.')
    names = content.get("label_names")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise DatasetError(f"{path} has label_names that are no list of texts. Correct or remove them.")
    if content["labels"] is None:
        return None, None
    table = {}
    for pair in content["labels"]:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise DatasetError(f"{path} has {json.dumps(pair)} where [file, class] must be. Correct it.")
        if pair[0] in table:
            raise DatasetError(f"{path} lists {readable(pair[0])} twice. Correct it.")
        table[pair[0]] = pair[1]
    return table, names


def _label_size(value):
    """Returns 0 for a class, "" for the name of one, the length of a list of numbers, and None for anything else."""
    if type(value) is int and 0 <= value < _MAX_CLASSES:
        return 0
    if isinstance(value, str):
        return ""
    if isinstance(value, list) and value and all(map(_is_number, value)):
        return len(value)
    return None


def _is_number(value):
    return type(value) in (int, float) and abs(value) <= _MAX_NUMBER


def _one_hot(path, columns, label_size):
    """Returns labels, float32 [N, label_size]; DatasetError if the classes are so many that they cannot be any."""
    if label_size > max(_FEW_CLASSES, len(columns) // 2):
        raise DatasetError(
            f"{path} has {label_size:,} classes for {len(columns):,} images. Of more than {_FEW_CLASSES:,}, each "
            "must have two images on average; these seem to be numbers of images. Correct them, or take no labels with "
            "--labels=none."
        )
    labels = np.zeros((len(columns), label_size), np.float32)
    labels[np.arange(len(columns)), columns] = 1
    return labels
