"""How these tests look into the server, and what they do to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import psycopg

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.examination import PostgresExamination
from schedora.adapters.postgres.process_reports import PostgresProcessReports
from schedora.adapters.postgres.statements import written
from schedora.adapters.system.clock import SystemClock
from schedora.application.ports.shared_counters import Series
from schedora.application.queries.doctor import Checked, Diagnosis, Examine
from schedora.diagnosis.doctor.finding import Finding, Severity
from schedora.domain.ids import ProcessId
from schedora.domain.process import ProcessIdentity, ProcessKind
from tests.contract.stores import EXPECTED
from tests.programs import until

GIVEN = {"fsync_off"}
"""What is wrong with the server of these tests, so that they need not wait for its disk."""
Connection = psycopg.Connection[tuple[object]]

ZERO = timedelta(0)
_AGE = written(
    "update processes p set started_at = p.started_at - :span::interval where p.process_id = :process_id::uuid"
)
SNAPSHOT = "set transaction isolation level repeatable read"
READY = """
insert into job_ready (job_id, queue, priority, type, scheduled_at)
select gen_random_uuid(), 'default', 5, 'work', now() + interval '1 hour' from generate_series(1, %s)
"""


async def examined(url: str, *, clock: SystemClock | None = None, pooled: bool = False) -> Diagnosis:
    clock = clock or SystemClock()
    examination = PostgresExamination(Database(url, pooled=pooled), clock, EXPECTED)
    return await Examine(store=examination, redis=None, clock=clock)()


def bad(diagnosis: Diagnosis) -> list[Finding]:
    """What is more than worth knowing, and not so for all of these tests. All checks must have been done."""
    assert [(check.name, check.not_done) for check in diagnosis.checks if check.not_done is not None] == []
    return [finding for finding in worse_than_ok(diagnosis) if finding.code not in GIVEN]


def worse_than_ok(diagnosis: Diagnosis) -> list[Finding]:
    return [finding for _, finding in diagnosis.findings if finding.severity is not Severity.OK]


async def the_one(url: str, code: str, severity: Severity = Severity.CRITICAL) -> Finding:
    """The only thing that is wrong."""
    found = bad(await examined(url))
    assert [(one.code, one.severity) for one in found] == [(code, severity)], found
    return found[0]


async def codes(url: str) -> list[str]:
    return sorted(finding.code for finding in bad(await examined(url)))


def checked(diagnosis: Diagnosis, name: str) -> Checked:
    [check] = [check for check in diagnosis.checks if check.name == name]
    return check


@contextmanager
def reloaded(admin: Connection, setting: str, value: str) -> Iterator[None]:
    """The whole server's, taken back in the end."""

    def reload(command: str, wanted: str) -> None:
        admin.execute(command.encode())
        admin.execute("select pg_reload_conf()")
        shown = f"select current_setting('{setting}')"
        until(lambda: admin.execute(shown.encode()).fetchall() == [(wanted,)], f"{setting} to be {wanted}")

    [(before,)] = admin.execute(f"select current_setting('{setting}')".encode()).fetchall()
    reload(f"alter system set {setting} = '{value}'", value)
    try:
        yield
    finally:
        reload(f"alter system reset {setting}", str(before))


@contextmanager
def in_transaction(url: str, *statements: str) -> Iterator[psycopg.Connection[tuple[object]]]:
    with psycopg.connect(url, application_name="report") as connection:
        for statement in statements:
            connection.execute(statement.encode())
        yield connection


async def reported(
    url: str, kind: ProcessKind, *, ahead: timedelta = ZERO, aged: timedelta = ZERO, connections: float = 0
) -> None:
    """A process that tells of itself, and has for so long."""
    identity = ProcessIdentity(
        process_id=ProcessId(uuid4()), kind=kind, name="p", hostname="h", pid=7, version=EXPECTED.version
    )
    gauges = {Series("database_connections_max", (("pool", "main"),)): connections} if connections else {}
    async with Database(url) as database:
        reports = PostgresProcessReports(database)
        await reports.put(identity, clock_at=SystemClock().now() + ahead, gauges=gauges)
        await database.fetch(_AGE, span=aged, process_id=identity.process_id)
