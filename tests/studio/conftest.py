"""One studio on two tiny runs, for all tests of a file."""

import socket
import threading

import pytest
import uvicorn
from starlette.testclient import TestClient
from tiny_generators import tiny_run
from tiny_training import create_dataset

from metrics.options import Options
from studio.opened import Networks
from studio.server import make_app


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of two runs: of StyleGAN, with two snapshots each, and of StyleGAN2."""
    folder = tmp_path_factory.mktemp("runs")
    create_dataset(folder / "data")
    tiny_run(folder / "00000-tiny", folder / "data")
    tiny_run(folder / "00001-tiny", folder / "data", family="stylegan2")
    return folder


@pytest.fixture(scope="module")
def networks(runs):
    return Networks([str(runs)])


@pytest.fixture(scope="module")
def client(networks, tmp_path_factory):
    """Starlette's client of the studio, with the token that its own page has."""
    options = Options(cache_dir=tmp_path_factory.mktemp("cache"))
    app = make_app(networks, options, distance="pixels")
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        client.headers["X-Studio-Token"] = client.get("/api/networks").json()["token"]
        yield client


@pytest.fixture(scope="module")
def address(networks, tmp_path_factory):
    """Where a studio runs, behind a socket of its own."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    app = make_app(networks, Options(cache_dir=tmp_path_factory.mktemp("cache")), distance="pixels")
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="websockets-sansio", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()
