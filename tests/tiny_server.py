"""A publisher's server on this machine, with all their troubles."""

import contextlib
import hashlib
import http.server
import re
import socket
import struct
import threading

CONTENT = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PAUSE = 10  # seconds after which a gate that nobody opens is no longer waited for
PATIENCE = 30  # requests after which a client that never has enough is turned away, before it fills the disk


class Site:
    """What the server does, and what it was asked for.

    Attributes:
        content, headers: Of every path.
        ranges: Whether it sends a part if asked for one.
        obedient: Whether it does so only if that is of the version asked for.
        confused: Whether every part begins at 0.
        most: Bytes of a part, where more is asked for, None for all.
        refused: Status codes of the next answers; those of 200 are served.
        limit: Bytes after which a connection ends, None for never.
        cuts: How many connections end like this, None for all.
        resets: How many of these end as if the cable was cut.
        gate: Event to wait for before answering.
        requests: [(path, Range, If-Range)].
        encodings: [Accept-Encoding].
    """

    def __init__(self, port, closed_port):
        self.port, self.closed_port = port, closed_port
        self.address = f"http://127.0.0.1:{port}"
        self.content, self.headers = CONTENT, {"ETag": '"1"'}
        self.ranges, self.obedient, self.confused, self.most = True, True, False, None
        self.refused, self.limit, self.cuts, self.resets, self.gate = [], None, None, 0, None
        self.requests, self.encodings = [], []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        site = self.server.site
        asked, version = self.headers["Range"], self.headers["If-Range"]
        site.requests.append((self.path, asked, version))
        site.encodings.append(self.headers["Accept-Encoding"])
        if site.gate:
            site.gate.wait(PAUSE)
        status = site.refused.pop(0) if site.refused else 200
        if len(site.requests) > PATIENCE:
            status = 404
        if status != 200:
            self.send_error(status)
            return
        size, start, end = len(site.content), 0, len(site.content)
        current = version in (site.headers.get("ETag"), site.headers.get("Last-Modified"))
        if asked and site.ranges and (current or not site.obedient):
            start = 0 if site.confused else int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            status = 206 if start < size else 416
            end = min(size, start + (site.most or size))
        part = site.content[start:end]
        self.send_response(status)
        self.send_header("Content-Length", str(len(part)))
        if status != 200:
            self.send_header("Content-Range", f"bytes {'*' if status == 416 else f'{start}-{end - 1}'}/{size}")
        for name, value in site.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.send(site, part)

    def send(self, site, content):
        if site.limit is None or site.cuts == 0:
            self.wfile.write(content)
            return
        self.wfile.write(content[: site.limit])
        site.cuts = site.cuts and site.cuts - 1
        if site.resets:
            site.resets -= 1
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    def reset(self):
        """A Site without trouble, with which the server begins again."""
        self.site = Site(self.server_port, self.closed_port)
        return self.site

    def handle_error(self, request, client_address):
        """Clients that hang up are what we want."""


@contextlib.contextmanager
def serving():
    """A running Server."""
    with socket.socket() as free, Server(("127.0.0.1", 0), Handler) as server:
        free.bind(("127.0.0.1", 0))
        server.closed_port = free.getsockname()[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
