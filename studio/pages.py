"""The pages that are open, a WebSocket each: they ask for images, and are told how their longer wishes get on."""

import asyncio
import contextlib
import json
import secrets
import struct

from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocketDisconnect

from studio.engine import Dropped
from studio.jobs import FAILED
from studio.received import parsed
from studio.recipes import at_once, images, parse, uses_directions
from studio.saving import FAST, encode

MOST_IMAGES = 64  # of a request
MOST_PAGES = 100


class _Unready(Exception):
    """A network, whose directions must be found before it can draw what is asked."""


class Pages:
    """All of them.

    Args:
        networks: `opened.Networks`.
        engine: Engine.
        left: Function of a user whose page was closed.
    """

    def __init__(self, networks, engine, left):
        self.networks, self.engine, self.left = networks, engine, left
        self._open = {}  # {user: asyncio.Queue of what is to be sent}
        self._newest = {}  # {(user, view): what its newest request is known by}, of those under way
        self._loop = None

    async def serve(self, socket):
        """Answers what a user drags and clicks, to the end; see `Engine`."""
        self._loop = asyncio.get_running_loop()
        if len(self._open) >= MOST_PAGES:
            await socket.close(4429, "Too many pages are open; close one.")
            return
        user = socket.query_params.get("user", "")[:40] or secrets.token_hex(8)
        while user in self._open:
            user = secrets.token_hex(8)
        await socket.accept()
        outgoing = self._open[user] = asyncio.Queue(1000)
        sending = asyncio.create_task(_send_all(socket, outgoing))
        try:
            while True:
                text = await socket.receive_text()
                asyncio.create_task(self._answer(user, text, outgoing)).add_done_callback(_read_result)
        except (WebSocketDisconnect, KeyError):  # KeyError: bytes, which the page does not send
            pass
        finally:
            sending.cancel()
            del self._open[user]
            self.engine.forget(user)
            self.left(user)

    def tell(self, user, told):
        """Sends something to a user's page, from any thread; whoever has gone, or does not read, misses it."""

        def put():
            with contextlib.suppress(KeyError, asyncio.QueueFull):
                self._open[user].put_nowait(json.dumps(told))

        # No page was ever open; or the server has ended, while a thread still had something to say.
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(put)

    async def _answer(self, user, text, outgoing):
        asked = {}
        try:
            asked = parsed(text)
            known = {"n": asked.get("n"), "view": asked.get("view")}
            if not isinstance(known["n"], int) or not isinstance(known["view"], str) or len(known["view"]) > 40:
                raise ValueError("A request has a number n and the name of a view.")
            await self._draw(user, asked, known, outgoing)
        except Dropped:
            await outgoing.put(json.dumps(known | {"dropped": True}))
        except Exception as error:
            told = str(error) if isinstance(error, ValueError | OSError) else FAILED
            which = {key: asked.get(key) for key in ("n", "view")} if isinstance(asked, dict) else {}
            await outgoing.put(json.dumps(which | {"error": told}))
            if not isinstance(error, ValueError | OSError):
                raise

    async def _draw(self, user, asked, known, outgoing):
        """Sends the images of a request, some at a time; Dropped once there is a newer one of the view."""
        place, mine = (user, known["view"]), object()
        self._newest[place] = mine
        first, count = 0, None
        try:
            while first != count:
                if self._newest[place] is not mine or user not in self._open:
                    raise Dropped
                future = self.engine.ask(
                    *place, lambda first=first: _drawn(asked, first, self.networks.open(asked.get("network")))
                )
                try:
                    sizes, side, content = await asyncio.wrap_future(future)
                except _Unready as error:
                    (opened,) = error.args
                    await run_in_threadpool(lambda opened=opened: opened.directions)
                    continue
                count = len(asked["images"])
                facts = {"first": first, "count": len(sizes), "of": count, "side": side, "sizes": sizes}
                header = json.dumps(known | facts).encode()
                await outgoing.put(struct.pack("<I", len(header)) + header + content)
                first += len(sizes)
        finally:
            if self._newest.get(place) is mine:
                del self._newest[place]


def _drawn(asked, first, opened):
    """(sizes, side, bytes) of as many images of a request, from the first on, as are drawn at a time."""
    values, side = asked.get("images"), asked.get("side")
    if not isinstance(values, list) or not 1 <= len(values) <= MOST_IMAGES:
        raise ValueError(f"A request is for 1 to {MOST_IMAGES} images.")
    if side is not None and side not in opened.sampler.generator.synthesis.preview_sides:
        raise ValueError("The network has no previews of this side.")
    if not opened.has_directions and any(map(uses_directions, values)):
        raise _Unready(opened)
    shown_side = side or opened.sampler.resolution
    recipes = [parse(value, opened) for value in values][first : first + at_once(shown_side)]
    made = images(recipes, opened, side)
    shown = made if side is not None else opened.sampler.pictures(made)
    files = [encode(image, **FAST) for image in shown]
    return [len(file) for file in files], shown_side, b"".join(files)


async def _send_all(socket, outgoing):
    while True:
        message = await outgoing.get()
        await (socket.send_text(message) if isinstance(message, str) else socket.send_bytes(message))


def _read_result(task):
    """So that asyncio prints what was not foreseen, at once."""
    if not task.cancelled() and (error := task.exception()):
        task.get_loop().call_exception_handler({"message": "A request has failed", "exception": error})
