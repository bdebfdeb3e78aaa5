"""A bucket on this machine, with the conditional writes of S3 and Google Cloud Storage: what the example needs of them.

``If-None-Match: *`` writes only what is not there; ``If-Match: ETAG`` and ``x-goog-if-generation-match: N`` only over that very version (0:
where there is none). Else 412, and 404 for ``If-Match`` where there is nothing. Metadata come back as they were given.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import NamedTuple

METADATA = "x-amz-meta-"


class Version(NamedTuple):
    body: bytes
    metadata: dict[str, str]
    generation: int

    @property
    def etag(self) -> str:
        return f'"{md5(self.body, usedforsecurity=False).hexdigest()}-{self.generation}"'


class _Requests(BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(self.server.objects.get(self.path), with_body=False)

    def do_GET(self) -> None:
        self._answer(self.server.objects.get(self.path), with_body=True)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:  # the condition and the write are one step
            known = self.server.objects.get(self.path)
            if refusal := self._refusal(known):
                self._say(refusal)
                return
            metadata = {
                name: value for name, value in self.headers.items() if name.lower().startswith(METADATA)
            }
            version = Version(body, metadata, 1 if known is None else known.generation + 1)
            self.server.objects[self.path] = version
        self._answer(version, with_body=False)

    def _refusal(self, known: Version | None) -> HTTPStatus | None:
        expected, generation = self.headers["If-Match"], self.headers["x-goog-if-generation-match"]
        if expected is not None and known is None:
            return HTTPStatus.NOT_FOUND
        holds = (
            (self.headers["If-None-Match"] != "*" or known is None)
            and (expected is None or (known is not None and known.etag == expected))
            and (generation is None or int(generation) == (known.generation if known else 0))
        )
        return None if holds else HTTPStatus.PRECONDITION_FAILED

    def _answer(self, version: Version | None, *, with_body: bool) -> None:
        if version is None:
            self._say(HTTPStatus.NOT_FOUND)
            return
        headers = {"ETag": version.etag, "x-goog-generation": str(version.generation), **version.metadata}
        self._say(HTTPStatus.OK, headers, version.body if with_body else b"")

    def _say(self, status: HTTPStatus, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.objects: dict[str, Version] = {}
        self.lock = Lock()


@contextmanager
def bucket() -> Iterator[str]:
    """The URL of an empty one, which is gone afterwards."""
    with _Server() as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
