"""The picture files in a folder, a .zip or a list, and how a worker process opens one of them."""

import collections
import contextlib
import functools
import io
import os
import posixpath
import stat
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from datasets.errors import DatasetError
from datasets.naming import readable
from datasets.pictures import SUFFIXES, looks_like_a_picture
from datasets.walking import walk

_LABELS = "dataset.json"
_FIRST_BYTES = 32
_TEXT_BYTES = 2**16  # in which a file that is no text has a zero byte


@dataclass(frozen=True)
class Listing:
    """Picture files.

    Attributes:
        names: What each is called, below the root: paths with "/", sorted; in a list, as the list has it.
        paths: Where each is: a path, or the name of a member of the .zip.
        root: The deepest folder that holds all pictures and dataset.json files; of a list, that of the list.
        archive: Path of the .zip, or None.
        labels: {name: what `open_file` takes} of the dataset.json files, in whatever case their name is written.
        is_list: The names are what a text file lists, in its order, and may lie anywhere.
        left_out: {what: count} of the files that are not listed.
        without_pictures: Folders at the root with files that are not listed only, sorted.
    """

    names: list
    paths: list
    root: str
    archive: str | None = None
    labels: dict = field(default_factory=dict)
    is_list: bool = False
    left_out: dict = field(default_factory=dict)
    without_pictures: tuple = ()

    def __len__(self):
        return len(self.names)

    def fetch(self, index):
        """Returns what `open_file` takes: a path, or (path of the .zip, path in it)."""
        return (self.archive, self.paths[index]) if self.archive else self.paths[index]

    def name(self, index):
        """Returns what messages call a file."""
        return describe_file(self.fetch(index))

    def subset(self, indices, rest):
        """Returns the listing of some of the files; the others are left out as `rest`, a text such as "of a split"."""
        indices = list(indices)
        left_out = collections.Counter(self.left_out)
        left_out[rest] += len(self) - len(indices)
        names, paths = ([items[index] for index in indices] for items in (self.names, self.paths))
        return replace(self, names=names, paths=paths, left_out=left_out)

    def within(self, folder):
        """Returns the files in `folder`, if there is such a folder at the root, or else all."""
        inside = [index for index, name in enumerate(self.names) if name.startswith(folder + "/")]
        return self.subset(inside, f"outside of {folder}") if inside else self


def list_pictures(source):
    """Returns the Listing of all picture files in `source`; it counts what else is there.

    A file is a picture if its suffix is one of `pictures.SUFFIXES`, or if it begins as one whatever it is called.

    Args:
        source: A folder, with all folders in it, also those that links lead to; a .zip; or a text file with a path on
            each line, relative to the folder of the text file, of any type. Lines that are blank or start with # are
            ignored.

    Raises:
        DatasetError: There is no such file, it is none of these, it holds no pictures, or a link in it leads nowhere.
    """
    path = Path(source).expanduser()
    if not path.exists():
        raise DatasetError(
            f"{readable(str(path))} does not exist. Give a folder of images, a .zip or a text file that lists images."
        )
    if path.is_dir():
        files, left_out = walk(path, is_visible, is_picture)
        listing = _sort_out(files, left_out, str(path), None)
    elif path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
        listing = _sort_out(_members(path), collections.Counter(), "", str(path))
    else:
        listing = _list_lines(path)
    if not len(listing):
        there = describe_counts(listing.left_out)
        raise DatasetError(
            f"{readable(str(path))} holds no images ({', '.join(sorted(SUFFIXES))})"
            f"{f'; there are {there}' if there else ''}. Give another source."
        )
    return listing


def describe_counts(counts, most=8):
    """Returns {what: count} in words, "3 of type .txt, 1 hidden", the most frequent first."""
    counts = sorted(((number, what) for what, number in counts.items() if number), reverse=True)
    words = [f"{number:,} {what}" for number, what in counts[:most]]
    if len(counts) > most:
        words.append(f"{sum(number for number, _ in counts[most:]):,} of other kinds")
    return ", ".join(words)


def numbered(listing, pattern, example):
    """Returns {number: index} of the files whose name, without folders, is a number.

    Args:
        listing: Listing.
        pattern: Compiled expression of the whole name, whose first group is the number.
        example: A name as it should be, for messages.

    Raises:
        DatasetError: There is none, or a number is there twice.
    """
    indices = {}
    for index, name in enumerate(listing.names):
        match = pattern.fullmatch(PurePosixPath(name).name)
        if not match:
            continue
        first = indices.setdefault(int(match[1]), index)
        if first != index:
            raise DatasetError(
                f"{listing.name(index)} has the same number as {listing.name(first)}. "
                "Give a folder that holds each image once."
            )
    if not indices:
        raise DatasetError(
            f"{readable(listing.archive or listing.root)} holds no images with names like {example}. "
            "Give the folder or .zip that does."
        )
    return indices


