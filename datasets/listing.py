"""The picture files in a folder, a .zip or a list, and how a worker process opens one of them."""

import contextlib
import functools
import os
import posixpath
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from datasets.errors import DatasetError

_EXTENSIONS = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}
_LABELS = "dataset.json"


@dataclass(frozen=True)
class Listing:
    """Picture files.

    Attributes:
        names: What each is called, below the root: paths with "/", sorted; in a list, as the list has it.
        root: The folder, or the folder in the .zip, that the names are relative to.
        archive: Path of the .zip, or None.
        labels: What `open_file` takes for the dataset.json at the root, or None if there is none.
        is_list: The names are what a text file lists, in its order, and may lie anywhere.
    """

    names: list
    root: str
    archive: str | None = None
    labels: object = None
    is_list: bool = False

    def __len__(self):
        return len(self.names)

    def fetch(self, index):
        """Returns what `open_file` takes: a path, or (path of the .zip, path in it)."""
        path = (posixpath if self.archive else os.path).join(self.root, self.names[index])
        return (self.archive, path) if self.archive else path

    def name(self, index):
        """Returns what messages call a file."""
        return describe_file(self.fetch(index))

    def subset(self, indices):
        """Returns the listing of some of the files."""
        return replace(self, names=[self.names[index] for index in indices])

    def within(self, folder):
        """Returns the files in `folder`, if there is such a folder at the root, or else all."""
        inside = [index for index, name in enumerate(self.names) if name.startswith(folder + "/")]
        return self.subset(inside) if inside else self


def list_pictures(source):
    """Returns the Listing of all picture files in `source`; other types and hidden ones are ignored.

    Args:
        source: A folder, with all folders in it (links to folders are not followed); a .zip, whose root is the folder
            that holds everything in it; or a text file with a path on each line, relative to the folder of the text
            file, of any type. Lines that are blank or start with # are ignored.

    Raises:
        DatasetError: There is no such file, it is none of these, or it holds no pictures.
    """
    path = Path(source).expanduser()
    if not path.exists():
        raise DatasetError(f"{path} does not exist. Give a folder of images, a .zip or a text file that lists images.")
    if path.is_dir():
        listing = _list_folder(path)
    elif path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
        listing = _list_zip(path)
    else:
        listing = _list_lines(path)
    if not len(listing):
        raise DatasetError(f"{path} holds no images ({', '.join(sorted(_EXTENSIONS))}). Give another source.")
    return listing


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
            f"{listing.archive or listing.root} holds no images with names like {example}. "
            "Give the folder or .zip that does."
        )
    return indices


def describe_file(fetched):
    """Returns what messages call a file that `open_file` takes."""
    return fetched if isinstance(fetched, str) else "/".join(fetched)


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


def _list_folder(folder):
    names = []
    for parent, folders, files in os.walk(folder, onerror=_refuse_folder):
        folders[:] = filter(_is_visible, folders)
        below = Path(parent).relative_to(folder)
        names += [(below / file).as_posix() for file in files if _is_picture(file)]
    labels = os.path.join(folder, _LABELS)
    return Listing(_sorted(names), str(folder), labels=labels if os.path.exists(labels) else None)


def _refuse_folder(error):
    raise DatasetError(f"{error.filename} cannot be read ({error.strerror}). Make it readable or move it away.")


def _list_zip(path):
    _archive.cache_clear()  # the file may have changed since
    try:
        members = _archive(str(path)).namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise DatasetError(f"{path} is no readable .zip ({error}). Repair it or give another source.") from error
    members = [member for member in members if all(map(_is_visible, member.split("/")))]
    pictures = [member for member in members if _is_picture(member)]
    labels = [member for member in members if PurePosixPath(member).name == _LABELS]
    parents = [posixpath.dirname(member).split("/") for member in pictures + labels]
    root = "/".join(posixpath.commonprefix(parents))
    names = [member[len(root) + 1 if root else 0 :] for member in pictures]
    at_root = posixpath.join(root, _LABELS)
    return Listing(_sorted(names), root, str(path), (str(path), at_root) if at_root in labels else None)


def _list_lines(path):
    names = []
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for line in map(str.strip, lines):
                if "\0" in line:
                    raise ValueError("a zero byte")
                if line and not line.startswith("#"):
                    names.append(os.path.expanduser(line))
    except ValueError as error:
        raise DatasetError(
            f"{path} is neither a folder, a .zip nor a text file with the path of an image on each line. Give one."
        ) from error
    return Listing(names, str(path.parent), is_list=True)


def _is_visible(name):
    return not name.startswith(".") and name != "__MACOSX"


def _is_picture(name):
    return _is_visible(name) and os.path.splitext(name)[1].lower() in _EXTENSIONS


def _sorted(names):
    return sorted(names, key=lambda name: name.split("/"))
