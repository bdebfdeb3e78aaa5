"""A bank on this machine that can be asked twice: it keeps its answer to each ``Idempotency-Key``, and the newest ``Lease-Token`` of each order.

``POST /payments`` takes money once for each key. ``PUT /orders/ID`` says how an order stands, and is refused (409) under a token smaller than
the last.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any


class Books:
    """``taken`` are the payments, one for each key; ``orders`` say how each order stands, and under which token."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.taken: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, tuple[int, str]] = {}


class _Requests(BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked, books = self._read(), self.server.books
        with books.lock:
            key = self.headers["Idempotency-Key"]
            known = key in books.taken
            answer = books.taken.setdefault(key, {"payment": len(books.taken) + 1, **asked})
        self._say(HTTPStatus.OK if known else HTTPStatus.CREATED, answer)

    def do_PUT(self) -> None:
        asked, books, token = self._read(), self.server.books, int(self.headers["Lease-Token"])
        with books.lock:
            newest, _ = books.orders.get(self.path, (0, ""))
            stale = token < newest
            if not stale:
                books.orders[self.path] = (token, asked["state"])
        self._say(HTTPStatus.CONFLICT if stale else HTTPStatus.OK, {"newest": max(newest, token)})

    def _read(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _say(self, status: HTTPStatus, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    def __init__(self, books: Books) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.books = books


@contextmanager
def bank() -> Iterator[tuple[str, Books]]:
    """The URL of one with empty books, and those."""
    books = Books()
    with _Server(books) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", books
        finally:
            server.shutdown()
            thread.join()
