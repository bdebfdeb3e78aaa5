"""Reports of processes in PostgreSQL, where several versions write beside each other."""

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.process_reports import PostgresProcessReports
from schedora.adapters.postgres.statements import written
from tests.builders import HOUR, NOON
from tests.contract.test_process_reports import an_identity

OF_ANOTHER_KIND = written("update processes set kind = 'keeper' where process_id = :process_id::uuid")


async def test_kinds_of_a_later_version_are_left_out(database: Database) -> None:
    reports = PostgresProcessReports(database)
    later, known = an_identity(1), an_identity(2)
    for identity in (later, known):
        await reports.put(identity, clock_at=NOON, gauges={})
    await database.fetch(OF_ANOTHER_KIND, process_id=later.process_id)

    assert [report.identity for report in await reports.fresh(HOUR)] == [known]
