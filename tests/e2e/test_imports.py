"""What a process carries: the packages and modules that it does not use are not in it."""

import re

import psycopg

from tests.e2e.conftest import Api, Cluster
from tests.programs import Program, until

NOT_IN_WORKERS = {
    "alembic", "fastapi", "google.protobuf", "httpx", "opentelemetry", "prometheus_client", "redis", "requests",
    "sqlalchemy", "starlette", "textual", "uvicorn",
    "schedora.adapters.memory", "schedora.adapters.postgres.checks", "schedora.adapters.postgres.embedded",
    "schedora.adapters.redis", "schedora.adapters.telemetry.span_export", "schedora.entrypoints.api",
}  # fmt: skip
"""Of those that are installed: each takes from half a megabyte to thirty."""

NOT_IN_REAPERS = NOT_IN_WORKERS | {"psutil"}

PROFILED = {"PYTHONPROFILEIMPORTTIME": "1"}
"""Python writes a line for each module that it imports."""

_IMPORTED = re.compile(r"^import time: +\d+ \| +\d+ \| +(\S+)$", re.MULTILINE)


def imported(program: Program) -> set[str]:
    """Every module that the process has imported so far, and the packages they are in."""
    modules = _IMPORTED.findall(program.err.read_text())
    return {
        ".".join(parts[:depth])
        for parts in (module.split(".") for module in modules)
        for depth in range(1, len(parts) + 1)
    }


def test_a_worker_carries_what_it_uses(cluster: Cluster, api: Api) -> None:
    worker = cluster.start("worker", "--app", "tests.e2e.handlers:app", "--worker-id", "w", **PROFILED)
    assert api.ended(api.submit("echo", {"a": 1}))["worker_id"] == "w"
    worker.ask_to_stop()
    assert worker.ended() == 0
    carried = imported(worker)
    assert {"asyncpg", "schedora.adapters.postgres.job_queue"} <= carried
    assert carried & NOT_IN_WORKERS == set()


def test_a_reaper_carries_what_it_uses(cluster: Cluster) -> None:
    reaper = cluster.start("reaper", **PROFILED)

    def has_swept() -> bool:
        with psycopg.connect(cluster.environment["DATABASE_URL"]) as connection:
            return connection.execute("select from sweeps where name = 'workflows'").fetchone() is not None

    until(has_swept, "the reaper to look for expired records")
    reaper.ask_to_stop()
    assert reaper.ended() == 0
    carried = imported(reaper)
    assert {"asyncpg", "schedora.adapters.postgres.records"} <= carried
    assert carried & NOT_IN_REAPERS == set()
