"""What runs leave beside their outcomes."""

from collections.abc import Iterable, Sequence
from typing import Final

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.session import Row
from schedora.adapters.postgres.statements import written
from schedora.adapters.postgres.sweeps import BEGIN
from schedora.domain.ids import DEFAULT_TENANT, JobId, JsonText, LeaseToken
from schedora.domain.run_log import RUNS_MAX, RunLog

SWEEP: Final = "trails"

# In the order of their keys, so that processes writing to the same rows don't wait for each other in a circle.
_KEEP = written("""
with
given as (
    select g.*
    from unnest(
        :job_id::uuid[], :token::bigint[], :attempt::int[], :worker_id::text[], :lines::text[],
        :lines_dropped::int[], :spans::text[], :spans_dropped::int[]
    ) as g (job_id, token, attempt, worker_id, lines, lines_dropped, spans, spans_dropped)
    where exists (select from jobs j where j.job_id = g.job_id)
    order by g.job_id, g.token
),
kept as (
    insert into trails as t (
        job_id, token, tenant_id, attempt, worker_id, lines, lines_dropped, spans, spans_dropped
    )
    select
        g.job_id, g.token, :tenant_id::int, g.attempt, g.worker_id, g.lines, g.lines_dropped, g.spans,
        g.spans_dropped
    from given g
    on conflict (job_id, token) do update set
        attempt = excluded.attempt, worker_id = excluded.worker_id,
        lines = excluded.lines, lines_dropped = excluded.lines_dropped,
        spans = excluded.spans, spans_dropped = excluded.spans_dropped
)
delete from trails t
using given g
where t.job_id = g.job_id and t.token <= g.token - :runs_max::int
""")
_LINES_OF = written("""
select
    t.job_id, t.token, t.attempt, t.worker_id, t.lines, t.lines_dropped, '' as spans,
    t.spans_dropped
from trails t
where t.job_id = :job_id::uuid
order by t.token
""")
_SPANS_OF = written("""
select
    t.job_id, t.token, t.attempt, t.worker_id, '' as lines, t.lines_dropped, t.spans,
    t.spans_dropped
from trails t
where t.job_id = any(:job_ids::uuid[])
order by t.job_id, t.token
""")
# One walks at a time; whoever comes second finds nothing to do. Then it goes on from where that one has come.
_PRUNE = written("""
with
sweep as materialized (
    select s.position from sweeps s where s.name = :name::text for update skip locked
),
found as materialized (
    select t.job_id, t.token
    from trails t
    where (t.job_id, t.token) > ((select s.position from sweep s), 9223372036854775807)
    order by t.job_id, t.token
    limit :limit::int
),
removed as (
    delete from trails t
    using found f
    where t.job_id = f.job_id and t.token = f.token
        and not exists (select from jobs j where j.job_id = f.job_id)
    returning t.job_id
),
moved as (
    update sweeps s
    set position = coalesce(
        (select f.job_id from found f order by f.job_id desc, f.token desc offset :limit::int - 1 limit 1),
        '00000000-0000-0000-0000-000000000000'
    )
    where s.name = :name::text and exists (select from sweep)
)
select count(*) as removed from removed
""")


class PostgresRunLogs:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, run_logs: Sequence[RunLog]) -> None:
        if not run_logs:
            return
        await self._database.fetch(
            _KEEP,
            tenant_id=DEFAULT_TENANT,
            runs_max=RUNS_MAX,
            job_id=[run_log.job_id for run_log in run_logs],
            token=[run_log.lease_token for run_log in run_logs],
            attempt=[run_log.attempt for run_log in run_logs],
            worker_id=[run_log.worker_id for run_log in run_logs],
            lines=[_document(run_log.lines) for run_log in run_logs],
            lines_dropped=[run_log.lines_dropped for run_log in run_logs],
            spans=[_document(run_log.spans) for run_log in run_logs],
            spans_dropped=[run_log.spans_dropped for run_log in run_logs],
        )

    async def lines_of(self, job_id: JobId) -> tuple[RunLog, ...]:
        return tuple(map(_run_log, await self._database.fetch(_LINES_OF, job_id=job_id)))

    async def spans_of(self, job_ids: Sequence[JobId]) -> dict[JobId, tuple[RunLog, ...]]:
        found: dict[JobId, tuple[RunLog, ...]] = {}
        for row in await self._database.fetch(_SPANS_OF, job_ids=list(job_ids)):
            run_log = _run_log(row)
            found[run_log.job_id] = (*found.get(run_log.job_id, ()), run_log)
        return found

    async def prune(self, *, limit: int) -> int:
        await self._database.fetch(BEGIN, name=SWEEP)
        (row,) = await self._database.fetch(_PRUNE, name=SWEEP, limit=limit)
        removed: int = row["removed"]
        return removed


def _document(items: Iterable[JsonText]) -> str:
    """One item a line: as JSON, none of them has a line break in it."""
    return "\n".join(items)


def _items(document: str) -> tuple[JsonText, ...]:
    return tuple(JsonText(item) for item in document.split("\n")) if document else ()


def _run_log(row: Row) -> RunLog:
    return RunLog(
        job_id=JobId(row["job_id"]),
        lease_token=LeaseToken(row["token"]),
        attempt=row["attempt"],
        worker_id=row["worker_id"],
        lines=_items(row["lines"]),
        lines_dropped=row["lines_dropped"],
        spans=_items(row["spans"]),
        spans_dropped=row["spans_dropped"],
    )
