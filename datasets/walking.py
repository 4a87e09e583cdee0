"""All files below a folder, links followed, each folder once."""

import collections
import os
import stat

from datasets.errors import DatasetError
from datasets.naming import readable

READ_ALREADY = "linking to folders that are read anyway, the first {}"
NO_FILES = "that are no files, but devices or the like"


def walk(folder, is_visible, is_picture):
    """Returns [(name, path)] of all files below a folder, and {reason: count} of what is no file.

    Links are followed. A folder is read once: links to folders that are in the source anyway, or have it in them, are
    left out, so that loops end and no picture is there twice.

    Args:
        folder: Path.
        is_visible: Function of the name of a file or folder; what is in those that are not is listed, but errors there
            do not matter and links there are not followed.
        is_picture: Function of the name of a file; a link that leads nowhere is listed if it is called like a picture.

    Raises:
        DatasetError: A folder cannot be read, or a link leads nowhere.
    """
    walker = _Walker(folder, is_visible, is_picture)
    walker.read("", str(folder))
    while walker.links:  # after what is there itself
        walker.follow(*walker.links.popleft())
    left_out = collections.Counter({NO_FILES: walker.no_files})
    if walker.repeated:
        left_out[READ_ALREADY.format(readable(walker.repeated[0]))] = len(walker.repeated)
    return walker.files, left_out


class _Walker:
    def __init__(self, folder, is_visible, is_picture):
        self.root = os.path.realpath(folder)
        self.is_visible, self.is_picture = is_visible, is_picture
        self.files, self.links = [], collections.deque()
        self.repeated, self.no_files = [], 0  # folders that are not read again, and what is no file
        self.known = set()  # folders, by device and inode

    def read(self, below, path):
        """Lists a folder with all folders in it; names begin with `below`."""
        pending = [(below, path)]
        while pending:
            below, path = pending.pop()
            visible = all(map(self.is_visible, below.split("/")[:-1]))
            try:
                status = os.stat(path)
                entries = sorted(os.scandir(path), key=lambda entry: entry.name)
            except OSError as error:
                if not visible:
                    continue
                raise DatasetError(
                    f"{readable(path)} cannot be read ({error.strerror}). Make it readable or move it away."
                ) from error
            if (status.st_dev, status.st_ino) in self.known:
                self.repeated.append(below.rstrip("/"))
                continue
            self.known.add((status.st_dev, status.st_ino))
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append((f"{below}{entry.name}/", entry.path))
                else:
                    self.add(below + entry.name, entry, visible and self.is_visible(entry.name))

    def add(self, name, entry, visible):
        """Lists a file, or a link to one; puts a link to a folder aside."""
        try:
            mode = entry.stat().st_mode
        except OSError as error:
            if visible and not self.is_picture(entry.name):
                raise DatasetError(
                    f"{readable(entry.path)} is a link that leads nowhere ({error.strerror}). Mend or remove it."
                ) from error
            mode = stat.S_IFREG  # a picture that cannot be read
        if stat.S_ISREG(mode):
            self.files.append((name, entry.path))
        elif stat.S_ISDIR(mode):
            if visible:
                self.links.append((f"{name}/", entry.path))
        else:
            self.no_files += 1

    def follow(self, below, path):
        """Reads the folder that a link leads to."""
        target = os.path.realpath(path)
        if self.root.startswith(os.path.join(target, "")):
            self.repeated.append(below.rstrip("/"))
        else:
            self.read(below, path)
