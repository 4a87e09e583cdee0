"""Files that others publish: downloaded once, kept in a folder, and checked each time they are used.

A download that breaks off goes on where it stopped: at once if the connection broke, with the next command if the
process was killed. What has come so far is .NAME.download; .NAME.version tells of which version of the file.
"""

import dataclasses
import functools
import gzip
import hashlib
import os
import posixpath
import re
import shutil
import sys
import tarfile
import time
import zlib
from pathlib import Path

import requests
import urllib3
from filelock import FileLock
from tqdm import tqdm

from dnnlib.files import acquired, atomic_file

# Seconds without a byte, and bytes at a time; those of the last, unfinished chunk are lost when a connection breaks.
_TIMEOUT = 30
_CHUNK = 2**16
# Seconds before each new try, from the first again when more of the file has come.
_WAITS = (1, 2, 4, 8)
# There was no connection, or it broke; urllib3's are those of a body that is being read.
_BROKEN = (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError)


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Attributes:
        name: What it is called in the folder where it is kept.
        url: Where it is published: the file, or the .tgz that it is in.
        size: Bytes, or None where that is not known.
        sha256: Hexadecimal SHA-256, or None where that is not known.
        option: The option that names the user's own copy, with its command where only one has it; for messages.
        member: The file's name in the archive at `url`; None if that is the file itself.
    """

    name: str
    url: str
    size: int | None
    sha256: str | None
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
        ValueError: The file that was found or downloaded is not the one expected. Nothing of a download remains.
        OSError: There is no file at `path`, or it could not be downloaded. What has come is kept for the next start.
    """
    if found := find(remote, folder, path):
        return found
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with acquired(FileLock(folder / f".{remote.name}.lock"), f"downloading {remote.name}"):
        # Another process may have downloaded it meanwhile.
        return find(remote, folder) or _download(remote, folder)


def _download(remote, folder):
    target, part = folder / remote.name, folder / f".{remote.name}.download"
    by_hand = f"Put {remote.origin} at {target}, or name your copy with {remote.option}."
    try:
        _fetch(remote, part)
        # Durable, as files of unknown size and contents cannot be checked later.
        with atomic_file(target, durable=True) as whole:
            if remote.member is None:
                os.replace(part, whole)
            else:
                _extract(remote, part, whole, by_hand)
            _check(remote, whole, by_hand, f"{remote.name} from {remote.url}")
    except (OSError, urllib3.exceptions.HTTPError) as error:
        size, _ = _resumable(remote, part)
        if not size:
            _discard(part)
        kept = f"The {size} bytes that came are kept for the next start. " if size else ""
        problem = f"{remote.name} could not be downloaded from {remote.url} ({_reason(error)})."
        raise OSError(f"{problem} {kept}{by_hand}") from error
    except ValueError:
        _discard(part)
        raise
    _discard(part)
    return target


def _fetch(remote, part):
    """Downloads into the file `part`, going on with what is there, also when the connection breaks."""
    most, waits = 0, iter(_WAITS)
    while True:
        try:
            return _receive(remote, part)
        except (requests.HTTPError, *_BROKEN) as error:
            status = error.response.status_code if isinstance(error, requests.HTTPError) else None
            if status and status != 429 and status < 500:
                raise
            if _size(part) > most:
                most, waits = _size(part), iter(_WAITS)
            wait = next(waits, None)
            if wait is None:
                raise
            print(f"{remote.name}: {_reason(error)}; trying again in {wait} s.", file=sys.stderr, flush=True)
            time.sleep(wait)


def _receive(remote, part):
    """Asks once for what `part` lacks, and appends it."""
    start, version = _resumable(remote, part)
    # Byte N of a compressed answer would not be byte N of the file.
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": version}
    with requests.get(remote.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        status = response.status_code
        if start and status in (206, 416) and not _goes_on(response, start, version):
            _discard(part)
            return _receive(remote, part)
        if start and status == 416:
            return  # all of it has come already
        if status != 200 and not (start and status == 206):
            raise requests.HTTPError(response=response)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise OSError("it sent a web page instead of the file; try a browser")
        if status == 200:
            start = 0
            _discard(part)
            _version_file(part).write_text(f"{remote.url}\n{_version(response)}")
        total = response.headers.get("Content-Range" if start else "Content-Length", "").rpartition("/")[2]
        total = int(total) if total.isdecimal() else None
        # On a terminal only, and gone at the end.
        options = {"unit": "B", "unit_scale": True, "disable": None, "leave": False}
        with part.open("ab") as file, tqdm(desc=remote.name, initial=start, total=total, **options) as progress:
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                file.write(chunk)
                progress.update(len(chunk))
    if total not in (None, _size(part)):
        raise urllib3.exceptions.IncompleteRead(_size(part), total - _size(part))


def _goes_on(response, start, version):
    """Whether an answer is the same version of the file from byte `start` on, or tells that this is its end."""
    content_range = response.headers.get("Content-Range", "")
    if response.status_code == 416:
        return content_range == f"bytes */{start}"
    return re.fullmatch(rf"bytes {start}-\d+/\d+", content_range) and _version(response) in ("", version)


def _version(response):
    """Strong ETag or date, which tells this version of a file from others; "" if the server sends neither."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _resumable(remote, part):
    """(bytes that are there, version that they are of); (0, "") if the download must start anew."""
    try:
        url, version = _version_file(part).read_text().split("\n")
    except (FileNotFoundError, ValueError):
        return 0, ""
    return (_size(part), version) if url == remote.url and version else (0, "")


def _version_file(part):
    return part.with_suffix(".version")


def _size(part):
    return part.stat().st_size if part.exists() else 0


def _discard(part):
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)


def _reason(error):
    """A few words; what requests says of a failed connection is a paragraph."""
    if isinstance(error, requests.HTTPError):
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, urllib3.exceptions.HTTPError):
        return "the connection broke"
    return type(error).__name__ if isinstance(error, requests.RequestException) else error.strerror or str(error)


def _extract(remote, archive, path, by_hand):
    """Writes the member of a .tgz."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            member = next((item for item in tar if posixpath.normpath(item.name) == remote.member), None)
            content = member and tar.extractfile(member)
            if not content:
                raise ValueError(f"{remote.url} is an archive without a file {remote.member}. {by_hand}")
            with content, open(path, "wb") as file:
                shutil.copyfileobj(content, file, _CHUNK)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{remote.url} sent no readable .tgz ({error}). {by_hand}") from error


def _check(remote, path, advice, name=None):
    """Raises ValueError if a file is not the one published. `name`: what messages call it, unless its path."""
    facts = path.stat()
    if remote.size not in (None, facts.st_size):
        raise ValueError(f"{name or path} has {facts.st_size} bytes, but {remote.size} were expected. {advice}")
    digest = remote.sha256 and _sha256(path, facts.st_size, facts.st_mtime_ns)
    if digest != remote.sha256:
        raise ValueError(f"{name or path} has the SHA-256 {digest}, but {remote.sha256} was expected. {advice}")


@functools.cache
def _sha256(path, size, mtime_ns):
    """A file of half a gigabyte takes a second, so once a process, unless the file changes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
