"""Files that others publish: downloaded once, kept in a folder, and never used before their SHA-256 was checked."""

import dataclasses
import functools
import gzip
import hashlib
import os
import posixpath
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path

import pooch
from tqdm import tqdm

# Seconds without a byte, and bytes at a time.
_TIMEOUT = 30
_CHUNK = 2**20


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Attributes:
        name: What it is called in the folder where it is kept.
        url: Where it is published: the file, or the .tgz that it is in.
        size: Bytes, or None where that is not known.
        sha256: Hexadecimal SHA-256.
        option: The option of the command line that names the user's own copy, for messages.
        member: The file's name in the archive at `url`; None if that is the file itself.
    """

    name: str
    url: str
    size: int | None
    sha256: str
    option: str
    member: str | None = None

    @property
    def origin(self):
        """Where the file comes from, in words."""
        return self.url if self.member is None else f"{self.member} in {self.url}"


def find(remote, folder, path=None):
    """Returns the Path of the user's copy or of the one in the folder, checked; None where it must be downloaded.

    Args:
        remote: RemoteFile.
        folder: Where downloads are kept; it need not exist.
        path: The user's own copy, or None.

    Raises:
        ValueError: The file has another size or SHA-256.
        FileNotFoundError: There is no file at `path`.
    """
    if path is not None:
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path} is no file; {remote.option} must name a copy of {remote.origin}.")
        _check(remote, path, f"Name a copy of {remote.origin} with {remote.option}.")
        return path
    kept = Path(folder) / remote.name
    if not kept.is_file():
        return None
    _check(remote, kept, "Delete it and start again, which downloads it anew.")
    return kept


def obtain(remote, folder, path=None):
    """Returns what `find` does, and downloads the file into the folder where there is none.

    Raises:
        ValueError: The file that was found or downloaded is not the one expected.
        OSError: There is no file at `path`, or it could not be downloaded. Nothing of it remains in the folder.
    """
    return find(remote, folder, path) or _download(remote, Path(folder))


def _download(remote, folder):
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / remote.name
    by_hand = f"Put {remote.origin} at {target}, or name your copy with {remote.option}."
    # A folder of its own, as another process may be downloading the same file.
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{remote.name}.") as temporary:
        file = Path(temporary) / "download"
        try:
            _fetch(remote, file)
        except OSError as error:
            raise OSError(
                f"{remote.name} could not be downloaded from {remote.url} ({_reason(error)}). {by_hand}"
            ) from error
        if remote.member is not None:
            file = _extract(remote, file, by_hand)
        _check(remote, file, by_hand, f"{remote.name} from {remote.url}")
        os.replace(file, target)
    return target


def _fetch(remote, file):
    # pooch sets the total, but takes a bar that starts without one for none. On a terminal only, and gone at the end.
    options = {"unit": "B", "unit_scale": True, "disable": None, "leave": False}
    with tqdm(desc=remote.name, total=remote.size or 1, **options) as progress:
        pooch.HTTPDownloader(progressbar=progress, chunk_size=_CHUNK, timeout=_TIMEOUT)(remote.url, str(file), None)


def _reason(error):
    """A few words; what requests says of a failed connection is a paragraph."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP status {response.status_code}"
    return error.strerror or type(error).__name__


def _extract(remote, archive, by_hand):
    """Writes the member of a .tgz beside it and returns its path."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            member = next((item for item in tar if posixpath.normpath(item.name) == remote.member), None)
            content = member and tar.extractfile(member)
            if not content:
                raise ValueError(f"{remote.url} is an archive without a file {remote.member}. {by_hand}")
            with content, open(archive.with_name("member"), "wb") as file:
                shutil.copyfileobj(content, file, _CHUNK)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{remote.url} sent no readable .tgz ({error}). {by_hand}") from error
    return archive.with_name("member")


def _check(remote, path, advice, name=None):
    """Raises ValueError if a file is not the one published. `name`: what messages call it, unless its path."""
    facts = path.stat()
    if remote.size not in (None, facts.st_size):
        raise ValueError(f"{name or path} has {facts.st_size} bytes, but {remote.size} were expected. {advice}")
    digest = _sha256(path, facts.st_size, facts.st_mtime_ns)
    if digest != remote.sha256:
        raise ValueError(f"{name or path} has the SHA-256 {digest}, but {remote.sha256} was expected. {advice}")


@functools.cache
def _sha256(path, size, mtime_ns):
    """A file of half a gigabyte takes a second, so once a process, unless the file changes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
