"""What each process tells of itself every few seconds."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import orjson

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.session import Row, Session
from schedora.adapters.postgres.statements import written
from schedora.application.ports.process_reports import ProcessReport
from schedora.application.ports.shared_counters import Series
from schedora.domain.ids import ProcessId
from schedora.domain.process import ProcessIdentity, ProcessKind

_PUT = written("""
insert into processes (
    process_id, kind, name, hostname, pid, version, started_at, seen_at, clock_at, gauges
)
values (
    :process_id::uuid, :kind::text, :name::text, :hostname::text, :pid::int, :version::text, now(), now(),
    :clock_at::timestamptz, :gauges::text::json
)
on conflict (process_id) do update
set seen_at = excluded.seen_at, clock_at = excluded.clock_at, gauges = excluded.gauges
""")
_WITHDRAW = written("delete from processes p where p.process_id = :process_id::uuid")
_FRESH = written("""
select
    p.process_id, p.kind, p.name, p.hostname, p.pid, p.version, p.started_at, p.seen_at, p.clock_at,
    p.gauges::text as gauges
from processes p
where p.seen_at >= now() - :within::interval and p.kind = any(:kinds::text[])
order by p.kind collate "C", p.name collate "C", p.started_at, p.process_id
""")
# Passing over what others remove, so that any number of reapers can do this at once.
_PRUNE = written("""
delete from processes
where process_id in (
    select p.process_id
    from processes p
    where p.seen_at < now() - :older_than::interval
    order by p.process_id
    for update skip locked
)
returning process_id
""")


class PostgresProcessReports:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(
        self, identity: ProcessIdentity, *, clock_at: datetime, gauges: Mapping[Series, float]
    ) -> None:
        await self._database.fetch(
            _PUT,
            process_id=identity.process_id,
            kind=identity.kind.value,
            name=identity.name,
            hostname=identity.hostname,
            pid=identity.pid,
            version=identity.version,
            clock_at=clock_at,
            gauges=orjson.dumps(
                [(series.name, series.labels, value) for series, value in gauges.items()]
            ).decode(),
        )

    async def withdraw(self, process_id: ProcessId) -> None:
        await self._database.fetch(_WITHDRAW, process_id=process_id)

    async def fresh(self, within: timedelta) -> list[ProcessReport]:
        return await fresh_reports(self._database, within)

    async def prune(self, older_than: timedelta) -> int:
        return len(await self._database.fetch(_PRUNE, older_than=older_than))


async def fresh_reports(session: Session, within: timedelta) -> list[ProcessReport]:
    """Without those of kinds that a later version may have."""
    kinds = [kind.value for kind in ProcessKind]
    return [_report(row) for row in await session.fetch(_FRESH, within=within, kinds=kinds)]


def _report(row: Row) -> ProcessReport:
    return ProcessReport(
        identity=ProcessIdentity(
            process_id=ProcessId(row["process_id"]),
            kind=ProcessKind(row["kind"]),
            name=row["name"],
            hostname=row["hostname"],
            pid=row["pid"],
            version=row["version"],
        ),
        started_at=row["started_at"],
        seen_at=row["seen_at"],
        clock_at=row["clock_at"],
        gauges={
            Series(name, tuple((label, of) for label, of in labels)): value
            for name, labels, value in orjson.loads(row["gauges"])
        },
    )
