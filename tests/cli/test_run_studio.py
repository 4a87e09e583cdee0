"""The studio's door: what it listens on and offers, and one line for what is wrong."""

import contextlib
import io
import json
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.request import Request, urlopen

import numpy as np
import pytest
import uvicorn
from click.testing import CliRunner
from PIL import Image
from processes import start
from starlette.testclient import TestClient
from tiny_generators import tiny_generator
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import run_studio


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "Gs.keras"
    tiny_generator().save(path)
    return path


@pytest.fixture
def started(monkeypatch):
    """What would have been served: [(application, socket), ...]."""
    found = []

    def run(server, sockets):
        (listening,) = sockets
        found.append((server.config.app, listening.getsockname()))
        listening.close()

    monkeypatch.setattr(uvicorn.Server, "run", run)
    return found


def studio(*arguments):
    return CliRunner().invoke(run_studio.main, list(map(str, arguments)))


def test_it_serves_a_network_on_this_machine(started, network):
    result = studio(f"--network={network}", "--port=0")
    assert result.exit_code == 0, result.output
    ((app, (host, port)),) = started
    assert host == "127.0.0.1" and f"http://127.0.0.1:{port}/" in result.output
    with TestClient(app, base_url="http://127.0.0.1") as client:
        (found,) = client.get("/api/networks").json()["networks"]
    assert found["name"] == "Gs.keras"


def test_other_machines_are_let_in_when_asked(started, network):
    result = studio(f"--network={network}", "--port=0", "--host=0.0.0.0", "--name=box.example")
    assert result.exit_code == 0 and "no passwords" in result.output
    ((app, _),) = started
    with TestClient(app, base_url="http://box.example") as client:
        assert client.get("/api/networks").status_code == 200
        assert client.get("/api/networks", headers={"host": "other.example"}).status_code == 403


def refused(*arguments):
    result = studio(*arguments)
    assert result.exit_code == 2, result.output
    assert result.output.count("\n") == 1, result.output
    return result.output


def test_a_port_that_is_taken(network):
    with socket.create_server(("127.0.0.1", 0)) as other:
        told = refused(f"--network={network}", f"--port={other.getsockname()[1]}")
    assert "Another studio may run there; choose another port" in told


def test_what_is_no_network(tmp_path):
    assert "There is no network in" in refused(f"--network={tmp_path}", "--port=0")
    (tmp_path / "network-snapshot-000001").mkdir()
    assert "network-snapshot-000001" in refused(f"--network={tmp_path}", "--port=0")
    (tmp_path / "half.keras").write_bytes(b"PK\x03\x04")
    assert "half.keras" in refused(f"--network={tmp_path / 'half.keras'}", "--port=0")
    assert "--host=203.0.113.1" in refused("--network=avatars-64", "--host=203.0.113.1")


def test_ctrl_c_during_projections_and_a_walk(network, tmp_path):
    """It ends soon, with exit code 0 and without a traceback, though threads still have something to say."""
    process = start("run_studio.py", f"--network={network}", "--port=0", "--distance=pixels", f"--cache-dir={tmp_path}")
    address = process.stdout.readline().split()[4]
    with urlopen(f"{address}api/networks") as answer:
        known = json.load(answer)
    opened = known["networks"][0]["snapshots"][0]["id"]
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(buffer, "png")
    headers = {"X-Studio-Token": known["token"], "X-Studio-User": "me"}
    page = f"ws{address.removeprefix('http')}ws?token={known['token']}&user=me"
    with ThreadPoolExecutor(1) as pool, contextlib.suppress(ConnectionClosed), connect(page) as events:
        for _ in range(4):
            query = f"{address}api/projections?network={opened}&steps=2000"
            assert urlopen(Request(query, buffer.getvalue(), headers)).status == 200
        recipes = [{"a": {"seed": 1}}, {"a": {"seed": 2}}]
        walk = {"network": opened, "recipes": recipes, "seconds": 60, "fps": 30, "walk": "mine"}
        pool.submit(urlopen, Request(f"{address}api/walk", json.dumps(walk).encode(), headers))
        told = set()
        while not {"distance", "walk"} <= told:
            told |= json.loads(events.recv(30)).keys()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=15)
    assert (process.returncode, output, errors) == (0, "", "")
