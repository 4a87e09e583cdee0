"""The server: what the page asks for, and what others may not."""

import asyncio
import io
import json
import shlex
import socket as sockets
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from metrics.options import Options
from studio import opened, pages, recipes, saving, server, under_way
from studio.jobs import FAILED
from studio.pages import Pages
from studio.server import make_app
from stylegan_tf.commands import generate
from stylegan_tf.editing.projected import read_projected

RECIPE = {"a": {"seed": 3}}


@pytest.fixture(scope="module")
def ids(client):
    """Ids of the last snapshots: of StyleGAN's run, and of StyleGAN2's."""
    return [network["snapshots"][-1]["id"] for network in client.get("/api/networks").json()["networks"]]


@pytest.fixture
def socket(client):
    token = client.headers["X-Studio-Token"]
    with client.websocket_connect(f"/ws?token={token}&user=me", headers={"host": "localhost"}) as socket:
        yield socket


def drawn(socket, **request):
    """(header, images) of a request, or its text message."""
    socket.send_text(json.dumps({"n": 1, "view": "grid"} | request))
    message = socket.receive()
    if message.get("text"):
        return json.loads(message["text"])
    data = message["bytes"]
    (length,) = struct.unpack("<I", data[:4])
    header, at, images = json.loads(data[4 : 4 + length]), 4 + length, []
    for size in header["sizes"]:
        images.append(np.asarray(Image.open(io.BytesIO(data[at : at + size]))))
        at += size
    return header, images


def picture(client, network, recipe):
    """(pixels, text) of a recipe's PNG file."""
    answer = client.post("/api/picture", json={"network": network, "recipe": recipe})
    assert answer.status_code == 200, answer.text
    image = Image.open(io.BytesIO(answer.content))
    return np.asarray(image), image.info


def test_networks(client, runs):
    first, second = client.get("/api/networks").json()["networks"]
    assert (first["name"], second["name"]) == ("00000-tiny", "00001-tiny")
    assert [snapshot["kimg"] for snapshot in first["snapshots"]] == [1.234, 2.345]
    facts = client.get(f"/api/networks/{first['snapshots'][-1]['id']}").json()
    assert (facts["resolution"], facts["num_layers"], facts["kimg"]) == (8, 4, 2.345)
    assert facts["groups"] == {"coarse": [0, 1, 2, 3]}
    assert facts["previews"] == [4]
    names = [one["name"] for one in client.get(f"/api/networks/{facts['id']}/directions").json()["directions"]]
    assert {"pca-0", "sefa-0"} <= set(names)


def test_drawing(client, socket, ids):
    for network in ids:
        header, images = drawn(socket, network=network, images=[RECIPE, {"a": {"seed": 4}}])
        assert (header["n"], header["count"], header["side"]) == (1, 2, 8)
        np.testing.assert_array_equal(images[0], picture(client, network, RECIPE)[0])
        header, (small,) = drawn(socket, network=network, images=[RECIPE], side=4)
        assert small.shape == (4, 4, 3)


@pytest.mark.parametrize(
    "request_, words",
    [
        ({"images": []}, "1 to 64 images"),
        ({"images": [RECIPE] * 65}, "1 to 64 images"),
        ({"images": [{}]}, "needs the source a"),
        ({"images": [RECIPE], "side": 5}, "no previews"),
        ({"images": [RECIPE], "network": "0-999"}, "no network"),
        ({"images": [RECIPE], "network": "../../etc/passwd"}, "no network"),
        ({"images": [RECIPE], "network": {"a": 1}}, "no network"),
        ({"n": "x"}, "a number n"),
        ({"view": "v" * 41}, "a number n"),
    ],
)
def test_requests_that_mean_nothing(socket, ids, request_, words):
    told = drawn(socket, **{"network": ids[0]} | request_)
    assert words in told["error"]
    assert "\n" not in told["error"]


def test_what_is_not_json(socket, ids):
    for text, words in (
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ("[" * 10000, "not JSON"),
        ('{"n": NaN}', "NaN"),
        ('{"n": 1' + "0" * 400 + "}", "too long a number"),
    ):
        socket.send_text(text)
        assert words in socket.receive_json()["error"]
    assert drawn(socket, network=ids[0], images=[RECIPE])[0]["count"] == 1


