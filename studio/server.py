"""The server: one static page, and what it asks for. It believes nobody: see `guarded`, and the limits below."""

import asyncio
import contextlib
import json
import secrets
import struct
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocketDisconnect

from studio.engine import Dropped, Engine
from studio.recipes import images, parse, parse_recipe
from studio.saving import (
    FAST,
    MOST_FRAMES,
    MOST_KEYS,
    MOST_SECONDS,
    Walk,
    command,
    encode,
    latents_file,
    picture,
    save_walk,
)
from studio.under_way import FAILED, MOST_STEPS, Projections
from stylegan_tf.editing.projection import SPACES
from stylegan_tf.export.web import PAGE, page_facts

MOST_IMAGES = 64  # of a request
MOST_JSON, MOST_UPLOAD = 2**18, 20 * 2**20  # bytes
MOST_USERS = 100
MOST_DIGITS = 20  # of a whole number
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def make_app(networks, options, hosts=LOOPBACK, **distance):
    """The studio as an ASGI application.

    Args:
        networks: `opened.Networks`.
        options: `metrics.options.Options`, where projections find what they need.
        hosts: Names that the server answers to.
        **distance: Other arguments of `Projections`.
    """
    studio = Studio(networks, options, **distance)
    routes = [
        Route("/", studio.page),
        Route("/api/networks", studio.list),
        Route("/api/networks/{network}", studio.describe),
        Route("/api/networks/{network}/directions", studio.directions),
        *(
            Route(f"/api/{name}", getattr(studio, name), methods=["POST"])
            for name in ("w", "picture", "command", "walk")
        ),
        Route("/api/projections", studio.project, methods=["POST"]),
        Route("/api/projections/{picture}", studio.stop, methods=["DELETE"]),
        WebSocketRoute("/ws", studio.draw),
        Mount("/static", StaticFiles(directory=PAGE)),
    ]
    handlers = {HTTPException: _said, ValueError: _refused, OSError: _refused, Exception: _failed}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=studio.lifespan)
    return guarded(app, hosts, studio.token)


def guarded(app, hosts, token):
    """An application that answers requests to its own names only, from its own pages, and changes nothing without the
    token that these get: other pages in the user's browser can neither read nor do anything."""

    names = {name.lower() for name in hosts}  # as urlsplit writes them

    async def checked(scope, receive, send):
        if scope["type"] not in ("http", "websocket"):
            return await app(scope, receive, send)
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        host, origin = headers.get("host", ""), headers.get("origin")
        problem = None
        if _name_of(f"//{host}") not in names:
            problem = "This is no name of the studio; open the address that it has printed."
        elif origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            problem = "Another page has asked; only the studio's own may."
        elif scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD"):
            given = headers.get("x-studio-token") or dict(_pairs(scope["query_string"])).get("token", "")
            if not secrets.compare_digest(given.encode(), token.encode()):
                problem = "The token is missing or old; load the page anew."
        if problem is None:
            return await app(scope, receive, _with_headers(send))
        if scope["type"] == "websocket":
            await receive()
            return await send({"type": "websocket.close", "code": 4403, "reason": problem})
        return await JSONResponse({"error": problem}, 403)(scope, receive, _with_headers(send))

    return checked


