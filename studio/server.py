"""The server: one static page, and what it asks for. It believes nobody: see `guarded`, and the limits below."""

import asyncio
import contextlib
import secrets
import tempfile
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from studio.engine import Dropped, Engine
from studio.guard import guarded
from studio.jobs import FAILED, Jobs
from studio.pages import Pages
from studio.received import MOST_UPLOAD, body_of, json_of
from studio.recipes import parse_recipe
from studio.saving import (
    MOST_FRAMES,
    MOST_KEYS,
    MOST_SECONDS,
    Walk,
    command,
    latents_file,
    picture,
    save_walk,
)
from studio.under_way import MOST_STEPS, Projections
from stylegan_tf.editing.projection import SPACES
from stylegan_tf.export.web import PAGE, page_facts

MOST_WALKS = 4  # at once
LOOPBACK = ("127.0.0.1", "localhost", "::1")


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
        WebSocketRoute("/ws", studio.pages.serve),
        Mount("/static", StaticFiles(directory=PAGE)),
    ]
    handlers = {HTTPException: _said, ValueError: _refused, OSError: _refused, Exception: _failed}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=studio.lifespan)
    return guarded(app, hosts, studio.token)


class Studio:
    """What the routes do."""

    def __init__(self, networks, options, **distance):
        self.networks, self.engine = networks, Engine()
        self.projections = Projections(self.engine, options, **distance)
        self.walks = Jobs(self.engine, MOST_WALKS, "walks are being recorded")
        self.pages = Pages(networks, self.engine, self._left)
        self.token = secrets.token_urlsafe(24)

    @contextlib.asynccontextmanager
    async def lifespan(self, app):
        yield
        await run_in_threadpool(self.engine.close)
        await run_in_threadpool(self.projections.close)

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
        opened = await self._open(request.path_params["network"])
        steps = await run_in_threadpool(lambda: opened.directions)
        return JSONResponse({"directions": [{"name": name, "remark": remark} for name, (_, remark) in steps.items()]})

    async def picture(self, request):
        asked = await json_of(request)
        png = await self._ask_recipe(asked, picture, with_value=True)
        return Response(png, media_type="image/png")

    async def w(self, request):
        content = await self._ask_recipe(await json_of(request), latents_file)
        return Response(content, media_type="application/octet-stream")

    async def command(self, request):
        asked = await json_of(request)
        source = self.networks.source_of(asked.get("network"))
        text, needs_w = await self._ask_recipe(asked, lambda recipe, opened: command(recipe, source, opened))
        return JSONResponse({"command": text, "needs_latents": needs_w})

    async def walk(self, request):
        asked = await json_of(request)
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
        walk, user = Walk(recipes, frames, bool(asked.get("loop", True)), opened), _user_of(request)
        job = self.walks.begin(user)

        def ask(function):
            job.check()
            return self.walks.ask(job, function)

        def report(done):
            self.pages.tell(user, {"walk": name, "done": done, "of": frames})

        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"walk.{form}"
                await _while_it_listens(request, run_in_threadpool(save_walk, path, ask, walk, fps, report), job)
                content = await run_in_threadpool(path.read_bytes)
        except Dropped:
            raise ValueError("The walk was stopped, as its page was closed.") from None
        finally:
            self.walks.finish(job)
        return Response(content, media_type="video/mp4" if form == "mp4" else "image/gif")

    async def project(self, request):
        query = request.query_params
        steps, space = query.get("steps", "200"), query.get("space", "w")
        if not steps.isdecimal() or len(steps) > 5 or not 1 <= int(steps) <= MOST_STEPS:
            raise ValueError(f"steps must be a number from 1 to {MOST_STEPS}.")
        if space not in SPACES:
            raise ValueError(f"space must be {' or '.join(SPACES)}.")
        opened = await self._open(query.get("network"))
        content, user = await body_of(request, MOST_UPLOAD, "Your picture"), _user_of(request)
        name = await run_in_threadpool(
            self.projections.start, opened, content, int(steps), space, user, lambda told: self.pages.tell(user, told)
        )
        return JSONResponse({"picture": name})

    async def stop(self, request):
        if not self.projections.jobs.stop(request.path_params["picture"]):
            raise HTTPException(404, "There is no such projection; it may have ended.")
        return JSONResponse({})

    def _left(self, user):
        """Ends what a user has begun, whose page was closed."""
        self.projections.jobs.forget(user)
        self.walks.forget(user)

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


def _user_of(request):
    """The page that has asked, as its WebSocket is known; empty for other programs."""
    return request.headers.get("x-studio-user", "")


async def _while_it_listens(request, work, job):
    """Waits for an awaitable, which is a job's; the job ends if nobody waits for the answer any more."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not working.done():
            job.ended.set()
    await working


async def _said(request, error):
    return JSONResponse({"error": str(error.detail)}, error.status_code)


async def _refused(request, error):
    return JSONResponse({"error": str(error)}, 400)


async def _failed(request, error):
    return JSONResponse({"error": FAILED}, 500)
