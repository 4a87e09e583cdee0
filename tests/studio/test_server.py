"""The server: what the page asks for, and what others may not."""

import io
import json
import shlex
import struct
import time

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from metrics.options import Options
from studio import opened, under_way
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
    assert told[0]["distance"] > 0 and told[0]["by"] == "pixels" and told[0]["image"]
    recipe = {"a": {"picture": answer.json()["picture"]}}
    shown, _ = picture(client, ids[number], recipe)
    assert shown.shape == (8, 8, 3)
    other = client.post("/api/picture", json={"network": ids[1 - number], "recipe": recipe})
    assert (other.status_code, "project it into this one" in other.json()["error"]) == (400, True)


def test_a_projection_is_stopped(client, socket, ids):
    name = project(client, ids[0], png(8), steps=2000).json()["picture"]
    socket.receive_json()
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
    assert events(socket, name)[-1]["error"] == under_way.FAILED


def test_a_projection_ends_with_its_page(client, ids):
    token = client.headers["X-Studio-Token"]
    with client.websocket_connect(f"/ws?token={token}&user=me", headers={"host": "localhost"}) as socket:
        name = project(client, ids[0], png(8), steps=2000).json()["picture"]
        assert socket.receive_json()["picture"] == name
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
    assert (answer.status_code, answer.json()["error"]) == (413, "That is more than 20,480 kB.")
    answer = client.post("/api/picture", content=b"x" * (2**18 + 1))
    assert answer.status_code == 413


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
