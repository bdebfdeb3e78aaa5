"""The stand-in for curl sends what it was given."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.docs.pages import ROOT


class Echo(BaseHTTPRequestHandler):
    def _echo(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        told = f"{self.command} {self.path} {self.headers['Content-Type']} {body}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    do_GET = do_POST = do_DELETE = _echo  # noqa: N815 - as the library looks for them

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/a?b=c"
        server.shutdown()
        thread.join()


def test_the_stand_in_sends_what_it_was_given(url: str, tmp_path: Path) -> None:
    def curl(*arguments: str) -> str:
        stand_in = [sys.executable, str(ROOT / "tests" / "docs" / "curl.py"), "-s", *arguments]
        return subprocess.run(stand_in, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    (tmp_path / "body.json").write_text("[2]")
    assert curl(url) == "GET /a?b=c None "
    assert curl(url, "-X", "DELETE") == "DELETE /a?b=c None "
    assert (
        curl(url, "-H", "Content-Type: application/json", "-d", "[1]") == "POST /a?b=c application/json [1]"
    )
    assert curl(url, "-H", "Content-Type: text/x", "-d", "@body.json") == "POST /a?b=c text/x [2]"