def test_the_newest_request_of_a_view_is_the_one_that_counts(socket, ids):
    for n in range(30):
        socket.send_text(json.dumps({"n": n, "view": "stage", "network": ids[0], "images": [{"a": {"seed": n}}]}))
    answers = [socket.receive() for _ in range(30)]
    dropped = [answer for answer in answers if answer.get("text")]
    assert all(json.loads(answer["text"])["dropped"] for answer in dropped)
    (length,) = struct.unpack("<I", answers[-1]["bytes"][:4])
    assert json.loads(answers[-1]["bytes"][4 : 4 + length])["n"] == 29


def part(socket):
    """The header of a part of a request's images, or what is told instead."""
    message = socket.receive()
    if message.get("text"):
        return json.loads(message["text"])
    (length,) = struct.unpack("<I", message["bytes"][:4])
    return json.loads(message["bytes"][4 : 4 + length])


@pytest.fixture
def one_by_one(monkeypatch):
    """Images are drawn one at a time: [first seed of each part], and an event without which the next part waits."""
    drawn, free = [], threading.Event()
    images = pages.images

    def held(some, *arguments):
        drawn.append(some[0].sources[0].value)
        assert free.wait(30)
        return images(some, *arguments)

    monkeypatch.setattr(recipes, "_PIXELS", 64)
    monkeypatch.setattr(pages, "images", held)
    yield drawn, free
    free.set()


def seeds(*numbers):
    return [{"a": {"seed": number}} for number in numbers]