class Studio:
    """What the routes do."""

    def __init__(self, networks, options, **distance):
        self.networks, self.engine = networks, Engine()
        self.projections = Projections(self.engine, options, **distance)
        self.token = secrets.token_urlsafe(24)
        self.users = {}  # {name: asyncio.Queue of what is to be sent}

    @contextlib.asynccontextmanager
    async def lifespan(self, app):
        self.loop = asyncio.get_running_loop()
        yield
        self.projections.close()
        await run_in_threadpool(self.engine.close)

    async def page(self, request):
        return Response((PAGE / "index.html").read_bytes(), media_type="text/html")

    async def list(self, request):
        found = await run_in_threadpool(self.networks.list)
        return JSONResponse({"networks": found, "token": self.token})

    async def describe(self, request):
        network = request.path_params["network"]
        found = await self._ask("page", network, lambda opened: page_facts(opened.sampler))
        target = await run_in_threadpool(self.networks.find, network)
        return JSONResponse({"id": network, "name": target.name, "kimg": target.kimg, **found})

    async def directions(self, request):
        steps = await self._ask("page", request.path_params["network"], lambda opened: opened.directions)
        return JSONResponse({"directions": [{"name": name, "remark": remark} for name, (_, remark) in steps.items()]})

    async def picture(self, request):
        asked = await _json(request)
        png = await self._ask_recipe(asked, picture, with_value=True)
        return Response(png, media_type="image/png")

    async def w(self, request):
        content = await self._ask_recipe(await _json(request), latents_file)
        return Response(content, media_type="application/octet-stream")

    async def command(self, request):
        asked = await _json(request)
        source = self.networks.source_of(asked.get("network"))
        text, needs_w = await self._ask_recipe(asked, lambda recipe, opened: command(recipe, source, opened))
        return JSONResponse({"command": text, "needs_latents": needs_w})

    async def walk(self, request):
        asked = await _json(request)
        keys, seconds, fps = asked.get("recipes"), asked.get("seconds", 8), asked.get("fps", 24)
        form, name = asked.get("format", "mp4"), str(asked.get("walk", ""))[:40]
        if form not in ("mp4", "gif"):
            raise ValueError("format must be mp4 or gif.")
        for value, what, most in ((seconds, "seconds", MOST_SECONDS), (fps, "fps", 50)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
                raise ValueError(f"{what} must be a number above 0, at most {most}.")
        if not isinstance(keys, list) or not 2 <= len(keys) <= MOST_KEYS:
            raise ValueError(f"A walk goes through 2 to {MOST_KEYS} images.")
        frames = round(seconds * fps)
        if not 2 <= frames <= MOST_FRAMES:
            raise ValueError(f"A walk has 2 to {MOST_FRAMES} frames; this would have {frames}.")
        opened = await self._open(asked.get("network"))
        recipes = await self._run("walk", lambda: [parse_recipe(key, opened) for key in keys])
        walk = Walk(recipes, frames, bool(asked.get("loop", True)), opened)
        user, place = request.headers.get("x-studio-user", ""), ("walk", secrets.token_hex(4))

        def ask(function):
            return self.engine.ask(place, "frames", function).result()

        def report(done):
            self._tell(user, {"walk": name, "done": done, "of": frames})

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"walk.{form}"
            await run_in_threadpool(save_walk, path, ask, walk, fps, report)
            content = path.read_bytes()
        return Response(content, media_type="video/mp4" if form == "mp4" else "image/gif")

    async def project(self, request):
        query = request.query_params
        steps, space = query.get("steps", "200"), query.get("space", "w")
        if not steps.isdecimal() or len(steps) > 5 or not 1 <= int(steps) <= MOST_STEPS:
            raise ValueError(f"steps must be a number from 1 to {MOST_STEPS}.")
        if space not in SPACES:
            raise ValueError(f"space must be {' or '.join(SPACES)}.")
        opened = await self._open(query.get("network"))
        content, user = await _body(request, MOST_UPLOAD), request.headers.get("x-studio-user", "")
        name = await run_in_threadpool(
            self.projections.start, opened, content, int(steps), space, user, lambda told: self._tell(user, told)
        )
        return JSONResponse({"picture": name})

    async def stop(self, request):
        if not self.projections.stop(request.path_params["picture"]):
            raise HTTPException(404, "There is no such projection; it may have ended.")
        return JSONResponse({})

    async def draw(self, socket):
        """Answers what a user drags and clicks; see `Engine`."""
        if len(self.users) >= MOST_USERS:
            await socket.close(4429, "Too many pages are open; close one.")
            return
        user = socket.query_params.get("user", "")[:40] or secrets.token_hex(8)
        while user in self.users:
            user = secrets.token_hex(8)
        await socket.accept()
        outgoing = self.users[user] = asyncio.Queue(1000)
        sending = asyncio.create_task(_send_all(socket, outgoing))
        try:
            while True:
                text = await socket.receive_text()
                asyncio.create_task(self._answer(user, text, outgoing)).add_done_callback(_read_result)
        except (WebSocketDisconnect, KeyError):  # KeyError: bytes, which the page does not send
            pass
        finally:
            sending.cancel()
            del self.users[user]
            self.engine.forget(user)
            self.projections.forget(user)

    async def _answer(self, user, text, outgoing):
        asked = {}
        try:
            asked = _parsed(text)
            known = {"n": asked.get("n"), "view": asked.get("view")}
            if not isinstance(known["n"], int) or not isinstance(known["view"], str) or len(known["view"]) > 40:
                raise ValueError("A request has a number n and the name of a view.")
            future = self.engine.ask(
                user, known["view"], lambda: _drawn(asked, self.networks.open(asked.get("network")))
            )
            sizes, side, content = await asyncio.wrap_future(future)
        except Dropped:
            return await outgoing.put(json.dumps(known | {"dropped": True}))
        except Exception as error:
            told = str(error) if isinstance(error, ValueError | OSError) else FAILED
            which = {key: asked.get(key) for key in ("n", "view")} if isinstance(asked, dict) else {}
            await outgoing.put(json.dumps(which | {"error": told}))
            if not isinstance(error, ValueError | OSError):
                raise
            return None
        header = json.dumps(known | {"count": len(sizes), "side": side, "sizes": sizes}).encode()
        return await outgoing.put(struct.pack("<I", len(header)) + header + content)

    def _tell(self, user, told):
        """Sends something to a user's page, from any thread; whoever has gone, or does not read, misses it."""

        def put():
            with contextlib.suppress(KeyError, asyncio.QueueFull):
                self.users[user].put_nowait(json.dumps(told))

        self.loop.call_soon_threadsafe(put)

    async def _open(self, network):
        """The `Opened` of an id; opening is the engine's work."""
        return await self._run("page", lambda: self.networks.open(network))

    async def _run(self, user, function):
        return await asyncio.wrap_future(self.engine.ask(user, secrets.token_hex(4), function))

    async def _ask(self, user, network, function):
        return await self._run(user, lambda: function(self.networks.open(network)))

    async def _ask_recipe(self, asked, function, with_value=False):
        """What a function of a recipe and its network returns."""

        def call(opened):
            value = asked.get("recipe")
            given = (value,) if with_value else ()
            return function(parse_recipe(value, opened), *given, opened)

        return await self._ask("page", asked.get("network"), call)


def _drawn(asked, opened):
    """(sizes, side, bytes) of the images that a request asks for."""
    values, side = asked.get("images"), asked.get("side")
    if not isinstance(values, list) or not 1 <= len(values) <= MOST_IMAGES:
        raise ValueError(f"A request is for 1 to {MOST_IMAGES} images.")
    if side is not None and side not in opened.sampler.generator.synthesis.preview_sides:
        raise ValueError("The network has no previews of this side.")
    made = images([parse(value, opened) for value in values], opened, side)
    shown = made if side is not None else opened.sampler.pictures(made)
    files = [encode(image, **FAST) for image in shown]
    return [len(file) for file in files], side or opened.sampler.resolution, b"".join(files)


async def _send_all(socket, outgoing):
    while True:
        message = await outgoing.get()
        await (socket.send_text(message) if isinstance(message, str) else socket.send_bytes(message))


def _read_result(task):
    """So that asyncio prints what was not foreseen, at once."""
    if not task.cancelled() and (error := task.exception()):
        task.get_loop().call_exception_handler({"message": "A request has failed", "exception": error})


async def _body(request, most):
    """The body of a request, bytes; ValueError if it is longer than allowed."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > most:
            raise HTTPException(413, f"That is more than {most // 2**10:,} kB.")
    return content


async def _json(request):
    return _parsed(await _body(request, MOST_JSON))


def _parsed(text):
    """The object in JSON; ValueError if it is none."""

    def refuse(name):
        raise ValueError(f"{name} is no number.")

    def whole(digits):
        if len(digits) > MOST_DIGITS:
            raise ValueError(f"{digits[:MOST_DIGITS]}... is too long a number.")
        return int(digits)

    try:
        value = json.loads(text, parse_constant=refuse, parse_int=whole)
    except (RecursionError, UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError("That is not JSON.") from None
    if not isinstance(value, dict):
        raise ValueError("A request must be an object.")
    return value


def _name_of(address):
    with contextlib.suppress(ValueError):
        return urlsplit(address).hostname
    return None


def _pairs(query):
    for pair in query.decode("latin-1").split("&"):
        key, _, value = pair.partition("=")
        yield key, value


def _with_headers(send):
    async def sending(message):
        if message["type"] == "http.response.start":
            message["headers"] = [
                *message["headers"],
                *((key.lower().encode(), value.encode()) for key, value in _HEADERS.items()),
            ]
        await send(message)

    return sending


async def _said(request, error):
    return JSONResponse({"error": str(error.detail)}, error.status_code)


async def _refused(request, error):
    return JSONResponse({"error": str(error)}, 400)


async def _failed(request, error):
    return JSONResponse({"error": FAILED}, 500)
