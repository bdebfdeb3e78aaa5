"""A server whose answers a test writes."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from attrs import Factory, define


@define(kw_only=True)
class OddServer:
    """Answers each request with the next of ``answers``, and with the last one for ever."""

    url: str = ""
    answers: list[tuple[int, bytes, Mapping[str, str]]] = Factory(list)
    paths: list[str] = Factory(list)

    def says(self, status: int, body: Any, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.append((status, content, headers))


@contextmanager
def an_odd_server() -> Iterator[OddServer]:
    server = OddServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server.paths.append(self.path)
            status, content, headers = server.answers[0]
            if len(server.answers) > 1:
                del server.answers[0]
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - as its parent has it

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as its parent has it
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
