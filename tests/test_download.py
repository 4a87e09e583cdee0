"""Published files: downloaded once and whole, also where connections break; checked always; one sentence for errors."""

import dataclasses
import io
import re
import resource
import tarfile
import threading
import types

import pytest
from tiny_server import CONTENT, SHA256, serving

from dnnlib import download, files
from dnnlib.download import RemoteFile, find, obtain
from stylegan_tf.perception import weights

PIECE = 5 * 2**16  # what a connection carries before it breaks: whole chunks, of which none are lost
RANGES = [None, *(f"bytes={start}-" for start in range(PIECE, len(CONTENT), PIECE))]
ALL_WAITS = [1, 2, 4, 8]


def tgz(name, kind=tarfile.REGTYPE):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for entry, content in (("LICENSE", b"text"), (name, CONTENT)):
            info = tarfile.TarInfo(entry)
            info.size, info.type = len(content), kind
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


OTHER = CONTENT[:-1] + b"x"


@pytest.fixture(scope="module")
def server():
    with serving() as server:
        yield server


@pytest.fixture
def site(server, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return server.reset()


@pytest.fixture
def remote(site):
    return RemoteFile("file.bin", f"{site.address}/file", len(CONTENT), SHA256, "--file")


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The seconds that were waited for."""
    waits = []
    monkeypatch.setattr(download, "time", types.SimpleNamespace(sleep=waits.append))
    return waits


def unknown(remote):
    """A file of which neither size nor hash is known."""
    return dataclasses.replace(remote, size=None, sha256=None)


def names(folder):
    """What is in a folder, but for the file that processes lock."""
    return sorted(item.name for item in folder.iterdir() if item.name != ".file.bin.lock")


def one_line(error):
    """That names the file, and what to do instead."""
    text = str(error.value)
    assert "\n" not in text and "file.bin" in text and len(text) < 500
    return re.search(r"Put \S.* at \S*file\.bin, or name your copy with --file\.$", text)


def break_off(remote, folder, site, piece=PIECE):
    """A first start, of which this much remains."""
    site.limit, site.refused = piece, [200] + [503] * 9
    with pytest.raises(OSError, match=rf"HTTP status 503\). The {piece} bytes that came are kept for the next start"):
        obtain(remote, folder)
    assert names(folder) == [".file.bin.download", ".file.bin.version"]
    site.limit, site.refused = None, []
    site.requests.clear()


def test_downloads_once(remote, site, tmp_path, capfd):
    folder = tmp_path / "a" / "b"
    assert find(remote, folder) is None and not folder.exists()
    assert obtain(remote, folder) == folder / "file.bin"
    assert (folder / "file.bin").read_bytes() == CONTENT
    assert names(folder) == ["file.bin"] and capfd.readouterr() == ("", "")
    assert obtain(remote, folder) == find(remote, folder) == folder / "file.bin"
    assert site.requests == [("/file", None, None)]


@pytest.mark.parametrize("name", ["file.bin", "./file.bin"])
def test_member_of_an_archive(remote, site, tmp_path, name):
    site.content = tgz(name)
    packed = dataclasses.replace(remote, member="file.bin")
    assert obtain(packed, tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == ["file.bin"]


def test_own_copy(remote, site, tmp_path):
    copy = tmp_path / "copy"
    copy.write_bytes(CONTENT)
    assert obtain(remote, tmp_path / "cache", str(copy)) == find(remote, tmp_path / "cache", copy) == copy
    assert not (tmp_path / "cache").exists() and not site.requests
    copy.write_bytes(OTHER)
    message = rf"copy has the SHA-256 \w+, but {SHA256} was expected\. Name a copy of \S+ with --file\.$"
    with pytest.raises(ValueError, match=message):
        obtain(remote, tmp_path, copy)
    assert copy.exists(), "the user's file is not ours to delete"
    for missing in (tmp_path / "missing", tmp_path):
        with pytest.raises(FileNotFoundError, match=r"is no file; --file must name a copy of http"):
            obtain(remote, tmp_path, missing)


def test_damaged_in_the_folder(remote, site, tmp_path):
    kept = obtain(remote, tmp_path)
    for content, problem in ((OTHER, "the SHA-256"), (b"", f"0 bytes, but {len(CONTENT)} were expected")):
        kept.write_bytes(content)
        with pytest.raises(ValueError, match=rf"file\.bin has {problem}.*Delete it and start again") as error:
            obtain(remote, tmp_path)
        assert str(kept) in str(error.value)
    assert len(site.requests) == 1


def test_hashed_once_a_process(remote, tmp_path, monkeypatch):
    obtain(remote, tmp_path)
    find(remote, tmp_path)
    monkeypatch.setattr(download.hashlib, "file_digest", None)
    assert find(remote, tmp_path)


def test_without_size_and_hash(remote, site, tmp_path):
    """Whatever is there is taken."""
    kept = obtain(unknown(remote), tmp_path)
    kept.write_bytes(b"mine")
    assert obtain(unknown(remote), tmp_path) == kept and len(site.requests) == 1


# What breaks goes on.


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    "headers", [{"ETag": '"1"'}, {"ETag": 'W/"1"', "Last-Modified": "Tue, 05 Feb 2019 00:00:00 GMT"}]
)
def test_goes_on_where_the_connection_broke(remote, site, tmp_path, capfd, waits, headers, known):
    site.headers, site.limit = headers, PIECE
    path = obtain(remote if known else unknown(remote), tmp_path)
    assert path.read_bytes() == CONTENT and names(tmp_path) == ["file.bin"]
    assert [asked for _, asked, _ in site.requests] == RANGES
    # Never a weak ETag, which does not promise the same bytes.
    assert {version for _, asked, version in site.requests if asked} == {headers.get("Last-Modified", '"1"')}
    # Each connection has brought something, so that it is worth trying on.
    assert waits == [1] * (len(RANGES) - 1)
    assert capfd.readouterr().err == "file.bin: the connection broke; trying again in 1 s.\n" * len(waits)


def test_goes_on_after_a_reset(remote, site, tmp_path):
    """Not an orderly end: the machine in between has lost the connection."""
    site.limit, site.resets = 3 * 2**16, 2
    assert obtain(remote, tmp_path).read_bytes() == CONTENT
    assert len(site.requests) >= 3


def test_goes_on_with_what_a_killed_process_left(remote, site, tmp_path):
    break_off(remote, tmp_path, site)
    assert (tmp_path / ".file.bin.download").read_bytes() == CONTENT[:PIECE]
    assert obtain(remote, tmp_path).read_bytes() == CONTENT
    assert site.requests == [("/file", RANGES[1], '"1"')] and names(tmp_path) == ["file.bin"]


def test_all_had_come_when_it_was_killed(remote, site, tmp_path):
    break_off(remote, tmp_path, site)
    (tmp_path / ".file.bin.download").write_bytes(CONTENT)
    assert obtain(unknown(remote), tmp_path).read_bytes() == CONTENT
    assert site.requests == [("/file", f"bytes={len(CONTENT)}-", '"1"')] and names(tmp_path) == ["file.bin"]


def test_server_sends_less_than_the_rest(remote, site, tmp_path):
    break_off(remote, tmp_path, site)
    site.most = PIECE
    assert obtain(unknown(remote), tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked, _ in site.requests] == RANGES[1:]


def test_interrupted_goes_on(remote, site, tmp_path, monkeypatch):
    class Interrupted(download.tqdm):
        def update(self, n=1):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(download, "tqdm", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            obtain(remote, tmp_path)
    assert names(tmp_path) == [".file.bin.download", ".file.bin.version"]
    assert obtain(remote, tmp_path).read_bytes() == CONTENT
    assert site.requests[1:] == [("/file", "bytes=65536-", '"1"')]


# What cannot go on starts anew.


@pytest.mark.parametrize("headers", [{"ETag": '"1"'}, {"ETag": 'W/"1"'}, {}], ids=["strong", "weak", "none"])
def test_server_without_ranges(remote, site, tmp_path, headers):
    site.headers, site.ranges, site.limit, site.cuts = headers, False, PIECE, 2
    assert obtain(unknown(remote), tmp_path).read_bytes() == CONTENT
    asked = RANGES[1] if headers == {"ETag": '"1"'} else None
    assert [item[1] for item in site.requests] == [None, asked, asked]


def test_server_sends_another_part(remote, site, tmp_path):
    break_off(remote, tmp_path, site)
    site.confused = True
    assert obtain(unknown(remote), tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked, _ in site.requests] == [RANGES[1], None]


@pytest.mark.parametrize("obedient", [True, False], ids=["If-Range", "no If-Range"])
@pytest.mark.parametrize("size", [len(CONTENT), len(CONTENT) + 7, PIECE, 1000])
def test_changed_on_the_server(remote, site, tmp_path, obedient, size):
    break_off(remote, tmp_path, site)
    site.content, site.headers, site.obedient = (OTHER + CONTENT)[-size:], {"ETag": '"2"'}, obedient
    assert obtain(unknown(remote), tmp_path).read_bytes() == site.content
    assert names(tmp_path) == ["file.bin"]


def test_another_url(remote, site, tmp_path):
    """The metric's next version takes the file from elsewhere."""
    break_off(remote, tmp_path, site)
    site.content = OTHER
    moved = dataclasses.replace(unknown(remote), url=f"{site.address}/moved")
    assert obtain(moved, tmp_path).read_bytes() == OTHER
    assert site.requests == [("/moved", None, None)]


@pytest.mark.parametrize("text", ["", "http://", "a\nb\nc", b"\xff\n"])
def test_unreadable_version(remote, site, tmp_path, text):
    break_off(remote, tmp_path, site)
    (tmp_path / ".file.bin.version").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert obtain(remote, tmp_path).read_bytes() == CONTENT
    assert site.requests == [("/file", None, None)]


def test_damaged_part(remote, site, tmp_path):
    """Power was lost, and the end of what had come is zeros."""
    break_off(remote, tmp_path, site)
    (tmp_path / ".file.bin.download").write_bytes(bytes(PIECE))
    with pytest.raises(ValueError, match=r"has the SHA-256") as error:
        obtain(remote, tmp_path)
    assert one_line(error) and not names(tmp_path)
    assert obtain(remote, tmp_path).read_bytes() == CONTENT


# Servers in trouble.


@pytest.mark.parametrize("status", [429, 500, 503])
def test_busy_server(remote, site, tmp_path, capfd, waits, status):
    site.refused = [status] * 3
    assert obtain(remote, tmp_path).read_bytes() == CONTENT
    assert waits == [1, 2, 4]
    assert capfd.readouterr().err.startswith(f"file.bin: HTTP status {status}; trying again in 1 s.\n")


@pytest.mark.parametrize("status", [404, 403, 204, 206])
def test_other_answers_are_not_asked_for_again(remote, site, tmp_path, waits, status):
    site.refused = [status] * 9
    with pytest.raises(
        OSError, match=rf"could not be downloaded from \S+/file \(HTTP status {status}\)\. Put"
    ) as error:
        obtain(remote, tmp_path)
    assert one_line(error) and not names(tmp_path) and len(site.requests) == 1 and not waits


def test_gives_up(remote, site, tmp_path, waits):
    site.headers, site.limit = {}, 1000  # too little to go on from, and always the same
    with pytest.raises(
        OSError, match=r"file\.bin could not be downloaded from \S+ \(the connection broke\)\. Put"
    ) as error:
        obtain(remote, tmp_path)
    assert one_line(error) and not names(tmp_path)
    assert waits == ALL_WAITS and len(site.requests) == 5


def test_no_network(remote, site, tmp_path, waits):
    away = dataclasses.replace(remote, url=remote.url.replace(str(site.port), str(site.closed_port)))
    with pytest.raises(OSError, match=r"file\.bin could not be downloaded from \S+ \(ConnectionError\)\. Put") as error:
        obtain(away, tmp_path)
    assert one_line(error) and not names(tmp_path) and waits == ALL_WAITS


@pytest.mark.parametrize("url", ["http://[", "nowhere://file", "http://"])
def test_no_url(remote, tmp_path, url, waits):
    with pytest.raises(OSError, match=r"file\.bin could not be downloaded from") as error:
        obtain(dataclasses.replace(remote, url=url), tmp_path)
    assert one_line(error) and not names(tmp_path) and not waits


def test_web_page(remote, site, tmp_path, waits):
    """As Google Drive sends when a file's quota is used up."""
    break_off(remote, tmp_path, site)
    before, good = site.content, site.headers
    site.content, site.headers = b"<html>Quota exceeded</html>", {"Content-Type": "text/html; charset=utf-8"}
    waits.clear()
    with pytest.raises(
        OSError, match=r"\(it sent a web page instead of the file; try a browser\)\. The .*kept"
    ) as error:
        obtain(remote, tmp_path)
    assert one_line(error) and len(site.requests) == 1 and not waits
    site.content, site.headers = before, good
    assert obtain(remote, tmp_path).read_bytes() == CONTENT
    assert site.requests[1:] == [("/file", RANGES[1], '"1"')]


def test_compressed_answer(remote, site, tmp_path):
    """Apache says of any .tgz that it is a compressed .tar."""
    site.content, site.headers = tgz("file.bin"), {"Content-Encoding": "x-gzip", "Content-Type": "application/x-tar"}
    packed = dataclasses.replace(remote, member="file.bin")
    assert obtain(packed, tmp_path).read_bytes() == CONTENT
    assert site.encodings == ["identity"]


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        (OTHER, {}, rf"file\.bin from \S+/file has the SHA-256 \w+, but {SHA256} was expected\. Put"),
        (CONTENT, {"size": 7}, rf"file\.bin from \S+/file has {len(CONTENT)} bytes, but 7 were expected\. Put"),
        (tgz("other.bin"), {"member": "file.bin"}, r"/file is an archive without a file file\.bin\. Put"),
        (
            tgz("file.bin", tarfile.DIRTYPE),
            {"member": "file.bin"},
            r"/file is an archive without a file file\.bin\. Put",
        ),
        (tgz("file.bin")[:-50], {"member": "file.bin"}, r"/file sent no readable \.tgz"),
        (CONTENT, {"member": "file.bin"}, r"/file sent no readable \.tgz"),
    ],
)
def test_wrong_downloads_leave_nothing(remote, site, tmp_path, content, changes, message):
    site.content = content
    with pytest.raises(ValueError, match=message) as error:
        obtain(dataclasses.replace(remote, **changes), tmp_path)
    assert one_line(error) and f"at {tmp_path / 'file.bin'}, or" in str(error.value)
    assert not names(tmp_path)


