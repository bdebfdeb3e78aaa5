"""PgBouncer itself before the server of a test: where a ``pgbouncer`` is to be found on this machine."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit, urlunsplit

import pytest

from tests.programs import PATIENCE_SECONDS

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
"""Debian has it where only root looks."""

needs_pgbouncer = pytest.mark.skipif(
    PROGRAM is None, reason="no pgbouncer on this machine (Debian: apt install pgbouncer)"
)


@contextmanager
def pgbouncer(
    server_url: str, *, mode: str = "transaction", sessions: int = 20, prepared: int = 0
) -> Iterator[str]:
    """The URL of one that leads to all databases of the server, as its user: with ``?pgbouncer=true``.

    ``sessions``: how many of the server's it uses for each database, at most. ``prepared``: its max_prepared_statements.
    """
    assert PROGRAM is not None
    parts = urlsplit(server_url)
    query = parse_qs(parts.query)
    host = query["host"][0] if "host" in query else parts.hostname or "localhost"
    port = query["port"][0] if "port" in query else parts.port or 5432
    password = f" password={parts.password}" if parts.password else ""
    with tempfile.TemporaryDirectory(prefix="schedora-pgbouncer-") as name:
        directory = Path(name)
        listening = _free_port()
        configuration = directory / "pgbouncer.ini"
        configuration.write_text(
            f"""[databases]
* = host={host} port={port} user={parts.username}{password}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listening}
unix_socket_dir =
logfile = {directory / "log"}
auth_type = any
pool_mode = {mode}
default_pool_size = {sessions}
max_client_conn = 1000
max_prepared_statements = {prepared}
"""
        )
        account: tuple[str, ...] = ()
        if (
            os.geteuid() == 0
        ):  # which it refuses to run as; and the socket of the server may be its owner's alone
            owner = Path(host) if host.startswith("/") else Path("/var/empty")
            uid = (owner / f".s.PGSQL.{port}").stat().st_uid if host.startswith("/") else 65_534
            for path in (directory, configuration):
                os.chown(path, uid, -1)
            import pwd  # noqa: PLC0415 - does not exist on Windows

            account = ("-u", pwd.getpwuid(uid).pw_name)
        process = subprocess.Popen([PROGRAM, "-q", *account, str(configuration)], stderr=subprocess.PIPE)
        try:
            _wait_for(listening, process, directory / "log")
            netloc = f"{parts.username}@127.0.0.1:{listening}"
            yield urlunsplit(parts._replace(netloc=netloc, query="pgbouncer=true"))
        finally:
            process.terminate()
            process.communicate()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    said = process.communicate()[1].decode() if process.poll() is not None else ""
    pytest.fail(f"pgbouncer does not listen: {said}{log.read_text() if log.exists() else ''}")
