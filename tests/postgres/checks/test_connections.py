"""How many connections are left."""

from contextlib import ExitStack
from urllib.parse import urlsplit

import psycopg

from schedora.adapters.postgres.engine import Database
from schedora.diagnosis.doctor.finding import Severity
from schedora.domain.process import ProcessKind
from tests.contract.postgres import postgres_stores
from tests.contract.stores import EXPECTED
from tests.postgres.checks.looking import (
    Connection,
    bad,
    checked,
    codes,
    examined,
    reported,
    the_one,
    worse_than_ok,
)
from tests.postgres.pooler import Pooler


async def test_few_connections_left(url: str, admin: Connection) -> None:
    name = urlsplit(url).path.strip("/")
    admin.execute(f"alter database {name} connection limit 6".encode())
    finding = next(finding for finding in bad(await examined(url)) if finding.code == "connections_few")
    assert (finding.details["setting"], finding.details["limit"]) == ("CONNECTION LIMIT of the database", 6)


async def test_no_connection_left(url: str, admin: Connection, visitor_url: str) -> None:
    name = urlsplit(url).path.strip("/")
    admin.execute(f"alter database {name} connection limit 1".encode())
    [finding] = worse_than_ok(await examined(visitor_url))
    assert (finding.code, finding.severity) == ("connections_few", Severity.CRITICAL)
    assert "too many connections for database" in finding.found


async def test_no_connection_left_at_a_pooler(url: str) -> None:
    async with Pooler(url, full=True).running() as pooled_url:
        [finding] = worse_than_ok(await examined(f"{pooled_url}?pgbouncer=true"))
    assert (finding.code, finding.severity) == ("connections_few", Severity.CRITICAL)
    assert "no more connections allowed" in finding.found


async def test_connections_of_others_count_for_those_who_may_not_see_what_they_are(
    url: str, admin: Connection, visitor_url: str
) -> None:
    name = urlsplit(url).path.strip("/")
    admin.execute(f"alter database {name} connection limit 20".encode())
    with ExitStack() as others:
        for _ in range(14):
            others.enter_context(psycopg.connect(url))
        [finding] = checked(await examined(visitor_url), "connections").findings
        assert finding.code == "connections_few"
        assert int(str(finding.details["used"])) >= 16


async def test_more_processes_than_there_are_connections_for(url: str) -> None:
    async with Database(url) as database:
        stores = postgres_stores(database)
        for number in range(8):
            await stores.worker(worker_id=f"w{number}", pid=number, version=EXPECTED.version)
        finding = await the_one(url, "connections_promised", Severity.WARNING)
        assert (finding.details["processes"], finding.details["steady"]) == (8, 8 * 25)


async def test_processes_that_may_ask_for_more_connections_than_there_are(url: str) -> None:
    for _ in range(4):
        await reported(url, ProcessKind.UP, connections=100)
    finding = await the_one(url, "connections_promised", Severity.WARNING)
    assert (finding.details["processes"], finding.details["most"]) == (4, 4 * 101)
    # A pooler is what they ask then, and how many it opens is its own affair.
    async with Pooler(url).running() as pooled_url:
        assert await codes(f"{pooled_url}?pgbouncer=true") == []
