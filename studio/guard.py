"""What stands before the studio: its own names, pages and token, and what its answers tell browsers."""

import contextlib
import secrets
from urllib.parse import urlsplit

from starlette.responses import JSONResponse

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


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
