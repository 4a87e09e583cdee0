"""Published files: downloaded once and whole, checked always, and one sentence where that fails."""

import dataclasses
import gc
import hashlib
import http.server
import io
import logging
import socket
import tarfile
import threading

import pytest

from dnnlib import downloads
from dnnlib.downloads import RemoteFile, find, obtain
from metrics import weights

# pooch does not close a response that fails; it is collected in the fixture `remote`.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

CONTENT = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def tgz(name, kind=tarfile.REGTYPE):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for entry, content in (("LICENSE", b"text"), (name, CONTENT)):
            info = tarfile.TarInfo(entry)
            info.size, info.type = len(content), kind
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


FILES = {
    "/file": CONTENT,
    "/other": CONTENT[:-1] + b"x",
    "/plain.tgz": tgz("file.bin"),
    "/dotted.tgz": tgz("./file.bin"),
    "/without.tgz": tgz("other.bin"),
    "/folder.tgz": tgz("file.bin", tarfile.DIRTYPE),
    "/half.tgz": tgz("file.bin")[:-50],
}


class Server(http.server.BaseHTTPRequestHandler):
    requests = []

    def do_GET(self):
        self.requests.append(self.path)
        content = CONTENT if self.path == "/cut" else FILES.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        # "/cut" is a connection that breaks off.
        self.wfile.write(content[: len(content) // 2] if self.path == "/cut" else content)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def remote(address, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    Server.requests.clear()
    yield RemoteFile("file.bin", f"{address}/file", len(CONTENT), SHA256, "--file")
    gc.collect()


def at(remote, name, **changes):
    return dataclasses.replace(remote, url=remote.url.replace("/file", f"/{name}"), **changes)


def one_line(error):
    """That names the file and the option."""
    text = str(error.value)
    return "\n" not in text and "file.bin" in text and "--file" in text and len(text) < 500


def test_downloads_once(remote, tmp_path, capfd, caplog):
    folder = tmp_path / "a" / "b"
    assert find(remote, folder) is None and not folder.exists()
    with caplog.at_level(logging.DEBUG, logger="pooch"):
        assert obtain(remote, folder) == folder / "file.bin"
    assert (folder / "file.bin").read_bytes() == CONTENT
    assert [item.name for item in folder.iterdir()] == ["file.bin"]
    assert not caplog.records and capfd.readouterr() == ("", "")
    assert obtain(remote, folder) == find(remote, folder) == folder / "file.bin"
    assert Server.requests == ["/file"]


@pytest.mark.parametrize("archive", ["plain.tgz", "dotted.tgz"])
def test_member_of_an_archive(remote, tmp_path, archive):
    packed = at(remote, archive, size=None, member="file.bin")
    assert obtain(packed, tmp_path).read_bytes() == CONTENT
    assert [item.name for item in tmp_path.iterdir()] == ["file.bin"]


def test_own_copy(remote, tmp_path):
    copy = tmp_path / "copy"
    copy.write_bytes(CONTENT)
    assert obtain(remote, tmp_path / "cache", str(copy)) == find(remote, tmp_path / "cache", copy) == copy
    assert not (tmp_path / "cache").exists() and not Server.requests
    copy.write_bytes(FILES["/other"])
    with pytest.raises(
        ValueError, match=rf"copy has the SHA-256 \w+, but {SHA256} was expected\. Name a copy of"
    ) as error:
        obtain(remote, tmp_path, copy)
    assert "with --file." in str(error.value)
    assert copy.exists(), "the user's file is not ours to delete"
    for missing in (tmp_path / "missing", tmp_path):
        with pytest.raises(FileNotFoundError, match=r"is no file; --file must name a copy of http"):
            obtain(remote, tmp_path, missing)


def test_damaged_in_the_folder(remote, tmp_path):
    kept = obtain(remote, tmp_path)
    for content, problem in ((FILES["/other"], "the SHA-256"), (b"", f"0 bytes, but {len(CONTENT)} were expected")):
        kept.write_bytes(content)
        with pytest.raises(ValueError, match=rf"file\.bin has {problem}.*Delete it and start again") as error:
            obtain(remote, tmp_path)
        assert str(kept) in str(error.value)
    assert Server.requests == ["/file"]


def test_hashed_once_a_process(remote, tmp_path, monkeypatch):
    obtain(remote, tmp_path)
    find(remote, tmp_path)
    monkeypatch.setattr(downloads.hashlib, "file_digest", None)
    assert find(remote, tmp_path)


@pytest.mark.parametrize(
    ("name", "changes", "kind", "message"),
    [
        (
            "other",
            {},
            ValueError,
            rf"file\.bin from http\S+/other has the SHA-256 \w+, but {SHA256} was expected\. Put",
        ),
        ("file", {"size": 7}, ValueError, r"file\.bin from \S+ has 1280000 bytes, but 7 were expected\. Put"),
        ("missing", {}, OSError, r"file\.bin could not be downloaded from \S+/missing \(HTTP status 404\)\. Put"),
        ("cut", {}, OSError, r"file\.bin could not be downloaded from \S+/cut \(ChunkedEncodingError\)\. Put"),
        (
            "without.tgz",
            {"member": "file.bin"},
            ValueError,
            r"without\.tgz is an archive without a file file\.bin\. Put",
        ),
        ("folder.tgz", {"member": "file.bin"}, ValueError, r"folder\.tgz is an archive without a file file\.bin\. Put"),
        ("half.tgz", {"member": "file.bin"}, ValueError, r"half\.tgz sent no readable \.tgz"),
        ("file", {"member": "file.bin"}, ValueError, r"/file sent no readable \.tgz"),
    ],
)
def test_wrong_downloads_leave_nothing(remote, tmp_path, name, changes, kind, message):
    with pytest.raises(kind, match=message) as error:
        obtain(at(remote, name, **changes), tmp_path)
    assert one_line(error) and f"at {tmp_path / 'file.bin'}, or name your copy" in str(error.value)
    assert not list(tmp_path.iterdir())


def test_no_network(remote, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/file"
        with pytest.raises(
            OSError, match=rf"file\.bin could not be downloaded from {url} \(ConnectionError\)\."
        ) as error:
            obtain(dataclasses.replace(remote, url=url), tmp_path)
    assert one_line(error) and str(tmp_path / "file.bin") in str(error.value)
    assert not list(tmp_path.iterdir())


def test_interrupted_leaves_nothing(remote, tmp_path, monkeypatch):
    def interrupted(remote, file):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(downloads, "_fetch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        obtain(remote, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file", [weights.INCEPTION, weights.VGG16, weights.LPIPS], ids=lambda file: file.option)
def test_published_weights(file, tmp_path):
    """What run_metrics.py says of them; the files themselves are too large for a test."""
    assert weights.find(file, tmp_path) is None
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / file.name).write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"Delete it and start again"):
        weights.find(file, tmp_path)
    with pytest.raises(ValueError, match=rf"expected\. Name a copy of .*{file.url}.* with {file.option}\."):
        weights.obtain(file, tmp_path, tmp_path / "weights" / file.name)