# This machine.


def test_full_disk(remote, site, tmp_path, waits):
    """What fits is kept, and the rest comes when there is room."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 2**16, limits[1]))
        with pytest.raises(OSError, match=r"\(File too large\)\. The 131072 bytes that came are kept") as error:
            obtain(remote, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert one_line(error) and not waits and len(site.requests) == 1
    assert obtain(remote, tmp_path).read_bytes() == CONTENT
    assert site.requests[1:] == [("/file", "bytes=131072-", '"1"')]


def test_two_at_once(remote, site, tmp_path, monkeypatch):
    """The second waits for the first, and takes what that one downloaded."""
    site.gate, said, paths = threading.Event(), [], []

    def say(text, **_):
        said.append(text)
        site.gate.set()

    # The server answers when the second has said that it waits.
    monkeypatch.setattr(files, "print", say, raising=False)
    threads = [threading.Thread(target=lambda: paths.append(obtain(remote, tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == ["Waiting for another process, which is downloading file.bin."]
    assert paths == [tmp_path / "file.bin"] * 2 and paths[0].read_bytes() == CONTENT
    assert len(site.requests) == 1


@pytest.mark.parametrize("file", [weights.INCEPTION, weights.VGG16, weights.LPIPS], ids=lambda file: file.option)
def test_published_weights(file, tmp_path):
    """What run_metrics.py says of them; the files themselves are too large for a test."""
    assert weights.find(file, tmp_path) is None
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / file.name).write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"Delete it and start again"):
        weights.find(file, tmp_path)
    with pytest.raises(ValueError, match=rf"expected\. Name a copy of .*{file.url}.* with {re.escape(file.option)}\."):
        weights.obtain(file, tmp_path, tmp_path / "weights" / file.name)