def describe_file(fetched):
    """Returns what messages call a file that `open_file` takes."""
    return readable(fetched if isinstance(fetched, str) else "/".join(fetched))


@contextlib.contextmanager
def open_file(fetched):
    """Yields an open binary file; if it cannot be read, here or in the block, DatasetError, without its name."""
    try:
        with open(fetched, "rb") if isinstance(fetched, str) else _archive(fetched[0]).open(fetched[1]) as file:
            yield file
    except OSError as error:
        raise DatasetError(f"it cannot be read ({error.strerror or error}). Repair or remove it.") from error
    # What zipfile raises: RuntimeError for passwords and, as NotImplementedError, unknown compressions.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise DatasetError(f"it cannot be read from the .zip ({error}). Repair or remove it.") from error


@functools.lru_cache(maxsize=1)
def _archive(path):
    """The .zip that this process works with; opened once, because its directory may list many thousand files."""
    return zipfile.ZipFile(path)


def _sort_out(files, left_out, folder, archive):
    """Returns the Listing of the pictures among the files of a folder or a .zip.

    Args:
        files: [(name with "/", path)].
        left_out: {what: count} of what is no file.
        folder: The folder that names are relative to; "" in a .zip.
        archive: Path of the .zip, or None.
    """
    pictures, labels, others = {}, {}, []
    for name, path in files:
        fetched = (archive, path) if archive else path
        last = PurePosixPath(name).name
        if not all(map(is_visible, name.split("/"))):
            left_out["hidden"] += 1
        elif last.lower() == _LABELS:
            labels[name] = fetched
        elif is_picture(last) or _begins_as_a_picture(fetched):
            pictures[name] = path
        else:
            others.append(name)
            suffix = readable(os.path.splitext(last)[1].lower())
            left_out[f"of type {suffix}" if suffix else "without suffix"] += 1
    parents = [posixpath.dirname(name).split("/") for name in (*pictures, *labels)]
    root = "/".join(posixpath.commonprefix(parents))
    start = len(root) + 1 if root else 0
    names = sorted(pictures, key=lambda name: name.split("/"))
    folders, others = (
        {name[start:].split("/")[0] for name in group if name.startswith(root) and "/" in name[start:]}
        for group in (names, others)
    )
    return Listing(
        names=[name[start:] for name in names],
        paths=[pictures[name] for name in names],
        root=posixpath.join(folder, root) if root else folder,
        archive=archive,
        labels={name[start:]: labels[name] for name in sorted(labels)},
        left_out={what: count for what, count in left_out.items() if count},
        without_pictures=tuple(sorted(others - folders)),
    )


def _members(path):
    """Returns [(name with "/", name in the .zip)] of the files in a .zip, of which some have Windows' separators."""
    _archive.cache_clear()  # the file may have changed since
    try:
        members = _archive(str(path)).infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise DatasetError(
            f"{readable(str(path))} is no readable .zip ({error}). Repair it or give another source."
        ) from error
    files = {}
    for member in members:
        name = member.filename.replace("\\", "/")
        if name.endswith("/"):
            continue
        name = "/".join(part for part in name.split("/") if part not in ("", "."))
        if stat.S_ISLNK(member.external_attr >> 16):
            raise DatasetError(
                f"{describe_file((str(path), name))} is a link, which leads nowhere in a .zip. Pack what it leads to."
            )
        if name in files:
            raise DatasetError(f"{describe_file((str(path), name))} is in the .zip twice. Pack it again.")
        files[name] = member.filename
    return list(files.items())


def _list_lines(path):
    try:
        with path.open("rb") as file:
            content = file.read(_TEXT_BYTES)
            if b"\0" not in content:
                content += file.read()
        if b"\0" in content:
            raise ValueError("a zero byte")
        lines = io.StringIO(_decoded(content, path.parent), newline=None)
    except ValueError as error:
        raise DatasetError(
            f"{readable(str(path))} is neither a folder, a .zip nor a text file with the path of an image on each "
            "line. Give one."
        ) from error
    names = [os.path.expanduser(line) for line in map(str.strip, lines) if line and not line.startswith("#")]
    return Listing(names, [os.path.join(path.parent, name) for name in names], str(path.parent), is_list=True)


def _decoded(content, folder):
    """Returns the text of a list; ValueError if it is none: neither UTF-8 nor names of files that are there."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = os.fsdecode(content)
        if not os.path.exists(os.path.join(folder, os.path.expanduser(text.split("\n", 1)[0].strip()))):
            raise
        return text


def is_visible(name):
    """Whether a file or folder of this name is one of the user's, not of the system's or of a program's."""
    return not name.startswith(".") and name != "__MACOSX"


def is_picture(name):
    """Whether a file is called like a picture."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _begins_as_a_picture(fetched):
    try:
        with open_file(fetched) as file:
            return looks_like_a_picture(file.read(_FIRST_BYTES))
    except DatasetError:
        return False