def until(condition):
    """Waits until something is so."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "It is still not so."
        time.sleep(0.01)


def settle(socket):
    """Returns once what was sent waits for the engine: messages are taken up in their order."""
    socket.send_text("{")
    assert "not JSON" in socket.receive_json()["error"]


def test_many_images_come_one_after_the_other_and_others_between_them(client, socket, ids, one_by_one):
    drawn, free = one_by_one
    token = client.headers["X-Studio-Token"]
    with client.websocket_connect(f"/ws?token={token}&user=other", headers={"host": "localhost"}) as other:
        socket.send_text(json.dumps({"n": 1, "view": "grid", "network": ids[0], "images": seeds(1, 2, 3)}))
        until(lambda: drawn == [1])
        other.send_text(json.dumps({"n": 7, "view": "grid", "network": ids[0], "images": seeds(70)}))
        settle(other)
        free.set()
        parts = [part(socket) for _ in range(3)]
        assert [(one["first"], one["count"], one["of"]) for one in parts] == [(0, 1, 3), (1, 1, 3), (2, 1, 3)]
        assert part(other)["n"] == 7
    assert drawn.index(70) < drawn.index(3)


def test_the_rest_of_what_was_replaced_is_not_drawn(socket, ids, one_by_one):
    drawn, free = one_by_one
    socket.send_text(json.dumps({"n": 1, "view": "grid", "network": ids[0], "images": seeds(*range(20))}))
    until(lambda: drawn == [0])
    socket.send_text(json.dumps({"n": 2, "view": "grid", "network": ids[0], "images": seeds(50, 51)}))
    settle(socket)
    free.set()
    told = [part(socket) for _ in range(4)]
    assert {"n": 1, "view": "grid", "dropped": True} in told
    assert [one["first"] for one in told if one["n"] == 2] == [0, 1]
    assert drawn == [0, 50, 51]


def test_others_draw_while_directions_are_found(client, socket, ids, networks, monkeypatch):
    free, unit_steps = threading.Event(), opened.unit_steps
    monkeypatch.setattr(opened, "unit_steps", lambda *arguments: free.wait(30) and unit_steps(*arguments))
    vars(networks.open(ids[1])).pop("directions", None)
    recipe = RECIPE | {"directions": [{"name": "pca-0", "strength": 1}]}
    with ThreadPoolExecutor(1) as pool:
        listed = pool.submit(client.get, f"/api/networks/{ids[1]}/directions")
        socket.send_text(json.dumps({"n": 1, "view": "moved", "network": ids[1], "images": [recipe]}))
        assert drawn(socket, n=2, network=ids[1], images=[RECIPE])[0]["n"] == 2
        free.set()
        assert part(socket)["n"] == 1
        assert "pca-0" in listed.result().text


def test_what_a_page_has_asked_for_is_not_drawn_once_it_is_closed(client, ids, one_by_one):
    drawn, free = one_by_one
    token = client.headers["X-Studio-Token"]
    with client.websocket_connect(f"/ws?token={token}", headers={"host": "localhost"}) as socket:
        socket.send_text(json.dumps({"n": 1, "view": "grid", "network": ids[0], "images": seeds(*range(20))}))
        until(lambda: drawn)
    free.set()
    assert picture(client, ids[0], RECIPE)[0].shape == (8, 8, 3)
    assert drawn == [0]


def test_saved_pictures_tell_where_they_are_from(client, ids, runs, tmp_path):
    image, text = picture(client, ids[0], RECIPE)
    assert text["seed"] == "3"
    assert json.loads(text["studio recipe"]) == RECIPE
    told = client.post("/api/command", json={"network": ids[0], "recipe": RECIPE}).json()
    python, script, *arguments = shlex.split(told["command"])
    assert (python, script, told["needs_latents"]) == ("python", "run_generator.py", False)
    arguments[-1] = f"--outdir={tmp_path}"
    result = CliRunner().invoke(generate.main, arguments)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(image, np.asarray(Image.open(tmp_path / "seed0003.png")))


@pytest.mark.parametrize("noise", ["fixed", "random", "off"])
def test_latents_make_the_picture_again(client, ids, tmp_path, noise):
    recipe = {"a": {"seed": 1}, "b": {"seed": 2}, "mix": [1, 2], "psi": 0.9, "noise": noise}
    for number, network in enumerate(ids):
        folder = tmp_path / str(number)
        folder.mkdir()
        content = client.post("/api/w", json={"network": network, "recipe": recipe}).content
        (folder / "w.npz").write_bytes(content)
        assert read_projected(folder).w.shape == (1, 4, 16)
        command = client.post("/api/command", json={"network": network, "recipe": recipe}).json()
        assert command["needs_latents"]
        arguments = shlex.split(command["command"])[2:-2]
        arguments += [f"--w={folder}", f"--outdir={folder / 'out'}"]
        result = CliRunner().invoke(generate.main, arguments)
        assert result.exit_code == 0, result.output
        made = np.asarray(Image.open(folder / "out" / f"{number}.png"))
        np.testing.assert_array_equal(made, picture(client, network, recipe)[0])


def test_a_walk(client, ids):
    asked = {"network": ids[0], "recipes": [{"a": {"seed": 1}}, {"a": {"seed": 2}}], "seconds": 0.5, "fps": 10}
    gif = client.post("/api/walk", json=asked | {"format": "gif"})
    with Image.open(io.BytesIO(gif.content)) as video:
        assert video.n_frames == 5
    assert client.post("/api/walk", json=asked).content[4:8] == b"ftyp"
    for wrong, words in (
        ({"recipes": [RECIPE]}, "2 to 64 images"),
        ({"seconds": 1e9}, "seconds must be"),
        ({"fps": 0}, "fps must be"),
        ({"seconds": 120, "fps": 50}, "2 to 1800 frames"),
        ({"format": "avi"}, "mp4 or gif"),
        ({"recipes": [{}, {}]}, "needs the source a"),
    ):
        answer = client.post("/api/walk", json=asked | wrong)
        assert (answer.status_code, words in answer.json()["error"]) == (400, True), answer.text


def long_walk(network):
    return {"network": network, "recipes": [RECIPE, {"a": {"seed": 2}}], "seconds": 60, "fps": 30}


def test_walks_have_a_limit(client, ids, monkeypatch):
    free, begun = threading.Event(), []

    def held(path, *arguments):
        begun.append(path)
        assert free.wait(30)
        path.write_bytes(b"a video")

    monkeypatch.setattr(server, "save_walk", held)
    with ThreadPoolExecutor(server.MOST_WALKS) as pool:
        walks = [pool.submit(client.post, "/api/walk", json=long_walk(ids[0])) for _ in range(server.MOST_WALKS)]
        until(lambda: len(begun) == server.MOST_WALKS)
        answer = client.post("/api/walk", json=long_walk(ids[0]))
        free.set()
    assert (answer.status_code, answer.json()["error"]) == (
        400,
        "4 walks are being recorded already; wait for one of them.",
    )
    assert {walk.result().content for walk in walks} == {b"a video"}
    assert client.post("/api/walk", json=long_walk(ids[0])).content == b"a video"  # there is room again


def test_a_walk_ends_with_its_page(client, ids):
    token = client.headers["X-Studio-Token"]
    with ThreadPoolExecutor(1) as pool:
        with client.websocket_connect(f"/ws?token={token}&user=me", headers={"host": "localhost"}) as socket:
            asked = long_walk(ids[0]) | {"walk": "mine"}
            walk = pool.submit(client.post, "/api/walk", json=asked, headers={"X-Studio-User": "me"})
            told = socket.receive_json()
            assert (told["walk"], told["of"]) == ("mine", 1800) and told["done"] < 1800
        answer = walk.result()
    assert (answer.status_code, "its page was closed" in answer.json()["error"]) == (400, True)


def test_a_walk_ends_when_nobody_waits_for_it(address, monkeypatch):
    made, parts = [], saving.Walk.frames
    monkeypatch.setattr(saving.Walk, "frames", lambda walk, numbers: made.append(len(numbers)) or parts(walk, numbers))
    with urlopen(f"{address}api/networks") as response:
        answer = json.load(response)
    asked = json.dumps(long_walk(answer["networks"][0]["snapshots"][-1]["id"])).encode()
    place = urlsplit(address)
    with sockets.create_connection((place.hostname, place.port)) as connection:
        head = f"POST /api/walk HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Studio-Token: {answer['token']}\r\n"
        connection.sendall(f"{head}Content-Length: {len(asked)}\r\n\r\n".encode() + asked)
        until(lambda: made)
    before = len(made)
    time.sleep(2)
    assert len(made) <= before + 3
    assert sum(made) < 1800


@pytest.mark.parametrize("name", ["w", "picture", "command", "walk"])
def test_what_cannot_be_saved(client, ids, name):
    between = {"from": RECIPE, "to": RECIPE, "t": 0.5}
    for network, recipe, words in (({"a": 1}, RECIPE, "no network"), (ids[0], between, "has no 'from'")):
        answer = client.post(f"/api/{name}", json={"network": network, "recipe": recipe, "recipes": [recipe] * 2})
        assert (answer.status_code, words in answer.json()["error"]) == (400, True), answer.text


def test_a_command_has_the_truncation_as_it_was_given(client, ids):
    recipe = RECIPE | {"psi": 0.123456789}
    told = client.post("/api/command", json={"network": ids[0], "recipe": recipe}).json()
    assert "--truncation-psi=0.123456789" in shlex.split(told["command"])


def png(side, channels=3):
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, channels), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(buffer, "png")
    return buffer.getvalue()


def events(socket, name):
    """What is told of a projection, to its end."""
    told = []
    while not told or not ({"done", "error"} & told[-1].keys()):
        told.append(socket.receive_json())
        assert told[-1]["picture"] == name
    return told


def project(client, network, content, **query):
    query = "&".join(f"{key}={value}" for key, value in ({"network": network, "steps": 6} | query).items())
    return client.post(f"/api/projections?{query}", content=content, headers={"X-Studio-User": "me"})


@pytest.mark.parametrize("number", [0, 1])
def test_a_picture_is_projected_and_becomes_a_source(client, socket, ids, number):
    answer = project(client, ids[number], png(16))
    told = events(socket, answer.json()["picture"])
    assert told[-1]["done"] and told[-1]["step"] == 6
    seen = next(one for one in told if "step" in one)
    assert seen["distance"] > 0 and seen["by"] == "pixels" and seen["image"]
    recipe = {"a": {"picture": answer.json()["picture"]}}
    shown, _ = picture(client, ids[number], recipe)
    assert shown.shape == (8, 8, 3)
    other = client.post("/api/picture", json={"network": ids[1 - number], "recipe": recipe})
    assert (other.status_code, "project it into this one" in other.json()["error"]) == (400, True)


def test_a_projection_is_stopped(client, socket, ids):
    name = project(client, ids[0], png(8), steps=2000).json()["picture"]
    until(lambda: "step" in socket.receive_json())
    assert client.delete(f"/api/projections/{name}").status_code == 200
    last = events(socket, name)[-1]
    assert last["done"] and last["step"] < 2000
    for _ in range(100):
        if (answer := client.delete(f"/api/projections/{name}")).status_code == 404:
            break
        time.sleep(0.05)
    assert "no such projection" in answer.json()["error"]


def test_pictures_outlive_their_network_being_closed(client, socket, ids, monkeypatch):
    name = project(client, ids[0], png(8)).json()["picture"]
    events(socket, name)
    monkeypatch.setattr(opened, "MOST_OPEN", 1)
    picture(client, ids[1], RECIPE)
    assert picture(client, ids[0], {"a": {"picture": name}})[0].shape == (8, 8, 3)


def test_a_projection_that_breaks_says_so(client, socket, ids, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("no memory is left")

    monkeypatch.setattr(under_way, "Projection", broken)
    name = project(client, ids[0], png(8)).json()["picture"]
    assert events(socket, name)[-1]["error"] == FAILED


@pytest.fixture
def opening(networks, tmp_path, monkeypatch):
    """A studio in which a distance is being opened until an event is set: (client, socket, event, [what it raises])."""
    free, problems, open_distance = threading.Event(), [], under_way.open_distance

    def held(generator, name, dataset, data_dir, options, report):
        for share in (0.0, 0.25):
            report("Training the classifiers of tiny, once", share)
        while not free.wait(0.01):
            report("Training the classifiers of tiny, once", 0.25)
        for problem in problems:
            raise problem
        return open_distance(generator, name, dataset, data_dir, options, report)

    monkeypatch.setattr(under_way, "open_distance", held)
    app = make_app(networks, Options(cache_dir=tmp_path), distance="pixels")
    with TestClient(app, base_url="http://localhost") as client:
        token = client.headers["X-Studio-Token"] = client.get("/api/networks").json()["token"]
        with client.websocket_connect(f"/ws?token={token}&user=me", headers={"host": "localhost"}) as socket:
            yield client, socket, free, problems
            free.set()


def test_others_draw_while_classifiers_are_trained(opening, ids):
    client, socket, free, _ = opening
    first = project(client, ids[0], png(8)).json()["picture"]
    what = {"picture": first, "waiting": "Training the classifiers of tiny, once"}
    assert [socket.receive_json() for _ in range(2)] == [what | {"share": 0.0}, what | {"share": 0.25}]
    assert drawn(socket, network=ids[0], images=[RECIPE])[0]["count"] == 1
    second = project(client, ids[0], png(8)).json()["picture"]
    assert socket.receive_json() == what | {"picture": second, "share": 0.25}  # who comes later is told as well
    free.set()
    ends = {}
    while ends.keys() != {first, second}:
        told = socket.receive_json()
        if {"done", "error"} & told.keys():
            ends[told["picture"]] = told
    assert all(end["done"] for end in ends.values())


@pytest.mark.parametrize(
    "problem, words", [(OSError("vgg16.pth cannot be had."), "vgg16.pth cannot be had."), (KeyError("x"), FAILED)]
)
def test_what_a_projection_needs_and_cannot_have(opening, ids, problem, words):
    client, socket, free, problems = opening
    problems.append(problem)
    free.set()
    name = project(client, ids[0], png(8)).json()["picture"]
    assert events(socket, name)[-1] == {"picture": name, "error": words}


def test_a_projection_is_stopped_while_classifiers_are_trained(opening, ids):
    client, socket, _, _ = opening
    name = project(client, ids[0], png(8)).json()["picture"]
    assert "waiting" in socket.receive_json()
    assert client.delete(f"/api/projections/{name}").status_code == 200
    assert "stopped before its first step" in events(socket, name)[-1]["error"]


def test_what_is_told_after_the_end(networks):
    """A thread may have something to say when the server has ended."""
    told = Pages(networks, None, None)
    told.tell("me", {"picture": "x"})  # before the first page
    told._loop = asyncio.new_event_loop()
    told._loop.close()
    told.tell("me", {"picture": "x"})


def test_a_projection_ends_with_its_page(client, ids):
    token = client.headers["X-Studio-Token"]
    with client.websocket_connect(f"/ws?token={token}&user=me", headers={"host": "localhost"}) as socket:
        name = project(client, ids[0], png(8), steps=2000).json()["picture"]
        until(lambda: "step" in socket.receive_json())
    recipe = {"a": {"picture": name}}  # it is one once its projection has ended
    for _ in range(100):
        if client.post("/api/picture", json={"network": ids[0], "recipe": recipe}).status_code == 200:
            return
        time.sleep(0.05)
    pytest.fail("It goes on.")


@pytest.mark.parametrize(
    "content, query, words",
    [
        (b"not a picture", {}, "it is no image"),
        (png(4), {}, "smaller than the network's 8x8"),
        (png(8), {"steps": 0}, "steps must be"),
        (png(8), {"steps": "9" * 9}, "steps must be"),
        (png(8), {"space": "z"}, r"space must be w or w+"),
        (png(8), {"network": "7"}, "no network"),
    ],
)
def test_pictures_that_do_not_fit(client, ids, content, query, words):
    answer = project(client, query.pop("network", ids[0]), content, **query)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_uploads_have_a_limit(client, ids):
    answer = project(client, ids[0], b"x" * (20 * 2**20 + 1))
    assert (answer.status_code, answer.json()["error"]) == (413, "Your picture must have at most 20 MB.")
    answer = client.post("/api/picture", content=b"x" * (2**18 + 1))
    assert (answer.status_code, answer.json()["error"]) == (413, "A request must have at most 256 kB.")


def test_other_names_pages_and_old_tokens_are_refused(client):
    for headers in ({"host": "evil.example"}, {"host": "localhost.evil.example:80"}, {"host": ""}, {"host": "[::1"}):
        answer = client.get("/api/networks", headers=headers)
        assert (answer.status_code, "no name of the studio" in answer.json()["error"]) == (403, True)
    for origin in ("http://evil.example", "null", "https://localhost:1", "http://[::1", ""):
        answer = client.get("/api/networks", headers={"origin": origin})
        assert (answer.status_code, "Another page" in answer.json()["error"]) == (403, True)
    assert client.get("/api/networks", headers={"origin": "http://localhost"}).status_code == 200
    for token in ("", "x", "é"):
        answer = client.post("/api/picture", json={}, headers={"X-Studio-Token": token.encode()})
        assert (answer.status_code, "token" in answer.json()["error"]) == (403, True)
    for address, headers in (("/ws?token=x", {}), ("/ws", {}), ("/ws", {"host": "evil.example"})):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(address, headers=headers):
            pass


def test_names_have_no_case(networks):
    with TestClient(make_app(networks, Options(), ("Box.Example",)), base_url="http://box.example") as client:
        assert client.get("/api/networks").status_code == 200


@pytest.mark.parametrize(
    "address",
    ["/static/../server.py", "/static/%2e%2e/web.py", "/static/%2e%2e%2fweb.py", "/api/networks/..%2f..%2fetc"],
)
def test_nothing_else_can_be_read(client, address):
    assert client.get(address).status_code in (400, 404)


def test_the_page_and_its_headers(client):
    page = client.get("/")
    assert page.status_code == 200 and 'src="static/main.js"' in page.text
    assert client.get("/static/main.js").headers["content-type"].startswith("text/javascript")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"


def test_a_snapshot_that_is_half_written(client, runs):
    """It is named, and the other networks still work."""
    broken = runs / "00000-tiny" / "network-snapshot-000003"
    broken.mkdir()
    try:
        first, second = client.get("/api/networks").json()["networks"]
    finally:
        broken.rmdir()
    assert (first["snapshots"], "network-snapshot-000003" in first["error"]) == ([], True)
    assert len(second["snapshots"]) == 2
